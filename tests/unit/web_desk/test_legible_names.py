"""Names that customers chose and texts that they wrote, as the desk shows them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nadia.web.legible import legible_name, legible_text


@pytest.mark.parametrize("name", ["Ana Ruiz", "مريم الأحمد", "👩‍👩‍👧‍👦", "🏳️‍🌈", "می‌خواهم", "O'Brien-Łukasz", "李小龍"])
def test_an_honest_name_stays_as_it_is(name: str) -> None:
    assert legible_name(name) == name


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("Eve\u202egnp.exe", "Eve[U+202E]gnp.exe"),
        ("a\u200bb", "a[U+200B]b"),
        ("a\u200db", "a[U+200D]b"),
        ("\u2066x\u2069", "[U+2066]x[U+2069]"),
        ("bell\x07", "bell[U+0007]"),
        ("\u3164", "[U+3164]"),
        ("two\nlines\there", "two lines here"),
        ("  wide   gaps ", "wide gaps"),
    ],
)
def test_what_hides_in_a_name_is_shown(name: str, shown: str) -> None:
    assert legible_name(name) == shown


def test_a_run_of_hidden_characters_is_shown_once() -> None:
    assert legible_name("a" + "\u200b" * 50 + "b") == "a[U+200B]b"


@pytest.mark.parametrize("name", ["", "   ", "\n\t"])
def test_a_name_without_anything_in_it_is_said_to_be_none(name: str) -> None:
    assert legible_name(name) == "No name"


@given(st.text())
def test_no_name_is_empty_or_changes_the_direction_of_what_follows(name: str) -> None:
    shown = legible_name(name)
    assert shown.strip()
    assert not set(shown) & set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u061c")


@pytest.mark.parametrize(
    "text",
    [
        "two\nlines\there  and a gap",
        "👩‍👩‍👧‍👦 ❤️‍🔥 1️⃣",
        "می‌خواهم",
        "🏴\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f",
        "അവന്\u200d വന്നു",
        "\u06dd١",
        "",
    ],
)
def test_an_honest_text_stays_as_it_is(text: str) -> None:
    assert legible_text(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("pay \u202e09\u202c euros", "pay [U+202E]09[U+202C] euros"),
        ("\u200b\u200b\u200b", "[U+200B]"),
        ("\u2060\ufeff", "[U+2060][U+FEFF]"),
        ("e\U000e0067", "e[U+E0067]"),
        ("no\u200cthing", "no[U+200C]thing"),
    ],
)
def test_what_hides_in_a_text_is_shown(text: str, shown: str) -> None:
    assert legible_text(text) == shown
