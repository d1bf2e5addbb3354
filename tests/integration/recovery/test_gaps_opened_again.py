"""What a new gap takes over of those before it: where to begin, what to compare, which chats to try again."""

from collections.abc import Collection
from dataclasses import replace
from datetime import timedelta
from typing import Any

from nadia.recovery.catching_up import CatchingUp
from nadia.recovery.config import RecoveryConfig, RecoveryTier
from nadia.recovery.models import Chat, Gap, Reason
from nadia.recovery.store import RecoveryStore
from nadia.telegram.errors import GatewayError
from support.core import ACCOUNT
from support.recovering import Downtime


def store_of(downtime: Downtime) -> RecoveryStore:
    return RecoveryStore(database=downtime.core.database, settings=RecoveryConfig(), clock=downtime.clock)


async def look_again(downtime: Downtime, reason: Reason, **settings: Any) -> Gap:
    """Have an agent work on a gap that was opened for a reason."""
    gap = await store_of(downtime).open_gap(downtime.core.ownership, reason)
    async with downtime.looking(downtime.agent(**settings), connect=False):
        await downtime.until_closed()
    return gap


async def is_behind(downtime: Downtime, chat_id: int) -> bool:
    conversation = await downtime.core.customer(chat_id)
    async with downtime.core.database.connection() as conn:
        return await CatchingUp().is_behind(conn, conversation)


def refuse(downtime: Downtime, chats: Collection[int]) -> None:
    """Have Telegram show every chat but these."""
    real = downtime.telegram.history

    async def history(**page: int) -> object:
        if page["chat_id"] in chats:
            raise GatewayError("this chat cannot be read")
        return await real(**page)

    downtime.telegram.history = history  # type: ignore[assignment, method-assign]


async def test_a_quiet_account_is_not_read_whole_the_second_time(downtime: Downtime) -> None:
    downtime.write(1, "years old", hours_ago=9_000)
    newest = downtime.write(2, "old too", hours_ago=100)
    await downtime.recover()
    assert await downtime.cursor() == newest.message_id, "all that is too old lies below it"

    downtime.write(1, "young", hours_ago=1)
    await downtime.recover()

    assert (await downtime.texts(1), await downtime.texts(2)) == (["young"], [])


async def test_an_account_without_a_low_mark_is_new_however_often_it_was_looked_at(downtime: Downtime) -> None:
    await downtime.recover()
    assert await downtime.cursor() == 0, "there was no chat"
    for n in range(3):
        downtime.write(1, f"years old {n}", hours_ago=9_000 - n)

    assert await store_of(downtime).low_mark(ACCOUNT) == (0, downtime.clock.now - timedelta(hours=72))
    for reason in (Reason.START, Reason.REQUEST):
        await downtime.core.execute("UPDATE recovery_cursors SET message_id = 0")
        await look_again(downtime, reason)
        assert await downtime.texts(1) == []


async def test_a_live_message_does_not_open_the_past_of_a_new_account(downtime: Downtime) -> None:
    await downtime.recover()
    downtime.write(1, "years old", hours_ago=9_000)
    await downtime.live(1, "live")
    await look_again(downtime, Reason.SCHEDULE)
    assert await downtime.texts(1) == ["live"]


async def test_looking_again_holds_no_reply(downtime: Downtime) -> None:
    await downtime.live(1)
    store, ownership = store_of(downtime), downtime.core.ownership
    for reason in (Reason.SCHEDULE, Reason.REQUEST):
        gap = await store.open_gap(ownership, reason)
        assert not await is_behind(downtime, 1)
        operation = await store.begin_operation(ownership, gap)
        chat = Chat(1, RecoveryTier.TIER_1, 9, downtime.clock.now, gap.after_message_id)
        await store.add_chats(ownership, gap, [chat])
        await store.listed(ownership, gap, operation, dialogs=1)
        assert not await is_behind(downtime, 1)
    for reason in (Reason.RECONNECT, Reason.REQUEST):
        await store.open_gap(ownership, reason)
        assert await is_behind(downtime, 1), "what is known to be missing stays known"


async def test_a_reconnect_does_not_forget_that_a_comparison_was_asked_for(downtime: Downtime) -> None:
    message = await downtime.live(1, "chagned")
    await downtime.recover()
    downtime.telegram.put(replace(message, text="changed", edited_at=downtime.clock.now))
    await store_of(downtime).open_gap(downtime.core.ownership, Reason.REQUEST)

    await downtime.recover()

    assert await downtime.texts(1) == ["changed"]
    assert (await downtime.gap())["reason"] == "start"


async def test_chats_that_were_read_before_somebody_asked_are_compared_too(downtime: Downtime) -> None:
    await downtime.live(9)
    message = downtime.write(1, "chagned")
    downtime.write(2, "unreadable")
    unreadable = {2}
    refuse(downtime, unreadable)
    async with downtime.looking(downtime.agent()):
        await downtime.ended("failed")
    assert await downtime.texts(1) == ["chagned"]
    downtime.telegram.put(replace(message, text="changed", edited_at=downtime.clock.now))
    unreadable.clear()

    await look_again(downtime, Reason.REQUEST)

    assert (await downtime.texts(1), await downtime.texts(2)) == (["changed"], ["unreadable"])


async def test_a_chat_that_could_not_be_read_is_read_with_the_next_gap(downtime: Downtime) -> None:
    await downtime.live(99)
    downtime.write(1, "below the cursor by then")
    unreadable = {1}
    refuse(downtime, unreadable)
    await downtime.recover(downtime.agent(most_attempts=2))
    assert (await downtime.chats())[1]["state"] == "failed"
    assert (await downtime.notices(), await downtime.ended_notices()) == (["recovery.chat_unreadable"], [])

    unreadable.clear()
    await downtime.live(1, "hello?")
    await look_again(downtime, Reason.REQUEST)
    assert await downtime.ended_notices() == ["recovery.chat_unreadable"]

    assert sorted(await downtime.texts(1)) == ["below the cursor by then", "hello?"]
    states = await downtime.core.execute("SELECT state FROM recovery_chats WHERE chat_id = 1 ORDER BY gap_id")
    assert [row["state"] for row in states] == ["carried", "done"]


async def test_a_chat_that_can_never_be_read_is_tried_once_with_each_gap_and_told_of_once(downtime: Downtime) -> None:
    await downtime.live(99)
    downtime.write(1, "unreadable")
    refuse(downtime, {1})
    await downtime.recover(downtime.agent(most_attempts=3))
    for tried in (4, 5):
        await look_again(downtime, Reason.SCHEDULE, most_attempts=3)
        chat = (await downtime.chats())[1]
        assert (chat["state"], chat["attempts"]) == ("failed", tried)
    assert await downtime.notices() == ["recovery.chat_unreadable"]


async def test_a_link_that_breaks_is_no_try_of_a_chat_that_was_carried_over(downtime: Downtime) -> None:
    await downtime.live(99)
    downtime.write(1, "unreadable")
    refuse(downtime, {1})
    await downtime.recover(downtime.agent())
    store, ownership = store_of(downtime), downtime.core.ownership
    gap = await store.open_gap(ownership, Reason.RECONNECT)
    operation = await store.begin_operation(ownership, gap)
    chat = Chat(1, RecoveryTier.TIER_1, 2, downtime.clock.now, gap.after_message_id)
    await store.fail_chat(ownership, gap, operation, chat, error="the link is gone", counts=False)
    assert (await downtime.chats())[1]["state"] == "pending"
    assert await downtime.notices() == ["recovery.chat_unreadable"]


async def test_a_failed_chat_of_a_new_account_is_read_only_as_far_back_as_it_was_to_be(downtime: Downtime) -> None:
    downtime.write(1, "years old", hours_ago=9_000)
    downtime.write(1, "young", hours_ago=1)
    unreadable = {1}
    refuse(downtime, unreadable)
    await downtime.recover(downtime.agent(most_attempts=1))
    unreadable.clear()
    gap = await look_again(downtime, Reason.REQUEST)
    assert gap.not_before is None
    assert await downtime.texts(1) == ["young"]
