"""A reviewer's work in a real browser."""

import asyncio
import re

import pytest
from playwright.async_api import Page, expect

from nadia.accounts.models import Role
from nadia.conversations.models import BatchState
from nadia.telegram.gateway import Media
from support.browser import Visitors
from support.desk_app import DISCLOSURE, DeskHouse, fill

pytestmark = [pytest.mark.browser, pytest.mark.e2e]


async def live(page: Page) -> Page:
    await page.wait_for_selector("[data-live][data-state=live]", state="attached")
    return page


async def opened(page: Page, batch_id: int) -> None:
    # an approval is taken only of what has stood there for a moment
    await page.wait_for_selector(f"[data-item='{batch_id}'][data-seen]")


async def test_the_whole_work_is_done_with_the_keyboard(house: DeskHouse, visitors: Visitors) -> None:
    page = await live(await visitors.open("/desk"))
    await expect(page.get_by_text("Nobody is waiting")).to_be_visible()
    first = await house.item("Ana Ruiz", "where is my order?", draft="It left on Tuesday.")
    await expect(page.locator("[data-rows] > li")).to_have_count(1)
    second = await house.item("Tom Becker", "are you open today?", draft="Yes, until six.")
    await expect(page.locator("[data-rows] > li")).to_have_count(2)
    await expect(page).to_have_title(re.compile(r"^\(2\) Desk"))

    await page.keyboard.press("j")
    await page.keyboard.press("Enter")
    await opened(page, first)
    await page.keyboard.press("e")
    await expect(page.locator("[data-claim-line]")).to_contain_text("Yours for")
    await page.keyboard.press("Control+End")
    await page.keyboard.type(" And arrives on Friday.")
    await expect(page.locator("[data-preview] ins")).to_contain_text("And arrives on Friday")
    await page.keyboard.press("Control+Enter")

    await opened(page, second)
    assert await house.outbox(first) == ["It left on Tuesday. And arrives on Friday."]
    await page.keyboard.press("u")
    await opened(page, first)
    assert await house.state(first) is BatchState.IN_REVIEW
    await expect(page.locator("[data-text]")).to_have_value("It left on Tuesday. And arrives on Friday.")


async def test_a_second_press_does_not_approve_the_next_item_unseen(house: DeskHouse, visitors: Visitors) -> None:
    first, second = await house.item("Ana", "one"), await house.item("Tom", "two")
    page = await visitors.open(f"/desk/items/{first}")
    await opened(page, first)
    # the second press comes in the very moment in which the next item does
    await page.evaluate(
        """(next) => new MutationObserver((_, observer) => {
            if (!document.querySelector(`[data-item="${next}"]`)) return;
            observer.disconnect();
            document.body.dispatchEvent(new KeyboardEvent("keydown", { key: "Enter", ctrlKey: true, bubbles: true }));
            document.body.dataset.pressedAgain = "true";
        }).observe(document.querySelector("[data-pane]"), { childList: true })""",
        second,
    )
    await page.keyboard.press("Control+Enter")
    await page.wait_for_selector("body[data-pressed-again]")
    await opened(page, second)
    await expect(page.locator("[data-rows] > li")).to_have_count(1)
    assert await house.state(second) is BatchState.DRAFTED


async def test_newer_messages_are_shown_and_approval_asks(house: DeskHouse, visitors: Visitors) -> None:
    batch_id = await house.item("Ana", "hello", draft="Hi")
    page = await live(await visitors.open(f"/desk/items/{batch_id}"))
    await opened(page, batch_id)
    await page.locator("[data-text]").fill("Hello Ana")
    await house.writes(await house.conversation_of(batch_id), "one more thing")
    await expect(page.locator("[data-divider]")).to_have_text("New since the draft")
    await expect(page.locator("[data-text]")).to_have_value("Hello Ana")

    await page.keyboard.press("Control+Enter")
    dialog = page.locator("#dialog-stale")
    await expect(dialog).to_contain_text("one more thing")
    await expect(page.get_by_role("button", name="Look again")).to_be_focused()
    await page.keyboard.press("Escape")
    assert await house.state(batch_id) is BatchState.IN_REVIEW

    await page.keyboard.press("Control+Enter")
    await page.get_by_role("button", name="Approve all the same").click()
    await expect(page.get_by_text("Approved for Ana")).to_be_visible()
    assert await house.outbox(batch_id) == ["Hello Ana"]


async def test_a_refused_approval_shows_what_is_new_and_keeps_the_text(house: DeskHouse, visitors: Visitors) -> None:
    batch_id = await house.item("Ana", "hello", draft="Hi")
    page = await visitors.open("/me")
    # this page is told of nothing: it learns that the customer wrote from the refusal
    await page.route("**/api/v1/live*", lambda route: route.abort())
    await page.goto(f"{house.url}/desk/items/{batch_id}")
    await opened(page, batch_id)
    await page.locator("[data-text]").fill("Hello Ana")
    await house.writes(await house.conversation_of(batch_id), "wait")
    await page.keyboard.press("Control+Enter")
    await expect(page.locator(".toast[data-tone=bad]")).to_contain_text("moved on")
    await expect(page.locator("[data-divider]")).to_be_visible()
    await expect(page.locator("[data-text]")).to_have_value("Hello Ana")
    assert await house.outbox(batch_id) == []


async def taken_back(house: DeskHouse, batch_id: int) -> None:
    """Wait until an item that a page let go has been taken again."""
    async with asyncio.timeout(15):
        while True:
            steps = [entry.action for entry in (await house.desk.item(batch_id)).audit]
            if [step for step in steps if step.startswith("item.")] == [
                "item.claimed",
                "item.released",
                "item.claimed",
            ]:
                return
            await asyncio.sleep(0.05)


async def test_typed_text_survives_a_reload_and_another_draft(house: DeskHouse, visitors: Visitors) -> None:
    batch_id = await house.item("Ana", "hello", draft="Hi")
    page = await live(await visitors.open(f"/desk/items/{batch_id}"))
    await page.locator("[data-text]").fill("half a thought")
    await expect(page.locator("[data-claim-line]")).to_contain_text("Yours for")
    await page.reload()
    await expect(page.locator("[data-text]")).to_have_value("half a thought")
    await live(page)
    await taken_back(house, batch_id)
    await expect(page.locator("[data-claim-line]")).to_contain_text("Yours for")
    await house.desk.redraft(batch_id, await house.reviewer("ann"))
    await house.drafts(batch_id, "A better draft")
    await page.get_by_role("button", name="Keep my text").click()
    await expect(page.locator("[data-text]")).to_have_value("half a thought")
    await expect(page.locator("[data-preview] del")).to_contain_text("A better draft")
    await page.get_by_role("button", name="Back to the start").click()
    await expect(page.locator("[data-text]")).to_have_value("A better draft")


async def test_one_works_and_the_other_sees_who(house: DeskHouse, visitors: Visitors) -> None:
    batch_id = await house.item("Ana", "hello")
    ann = await live(await visitors.open(f"/desk/items/{batch_id}", name="ann"))
    bob = await live(await visitors.open(f"/desk/items/{batch_id}", name="bob"))
    await ann.keyboard.press("e")
    await expect(bob.locator("[data-claim-line]")).to_contain_text("Held by ann")
    await expect(bob.locator("[data-text]")).not_to_be_editable()
    await expect(bob.get_by_role("button", name="Approve")).to_be_disabled()
    await expect(bob.locator("[data-rows] .badge", has_text="ann")).to_be_visible()
    await ann.get_by_role("button", name="Release").click()
    await expect(bob.locator("[data-text]")).to_be_editable()
    await expect(bob.locator("[data-claim-line]")).to_be_hidden()


async def test_leaving_an_item_gives_it_back(house: DeskHouse, visitors: Visitors) -> None:
    first, second = await house.item("Ana", "one"), await house.item("Tom", "two")
    page = await live(await visitors.open(f"/desk/items/{first}"))
    await page.keyboard.press("e")
    await expect(page.locator(f"[data-key='{first}'] .badge", has_text="You")).to_be_visible()
    await page.locator(f"[data-key='{second}'] a").click()
    await expect(page.locator(f"[data-key='{first}'] .badge", has_text="You")).to_have_count(0)


async def test_keys_are_letters_while_somebody_types(house: DeskHouse, visitors: Visitors) -> None:
    batch_id = await house.item("Ana", "hello")
    page = await visitors.open(f"/desk/items/{batch_id}")
    await page.keyboard.press("e")
    await page.keyboard.press("Control+a")
    await page.keyboard.type("jkroensup/?")
    await expect(page.locator("[data-text]")).to_have_value("jkroensup/?")
    await page.keyboard.press("Escape")
    await page.keyboard.press("/")
    await page.keyboard.type("rnj")
    await expect(page.locator("[data-filter]")).to_have_value("rnj")
    await expect(page.get_by_text("Nothing here matches the filter")).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(page.locator("[data-rows] > li")).to_be_visible()
    assert await page.locator("dialog[open]").count() == 0


async def test_the_help_sheet_keeps_focus_and_gives_it_back(house: DeskHouse, visitors: Visitors) -> None:
    await house.item("Ana", "hello")
    page = await visitors.open("/desk")
    await page.keyboard.press("j")
    await page.keyboard.press("?")
    sheet = page.locator("#dialog-help")
    await expect(sheet).to_be_visible()
    for _ in range(4):
        await page.keyboard.press("Tab")
        assert await page.evaluate(
            "document.activeElement.closest('dialog') !== null || document.activeElement === document.body"
        )
    await page.keyboard.press("j")
    await page.keyboard.press("Escape")
    await expect(sheet).to_be_hidden()
    await expect(page.locator("[data-rows] a")).to_be_focused()


async def test_rejecting_asks_why(house: DeskHouse, visitors: Visitors) -> None:
    batch_id = await house.item("Ana", "buy gold now")
    page = await visitors.open(f"/desk/items/{batch_id}")
    await page.keyboard.press("r")
    await page.keyboard.type("advertising")
    await page.wait_for_selector("#dialog-reject[data-settled]")
    await page.keyboard.press("Control+Enter")
    await expect(page.get_by_text("Rejected: no reply goes out")).to_be_visible()
    decision = (await house.desk.item(batch_id)).decisions[-1]
    assert (decision.decision, decision.reason) == ("reject", "advertising")


async def test_a_saved_reply_is_found_and_inserted(house: DeskHouse, visitors: Visitors) -> None:
    batch_id = await house.item("Ana", "where is my order?", draft="Hello Ana")
    page = await visitors.open(f"/desk/items/{batch_id}")
    await page.keyboard.press("s")
    options = page.locator("[data-replies] [role=option]")
    await expect(options.first).to_contain_text("Where is my order")
    await page.keyboard.type("opening hours")
    await expect(options.first).to_contain_text("Opening hours")
    await page.keyboard.press("Enter")
    await expect(page.locator("[data-text]")).to_have_value(re.compile("open", re.IGNORECASE))
    await expect(page.locator("[data-text]")).to_be_focused()


async def test_the_disclosure_stands_first_and_cannot_be_changed(house: DeskHouse, visitors: Visitors) -> None:
    batch_id = await house.item("Ana", "hello", draft="Hi Ana", told=False)
    page = await visitors.open(f"/desk/items/{batch_id}")
    await opened(page, batch_id)
    await expect(page.locator(".locked")).to_contain_text(DISCLOSURE)
    await expect(page.locator("[data-text]")).to_have_value("Hi Ana")
    await page.keyboard.press("Control+Enter")
    await expect(page.get_by_text("Approved for Ana")).to_be_visible()
    assert await house.outbox(batch_id) == [DISCLOSURE, "Hi Ana"]


async def test_a_reply_that_is_too_long_is_not_sent_off(house: DeskHouse, visitors: Visitors) -> None:
    batch_id = await house.item("Ana", "hello")
    page = await visitors.open(f"/desk/items/{batch_id}")
    await opened(page, batch_id)
    await page.locator("[data-text]").fill("short\n\n" + "😀" * 2049)
    await expect(page.locator("[data-problem]")).to_have_text("Message 2 has 4,098 characters; Telegram takes 4,096.")
    await page.get_by_role("button", name="Approve").click()
    assert await house.outbox(batch_id) == []


async def test_sending_is_paused_for_everybody_and_resumed(house: DeskHouse, visitors: Visitors) -> None:
    ann = await live(await visitors.open("/desk", name="ann"))
    bob = await live(await visitors.open("/desk", name="bob"))
    await ann.keyboard.press("p")
    await ann.get_by_label("Reason for a pause").fill("stock-taking")
    await ann.locator("[data-pause=sending]").click()
    await expect(bob.get_by_text("Sending is paused")).to_be_visible()
    await expect(ann.locator("[data-resume=sending]")).to_be_focused()
    await ann.locator("[data-resume=sending]").click()
    await expect(bob.get_by_text("Sending is paused")).to_have_count(0)


async def test_a_parked_item_is_taken_up_again(house: DeskHouse, visitors: Visitors) -> None:
    batch_id = await house.item("Ana", "hello")
    page = await live(await visitors.open(f"/desk/items/{batch_id}"))
    await page.get_by_role("button", name="Park…").click()
    await page.get_by_label("What does it wait for?").fill("the warehouse")
    await page.get_by_role("button", name=re.compile("^Park")).last.click()
    await expect(page.get_by_text("Nobody is waiting")).to_be_visible()
    await page.get_by_role("link", name=re.compile("^Parked")).click()
    await page.locator("[data-rows] a").click()
    await expect(page.get_by_text("Parked: the warehouse")).to_be_visible()
    await page.get_by_role("button", name="Take it up again").click()
    await expect(page.locator("[data-text]")).to_be_visible()
    assert await house.state(batch_id) is BatchState.DRAFTED


async def test_strangers_words_run_nothing_and_move_nothing(house: DeskHouse, visitors: Visitors) -> None:
    numbers = await fill(house)
    for width in (360, 1440):
        page = await visitors.open("/desk", width=width, height=740)
        for number in numbers:
            await page.goto(f"{house.url}/desk/items/{number}")
            await page.wait_for_selector(f"[data-item='{number}']")
            assert await page.evaluate("document.documentElement.scrollWidth") <= width
    await page.goto(f"{house.url}/desk/items/{numbers[3]}")
    await expect(page.locator("[data-item] h2")).to_have_text(
        "Eve[U+202E] gnp.exe[U+200B] <b onmouseover=alert(1)>bold</b>"
    )
    await expect(page.locator(".thread")).to_contain_text("<script>alert('hi')</script>")


async def test_on_a_narrow_screen_queue_and_item_are_screens_of_their_own(house: DeskHouse, visitors: Visitors) -> None:
    await house.item("Ana", "hello")
    page = await visitors.open("/desk", width=360, height=740)
    await page.locator("[data-rows] a").click()
    await expect(page.locator("[data-text]")).to_be_visible()
    await expect(page.locator("[data-queue]")).to_be_hidden()
    await page.get_by_role("link", name="Back to the queue").click()
    await expect(page.locator("[data-queue]")).to_be_visible()
    await page.go_back()
    await expect(page.locator("[data-text]")).to_be_visible()


async def test_rows_that_arrive_do_not_push_what_is_there(house: DeskHouse, visitors: Visitors) -> None:
    await house.item("Ana", "hello")
    page = await live(await visitors.open("/desk"))
    await page.keyboard.press("j")
    await page.evaluate(
        """() => { window.shift = 0; new PerformanceObserver((list) => {
            for (const entry of list.getEntries()) window.shift += entry.value;
        }).observe({ type: "layout-shift" }); }"""
    )
    for name in ("Tom", "Mei", "Omar"):
        await house.item(name, "hello")
    await expect(page.locator("[data-rows] > li")).to_have_count(4)
    await expect(page.locator("[data-announcer]")).not_to_be_empty()
    assert await page.evaluate("window.shift") == 0
    assert await page.evaluate("document.activeElement.querySelector('[data-name]').textContent") == "Ana"


async def test_a_viewer_reads_and_decides_nothing(house: DeskHouse, visitors: Visitors) -> None:
    batch_id = await house.item("Ana", "hello", draft="drafted words")
    page = await visitors.open(f"/desk/items/{batch_id}", name="vera", role=Role.VIEWER)
    await opened(page, batch_id)
    await expect(page.get_by_role("list", name="Draft")).to_have_text("drafted words")
    for key in ("e", "r", "n", "s", "p", "w", "x", "u", "Control+Enter"):
        await page.keyboard.press(key)
    assert await page.locator("dialog[open]").count() == 0
    await page.keyboard.press("?")
    sheet = page.locator("#dialog-help")
    await expect(sheet).to_contain_text("filter the queue")
    await expect(sheet).not_to_contain_text("approve")
    assert await house.state(batch_id) is BatchState.DRAFTED


async def redrafted(house: DeskHouse, batch_id: int, *bubbles: str) -> None:
    await house.desk.redraft(batch_id, await house.reviewer("ann"))
    await house.drafts(batch_id, *bubbles)


async def test_a_draft_that_comes_while_the_dialog_is_open_is_not_approved(
    house: DeskHouse, visitors: Visitors
) -> None:
    batch_id = await house.item("Ana", "hello", draft="Hi")
    page = await live(await visitors.open(f"/desk/items/{batch_id}"))
    await opened(page, batch_id)
    await house.writes(await house.conversation_of(batch_id), "one more thing")
    await expect(page.locator("[data-divider]")).to_be_visible()
    await page.keyboard.press("Control+Enter")
    await expect(page.locator("#dialog-stale")).to_be_visible()
    await redrafted(house, batch_id, "A draft nobody has read")
    await expect(page.locator("[data-text]")).to_have_value("A draft nobody has read")
    await page.get_by_role("button", name="Approve all the same").click()
    await expect(page.locator(".toast[data-tone=warn]")).to_contain_text("There is a new draft")
    assert await house.outbox(batch_id) == []


async def test_a_text_of_ones_own_is_not_approved_past_a_new_draft(house: DeskHouse, visitors: Visitors) -> None:
    batch_id = await house.item("Ana", "hello", draft="Hi")
    page = await live(await visitors.open(f"/desk/items/{batch_id}"))
    await opened(page, batch_id)
    await page.locator("[data-text]").fill("Hello Ana")
    await expect(page.locator("[data-claim-line]")).to_contain_text("Yours for")
    await redrafted(house, batch_id, "Hi Ana")
    await expect(page.get_by_text("There is a new draft.")).to_be_visible()
    await page.keyboard.press("Control+Enter")
    await expect(page.locator(".toast[data-tone=bad]")).to_contain_text("There is a new draft")
    assert await house.outbox(batch_id) == []
    await page.get_by_role("button", name="Keep my text").click()
    await page.keyboard.press("Control+Enter")
    await expect(page.get_by_text("Approved for Ana")).to_be_visible()
    assert await house.outbox(batch_id) == ["Hello Ana"]


async def test_a_draft_that_replaces_another_says_so_and_is_not_approved_unseen(
    house: DeskHouse, visitors: Visitors
) -> None:
    batch_id = await house.item("Ana", "hello", draft="Hi")
    page = await live(await visitors.open(f"/desk/items/{batch_id}"))
    await opened(page, batch_id)
    # pressed in the very moment in which the mark of the new draft comes
    await page.evaluate(
        """() => new MutationObserver((_, observer) => {
            if (!document.querySelector("[data-new-mark]").textContent) return;
            observer.disconnect();
            document.body.dispatchEvent(new KeyboardEvent("keydown", { key: "Enter", ctrlKey: true, bubbles: true }));
            document.body.dataset.pressed = "true";
        }).observe(document.querySelector("[data-new-mark]"), { childList: true })"""
    )
    await redrafted(house, batch_id, "Another draft")
    await page.wait_for_selector("body[data-pressed]")
    await expect(page.locator("[data-new-mark]")).to_have_text("New draft")
    await expect(page.locator("[data-text]")).to_have_value("Another draft")
    await opened(page, batch_id)
    assert await house.outbox(batch_id) == []
    await page.keyboard.press("Control+Enter")
    await expect(page.get_by_text("Approved for Ana")).to_be_visible()
    assert await house.outbox(batch_id) == ["Another draft"]


async def test_a_draft_that_answers_everything_is_approved_without_a_question(
    house: DeskHouse, visitors: Visitors
) -> None:
    batch_id = await house.item("Ana", "hello", draft="Hi")
    page = await live(await visitors.open(f"/desk/items/{batch_id}"))
    await opened(page, batch_id)
    await house.writes(await house.conversation_of(batch_id), "one more thing")
    await expect(page.locator("[data-divider]")).to_be_visible()
    await redrafted(house, batch_id, "Both answered")
    await expect(page.locator("[data-text]")).to_have_value("Both answered")
    await opened(page, batch_id)
    await page.keyboard.press("Control+Enter")
    await expect(page.get_by_text("Approved for Ana")).to_be_visible()
    assert await house.outbox(batch_id) == ["Both answered"]


async def test_a_text_kept_past_a_redraft_is_asked_about_with_what_it_may_not_answer(
    house: DeskHouse, visitors: Visitors
) -> None:
    batch_id = await house.item("Ana", "hello", draft="Hi")
    page = await live(await visitors.open(f"/desk/items/{batch_id}"))
    await opened(page, batch_id)
    await page.locator("[data-text]").fill("Hello Ana")
    await house.writes(await house.conversation_of(batch_id), "one more thing")
    await expect(page.locator("[data-divider]")).to_be_visible()
    await redrafted(house, batch_id, "Both answered")
    await page.get_by_role("button", name="Keep my text").click()
    await page.keyboard.press("Control+Enter")
    dialog = page.locator("#dialog-stale")
    await expect(dialog).to_contain_text("one more thing")
    await expect(dialog.locator("[data-changes]")).to_be_hidden()


async def test_what_is_edited_while_the_page_is_open_is_told_of(house: DeskHouse, visitors: Visitors) -> None:
    conversation = await house.conversation("Ana")
    (number,) = await house.writes(conversation, "hello")
    batch_id = await house.seals(conversation)
    await house.drafts(batch_id, "Hi")
    page = await live(await visitors.open(f"/desk/items/{batch_id}"))
    await opened(page, batch_id)
    await house.messages.delete(
        account_id="sandbox",
        chat_id=conversation.chat_id,
        telegram_message_ids=[number],
        fencing_token=house.ownership.fencing_token,
    )
    await house.events.publish("message.deleted", conversation=conversation.id)
    await expect(page.locator(".message[data-deleted]")).to_be_visible()
    await page.keyboard.press("Control+Enter")
    dialog = page.locator("#dialog-stale")
    await expect(dialog.locator("h2")).to_have_text("The conversation has changed")
    await expect(dialog.locator("[data-changes]")).to_be_visible()


async def test_closing_a_second_tab_leaves_the_claim_with_the_first(house: DeskHouse, visitors: Visitors) -> None:
    batch_id = await house.item("Ana", "hello")
    first = await live(await visitors.open(f"/desk/items/{batch_id}"))
    await first.locator("[data-text]").fill("half a thought")
    await expect(first.locator("[data-claim-line]")).to_contain_text("Yours for")
    second = await first.context.new_page()
    await second.goto(first.url)
    await expect(second.locator("[data-claim-line]")).to_contain_text("Yours for")
    await second.close(run_before_unload=True)
    await taken_back(house, batch_id)
    assert (await house.desk.item(batch_id)).item.claimed_by == "ann"


async def test_giving_an_item_back_with_its_own_button_does_not_take_it_again(
    house: DeskHouse, visitors: Visitors
) -> None:
    batch_id = await house.item("Ana", "hello")
    page = await live(await visitors.open(f"/desk/items/{batch_id}"))
    await page.locator("[data-text]").fill("half a thought")
    await expect(page.locator("[data-claim-line]")).to_contain_text("Yours for")
    await page.locator("[data-text]").press("Escape")
    await page.keyboard.press("x")
    await expect(page.locator("[data-claim-line]")).to_be_hidden()
    async with asyncio.timeout(15):  # the page does not wait for the answer
        while (await house.desk.item(batch_id)).item.claimed_by is not None:
            await page.wait_for_timeout(50)
    # what the page was told of its own release has arrived when this has
    await house.writes(await house.conversation_of(batch_id), "one more thing")
    await expect(page.locator("[data-divider]")).to_be_visible()
    assert (await house.desk.item(batch_id)).item.claimed_by is None


async def test_after_a_reload_the_key_takes_back_the_last_approval_of_ones_own(
    house: DeskHouse, visitors: Visitors
) -> None:
    own, others = await house.item("Ana", "one", draft="Hi Ana"), await house.item("Tom", "two", draft="Hi Tom")
    page = await live(await visitors.open(f"/desk/items/{own}"))
    await opened(page, own)
    await page.keyboard.press("Control+Enter")
    await expect(page.get_by_text("Approved for Ana")).to_be_visible()
    seen = await house.desk.item(others)
    assert seen.draft is not None
    await house.desk.approve(
        others,
        await house.reviewer("bob"),
        bubbles=["Hi Tom"],
        seen_revision=seen.conversation_revision,
        seen_draft=seen.draft.id,
    )
    await page.goto(f"{house.url}/desk")
    await live(page)
    await page.keyboard.press("u")
    await opened(page, own)
    assert await house.state(own) is BatchState.IN_REVIEW
    assert await house.state(others) is BatchState.APPROVED


async def test_a_reply_with_characters_that_nobody_sees_is_warned_of(house: DeskHouse, visitors: Visitors) -> None:
    batch_id = await house.item("Ana", "pay \u202eno more", draft="see exe\u202efdp.pdf")
    page = await visitors.open(f"/desk/items/{batch_id}")
    await expect(page.locator(".thread")).to_contain_text("pay [U+202E]no more")
    await expect(page.locator(".row-preview")).to_contain_text("[U+202E]")
    warning = page.locator("[data-hidden-characters]")
    await expect(warning).to_have_text("This reply holds characters that nobody sees: U+202E.")
    await page.locator("[data-text]").fill("see pdf 👩‍👩‍👧")
    await expect(warning).to_be_hidden()


async def test_the_item_is_parked_with_a_key(house: DeskHouse, visitors: Visitors) -> None:
    batch_id = await house.item("Ana", "hello")
    page = await visitors.open(f"/desk/items/{batch_id}")
    await page.keyboard.press("w")
    await page.get_by_label("What does it wait for?").fill("the warehouse")
    await page.wait_for_selector("#dialog-park[data-settled]")
    await page.keyboard.press("Control+Enter")
    await expect(page.get_by_text("Nobody is waiting")).to_be_visible()
    assert await house.state(batch_id) is BatchState.PARKED


async def test_what_came_late_and_what_is_not_text_is_said_at_the_desk(house: DeskHouse, visitors: Visitors) -> None:
    mina = await house.conversation("Mina")
    voice = Media(reference="document:5", duration=12)
    await house.writes(mina, "Where is it?", hours_ago=14)
    await house.writes(mina, "", kind="voice", media=voice, hours_ago=14)
    batch_id = await house.seals(mina)
    for width in (360, 1440):
        page = await visitors.open("/desk", width=width)
        row = page.locator(f".row[data-key='{batch_id}']")
        await expect(row.locator(".row-preview")).to_have_text("Voice message, 0:12")
        await expect(row).to_contain_text("Late: written 14 h 00 ago")
        await row.get_by_role("link").click()
        await expect(page.locator(".item-facts")).to_contain_text("written 14 h 00 ago")
        await expect(page.locator(".item-facts .badge")).to_have_text("Late")
        await expect(page.locator(".message .kind")).to_have_text("Voice message, 0:12")
        await expect(page.locator(".message-note").first).to_contain_text("reached us 14 h 00 late")
        assert await page.evaluate("document.documentElement.scrollWidth") <= width
