"""A reviewer silences a customer and decides about what they write, with the keyboard alone."""

import pytest
from playwright.async_api import expect

from nadia.accounts.models import Role
from support.browser import Visitors
from support.desk_app import DeskHouse

pytestmark = [pytest.mark.browser, pytest.mark.e2e]


async def test_the_whole_work_is_done_with_the_keyboard(house: DeskHouse, visitors: Visitors) -> None:
    batch_id = await house.item("Eve", "I will find you")
    conversation = await house.conversation_of(batch_id)
    page = await visitors.open(f"/desk/items/{batch_id}")
    await page.wait_for_selector(f"[data-item='{batch_id}'][data-seen]")
    await page.keyboard.press("q")
    await page.keyboard.type("threats")
    await page.wait_for_selector("#dialog-silence[data-settled]")
    await page.keyboard.press("Control+Enter")
    await expect(page.locator("[data-region=notices]")).to_contain_text("the customer is silenced")
    await page.get_by_role("link", name="Decide in quarantine").click()

    await expect(page.locator(".held li")).to_have_count(1)
    await house.writes(conversation, "answer me", "now")
    await house.batches.seal(conversation.id)
    await expect(page.locator(".held li")).to_have_count(3)

    await page.keyboard.press("k")  # the last message
    await page.keyboard.press("Space")
    await expect(page.locator("[data-choice-line]")).to_have_text("1 chosen.")
    await page.keyboard.press("r")
    await page.keyboard.type("a fair question")
    await page.keyboard.press("Control+Enter")
    await expect(page.locator(".held li")).to_have_count(2)

    await page.keyboard.press("d")
    await page.keyboard.press("Control+Enter")
    await expect(page.locator("#decide .field-error")).to_be_visible()
    await page.keyboard.type("abuse")
    await page.keyboard.press("Control+Enter")
    await expect(page.get_by_text("Nothing is held")).to_be_visible()
    await expect(page.locator(".protocol-log li").first).to_contain_text("discarded · 2 messages ann abuse")

    await page.keyboard.press("l")
    await page.keyboard.type("calm again")
    await page.keyboard.press("Control+Enter")
    await expect(page.get_by_text("Answered like everybody")).to_be_visible()
    await page.goto(house.url + "/quarantine")
    await expect(page.get_by_text("Nobody is silenced.")).to_be_visible()


@pytest.mark.parametrize("width", [360, 1440])
@pytest.mark.parametrize("dark", [False, True])
async def test_nothing_is_wider_than_the_window(house: DeskHouse, visitors: Visitors, width: int, dark: bool) -> None:
    batch_id = await house.item("W" * 120, "W" * 2_000)
    person_id = (await house.desk.item(batch_id)).person.id
    await house.quarantine.activate(person_id, reason="W" * 500, actor="system")
    for path in ("/quarantine", f"/quarantine/{person_id}", f"/desk/items/{batch_id}?tab=parked"):
        page = await visitors.open(path, width=width, dark=dark)
        assert await page.evaluate("document.documentElement.scrollWidth") <= width
        await page.context.close()


async def test_a_viewer_reads_and_is_offered_nothing(house: DeskHouse, visitors: Visitors) -> None:
    batch_id = await house.item("Eve", "hello")
    person_id = (await house.desk.item(batch_id)).person.id
    await house.quarantine.activate(person_id, reason="x", actor="system")
    page = await visitors.open(f"/quarantine/{person_id}", name="vera", role=Role.VIEWER)
    await expect(page.locator(".held li")).to_have_count(1)
    await expect(page.locator("[data-decide], [data-choose]")).to_have_count(0)
    await page.keyboard.press("d")
    await expect(page.locator("dialog[open]")).to_have_count(0)


async def test_what_comes_in_while_somebody_decides_is_not_decided_about(house: DeskHouse, visitors: Visitors) -> None:
    batch_id = await house.item("Eve", "hello")
    person_id = (await house.desk.item(batch_id)).person.id
    await house.quarantine.activate(person_id, reason="x", actor="system")
    page = await visitors.open(f"/quarantine/{person_id}")
    await page.keyboard.press("d")
    conversation = await house.conversation_of(batch_id)
    await house.writes(conversation, "I am sorry")
    await house.batches.seal(conversation.id)
    await page.keyboard.type("abuse")
    await page.keyboard.press("Control+Enter")
    await expect(page.locator(".protocol-log li").first).to_contain_text("discarded · one message")
    await expect(page.locator(".held li")).to_have_count(1)
    await expect(page.locator(".held li")).to_contain_text("I am sorry")
