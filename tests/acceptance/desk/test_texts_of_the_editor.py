"""The editor's plain functions, run where they are used: in a browser."""

from typing import cast

import pytest
from playwright.async_api import Page

from support.browser import Visitors

pytestmark = [pytest.mark.browser, pytest.mark.e2e]


async def call(page: Page, function: str, *arguments: object) -> object:
    source = await page.locator("script[src*='js/desk.js']").get_attribute("src")
    assert source is not None
    module = source.replace("js/desk.js", "js/desk/text.js")
    return await page.evaluate(
        "async ([module, name, args]) => (await import(module))[name](...args)", [module, function, list(arguments)]
    )


@pytest.fixture
async def page(visitors: Visitors) -> Page:
    return await visitors.open("/desk")


async def pieces(page: Page, before: str, after: str) -> list[tuple[str, str]]:
    found = cast(list[dict[str, str]], await call(page, "wordDiff", before, after))
    return [(piece["kind"], piece["text"]) for piece in found]


async def test_a_blank_line_separates_bubbles(page: Page) -> None:
    for text, bubbles in [
        ("one", ["one"]),
        ("one\ntwo", ["one\ntwo"]),
        ("one\n\ntwo\r\n \t\r\n\n\nthree\n\n", ["one", "two", "three"]),
        ("\n\n  \n", []),
    ]:
        assert await call(page, "splitBubbles", text) == bubbles


async def test_differences_are_words(page: Page) -> None:
    assert await pieces(page, "we close at six", "we close at seven") == [
        ("same", "we close at "),
        ("removed", "six"),
        ("added", "seven"),
    ]
    assert await pieces(page, "thank you very much", "thank them so much") == [
        ("same", "thank "),
        ("removed", "you very"),
        ("added", "them so"),
        ("same", " much"),
    ]
    assert await pieces(page, "same", "same") == [("same", "same")]
    assert await pieces(page, "", "new") == [("added", "new")]


async def test_what_stays_and_what_is_added_make_up_the_new_text(page: Page) -> None:
    texts = [
        "",
        "hello",
        "héllo wörld 🙂",
        "مرحبا بك",
        "a b c d e",
        "e d c b a",
        "one\n\ntwo",
        "one two",
        "x" * 5000,
        "y " * 3000,
    ]
    for before in texts:
        for after in texts:
            found = await pieces(page, before, after)
            assert "".join(text for kind, text in found if kind != "removed") == after
            assert "".join(text for kind, text in found if kind != "added") == before


async def test_a_difference_is_cut_where_the_bubbles_are(page: Page) -> None:
    found = cast(
        list[list[dict[str, str]]], await call(page, "diffBubbles", "one\n\ntwo three", "one and\n\ntwo\n\nthree")
    )
    assert ["".join(piece["text"] for piece in bubble if piece["kind"] != "removed").strip() for bubble in found] == [
        "one and",
        "two",
        "three",
    ]


async def test_characters_that_nobody_sees_are_named_and_honest_ones_are_not(page: Page) -> None:
    for text, found in [
        ("a\u202eb\u200b\u202e", ["U+202E", "U+200B"]),
        ("no\u200cthing", ["U+200C"]),
        ("👩‍👩‍👧 ❤️‍🔥 می‌خواهم\tand\r\nlines", []),
        ("🏴\U000e0067\U000e0062\U000e007f", []),
        ("e\U000e0067", ["U+E0067"]),
    ]:
        assert await call(page, "hiddenCharacters", text) == found
