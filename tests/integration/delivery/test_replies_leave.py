"""Approved replies leave once, in order, and are on record."""

import asyncio

import pytest

from nadia.conversations.batches import Sealed, SealPostponed
from nadia.conversations.messages import NotOwnerError
from nadia.conversations.models import BatchState, Conversation
from nadia.conversations.pauses import Activity
from nadia.conversations.transitions import TransitionError, lock_batch, move
from nadia.delivery.config import DeliverySettings
from nadia.delivery.outbox import Outbox
from nadia.metrics import REGISTRY
from nadia.postgres.database import Database
from nadia.redis.connection import RedisConnection
from nadia.redis.events import LiveEvents
from nadia.redis.source import RedisSource
from nadia.review.models import Resolution, ReviewerRef
from nadia.telegram.gateway import SentMessage
from nadia.telegram.sandbox.faults import FaultKind
from nadia.telegram.sandbox.wire import DeskTyping, Written
from support.eventually import eventually
from support.gateway_through import Through
from support.post_office import PostOffice
from support.reply_world import DISCLOSURE, World


async def test_a_reply_arrives_bubble_by_bubble_and_is_on_record(office: PostOffice) -> None:
    conversation = await office.customer()
    batch_id = await office.approved(conversation, "Four euros.", "To Malta six.", "Anything else?")
    async with office.delivering():
        await office.reaches(batch_id, "sent")
    assert await office.received(conversation) == ["Four euros.", "To Malta six.", "Anything else?"]
    assert await office.world.replies(conversation) == ["Four euros.", "To Malta six.", "Anything else?"]
    rows = await office.world.outbox_rows(batch_id)
    assert [(row["state"], row["attempts"]) for row in rows] == [("sent", 1)] * 3
    assert [row["telegram_message_id"] for row in rows] == sorted(row["telegram_message_id"] for row in rows)
    assert (await office.world.execute("SELECT replies FROM conversations"))[0]["replies"] == 3
    trail = await office.world.audit(batch_id)
    assert [state for action, state in trail if action == "batch.moved"][-3:] == ["approved", "sending", "sent"]
    assert [action for action, _ in trail].count("reply.bubble_sent") == 3


async def test_the_customer_sees_typing_before_each_bubble(office: PostOffice) -> None:
    conversation = await office.customer()

    async def a_moment(_: float) -> None:
        await asyncio.sleep(0.05)

    batch_id = await office.approved(conversation, "one", "two")
    async with office.delivering(sleep=a_moment):
        await office.reaches(batch_id, "sent")
    await eventually(
        lambda: seen_by(office, conversation) == ["typing", "one", "typing", "two"],
    )


def seen_by(office: PostOffice, conversation: Conversation) -> list[str]:
    """What the desk did in the customer's window, in order."""
    shown: list[str] = []
    for event in office.network.seen:
        if isinstance(event, DeskTyping) and event.chat_id == conversation.chat_id and event.active:
            shown.append("typing")
        elif (
            isinstance(event, Written) and event.message.outgoing and event.message.peer.user_id == conversation.chat_id
        ):
            shown.append(event.message.text)
    return shown


async def test_nothing_leaves_before_the_undo_window_is_over(office: PostOffice) -> None:
    office.world.desk._outbox = Outbox(undo_seconds=600)
    waits, leaves = await office.customer(), await office.customer()
    waiting = await office.approved(waits, "later")
    office.world.desk._outbox = Outbox(undo_seconds=0)
    leaving = await office.approved(leaves, "now")
    async with office.delivering():
        await office.reaches(leaving, "sent")
        assert await office.world.state(waiting) == "approved"
        await office.world.desk.undo(waiting, office.reviewer)
        await office.world.execute("UPDATE outbox SET send_after = now()")
        last = await office.approved(leaves, "again")
        await office.reaches(last, "sent")
    assert await office.received(waits) == []


async def test_undo_and_sending_never_both_win(
    office: PostOffice, desk_database: Database, live_events: LiveEvents
) -> None:
    slow = World(database=desk_database, events=live_events, undo_seconds=0.15)
    office.world.desk = slow.desk
    async with office.delivering():
        for round_number in range(8):
            conversation = await office.customer()
            batch_id = await office.approved(conversation, "Yes.")
            await asyncio.sleep(0.1 + 0.012 * round_number)
            try:
                await office.world.desk.undo(batch_id, office.reviewer)
            except TransitionError:
                await office.reaches(batch_id, "sent")
                assert await office.received(conversation) == ["Yes."]
            else:
                assert await office.world.state(batch_id) == "in_review"
                assert await office.received(conversation) == []


async def test_replies_of_one_chat_leave_in_the_order_of_approval(office: PostOffice) -> None:
    conversation = await office.customer()
    async with office.delivering():
        for number in range(5):
            batch_id = await office.approved(conversation, f"{number} a", f"{number} b")
            await office.reaches(batch_id, "sent")
    assert await office.received(conversation) == [f"{number} {part}" for number in range(5) for part in "ab"]


async def test_one_chat_in_trouble_holds_up_no_other(office: PostOffice) -> None:
    slow, quick = await office.customer("Slow"), await office.customer("Quick")
    await office.network.control.force(FaultKind.SLOW_ANSWER, method="account.send", seconds=600)
    stuck = await office.approved(slow, "one")
    async with office.delivering():
        await office.reaches(stuck, "sending")
        await office.arrive(slow, 1)
        for number in range(3):
            await office.reaches(await office.approved(quick, f"{number}"), "sent")
        assert await office.world.state(stuck) == "sending"


async def test_more_replies_than_may_be_sent_at_once_leave_as_many_at_a_time(office: PostOffice) -> None:
    batches = [await office.approved(await office.customer(f"C{number}"), "Yes.") for number in range(9)]
    in_progress: list[int] = []
    most = 0
    both = asyncio.Event()

    class Counting(Through):
        async def send(self, *, chat_id: int, text: str, random_id: int) -> SentMessage:
            nonlocal most
            in_progress.append(chat_id)
            most = max(most, len(in_progress))
            if len(in_progress) == 2:
                both.set()
            await both.wait()
            try:
                return await self.real.send(chat_id=chat_id, text=text, random_id=random_id)
            finally:
                in_progress.remove(chat_id)

    async with office.delivering(settings=DeliverySettings(concurrency=2, variance=0), wrap=Counting):
        for batch_id in batches:
            await office.reaches(batch_id, "sent")
    assert most == 2


async def test_a_reply_approved_anew_keeps_its_undo_window(office: PostOffice) -> None:
    conversation = await office.customer()
    office.world.desk._outbox = Outbox(undo_seconds=0)
    batch_id = await office.approved(conversation, "Yes.")
    writing, goes_on = asyncio.Event(), asyncio.Event()

    async def held_up(_: float) -> None:
        writing.set()
        await goes_on.wait()

    async with office.delivering(sleep=held_up):
        await writing.wait()
        await office.writes(conversation, "no, wait")
        assert isinstance(await office.world.batches.seal(conversation.id), Sealed)
        office.world.desk._outbox = Outbox(undo_seconds=600)
        await office.world.approve(batch_id, office.reviewer, "No.")
        goes_on.set()
        other = await office.customer()
        office.world.desk._outbox = Outbox(undo_seconds=0)
        await office.reaches(await office.approved(other, "meanwhile"), "sent")
        assert await office.world.state(batch_id) == "approved"
    assert await office.received(conversation) == []


async def test_a_new_customer_is_told_with_the_first_bubble_that_says_so(office: PostOffice) -> None:
    conversation = await office.customer(told=False)
    batch_id = await office.approved(conversation, DISCLOSURE, "Four euros.")
    async with office.delivering():
        await office.reaches(batch_id, "sent")
    (row,) = await office.world.execute("SELECT disclosed_at FROM conversations")
    assert row["disclosed_at"] is not None
    assert (await office.world.desk.item(batch_id)).disclosure is None


async def test_nothing_leaves_while_sending_is_paused(office: PostOffice) -> None:
    conversation = await office.customer()
    await office.world.pauses.pause(Activity.SENDING, account_id="sandbox", reason="test", actor="system")
    batch_id = await office.approved(conversation, "Yes.")
    async with office.delivering():
        await eventually(lambda: REGISTRY.get_sample_value("nadia_delivery_waiting_replies") == 1)
        assert await office.world.state(batch_id) == "approved"
        await office.world.pauses.resume(Activity.SENDING, account_id="sandbox", actor="system")
        await office.reaches(batch_id, "sent")


async def test_a_pause_holds_between_two_bubbles(office: PostOffice) -> None:
    conversation = await office.customer()

    async def pause_at_the_second(seconds: float) -> None:
        if await office.received(conversation) == ["one"]:
            await office.world.pauses.pause(Activity.SENDING, reason="test", actor="system")

    batch_id = await office.approved(conversation, "one", "two")
    async with office.delivering(sleep=pause_at_the_second):
        await office.arrive(conversation, 1)
        other = await office.customer()
        await office.world.approved(other, office.reviewer, "waits as well")
        await eventually(lambda: REGISTRY.get_sample_value("nadia_delivery_waiting_replies") == 2)
    assert await office.received(conversation) == ["one"]
    assert await office.world.state(batch_id) == "sending"


async def test_a_customer_who_writes_while_sending_is_paused_brings_the_reply_back(office: PostOffice) -> None:
    conversation = await office.customer()
    batch_id = await begun_and_paused(office, conversation)
    await office.writes(conversation, "no, wait")
    async with office.delivering():
        await office.reaches(batch_id, "in_review", within=5)
    assert await office.received(conversation) == []
    assert [row["state"] for row in await office.world.outbox_rows(batch_id)] == ["cancelled"]


async def test_what_may_have_gone_out_is_looked_up_for_the_desk_while_sending_is_paused(office: PostOffice) -> None:
    conversation = await office.customer()
    batch_id = await begun_and_paused(office, conversation)
    await office.world.execute(
        "UPDATE outbox SET state = 'sending', attempts = 1, sending_since = now(), after_message_id = 0"
    )
    await office.writes(conversation, "no, wait")
    assert isinstance(await office.world.batches.seal(conversation.id), SealPostponed)
    async with office.delivering():
        await office.reaches(batch_id, "in_review", within=5)
    assert await office.received(conversation) == []


async def test_sealing_brings_a_reply_back_of_which_nothing_is_leaving(office: PostOffice) -> None:
    """Nobody delivers: the account's owner is gone."""
    conversation = await office.customer()
    batch_id = await begun_and_paused(office, conversation)
    await office.writes(conversation, "no, wait")
    sealed = await office.world.batches.seal(conversation.id)
    assert isinstance(sealed, Sealed)
    assert sealed.batch.id == batch_id
    assert await office.world.state(batch_id) == "in_review"
    assert [row["state"] for row in await office.world.outbox_rows(batch_id)] == ["cancelled"]


async def begun_and_paused(office: PostOffice, conversation: Conversation) -> int:
    """A reply of which nothing is out yet when sending is paused."""
    batch_id = await office.approved(conversation, "Yes.")
    async with office.world.database.transaction() as conn:
        await move(conn, await lock_batch(conn, batch_id), BatchState.SENDING, actor="system")
    await office.world.pauses.pause(Activity.SENDING, account_id="sandbox", reason="test", actor="system")
    return batch_id


async def test_a_customer_who_writes_before_sending_brings_the_reply_back(office: PostOffice) -> None:
    conversation = await office.customer()
    batch_id = await office.approved(conversation, "Yes.")
    await office.writes(conversation, "no, wait")
    position = await office.world.events.latest_id()
    async with office.delivering():
        await office.reaches(batch_id, "in_review")
    assert await office.received(conversation) == []
    assert [row["state"] for row in await office.world.outbox_rows(batch_id)] == ["cancelled"]
    assert "reply.stale" in [event.kind for event in await office.world.events.after(position)]
    assert (await office.world.desk.item(batch_id)).stale


async def test_a_customer_who_writes_between_bubbles_stops_the_rest(office: PostOffice) -> None:
    conversation = await office.customer()
    interrupted = False

    async def write_at_the_second(seconds: float) -> None:
        nonlocal interrupted
        if not interrupted and await office.received(conversation) == ["one"]:
            interrupted = True
            await office.writes(conversation, "stop")

    batch_id = await office.approved(conversation, "one", "two", "three")
    async with office.delivering(sleep=write_at_the_second):
        await office.reaches(batch_id, "in_review")
    assert await office.received(conversation) == ["one"]
    assert [row.state for row in (await office.world.desk.item(batch_id)).outbox] == ["sent", "cancelled", "cancelled"]


async def test_a_message_from_the_operators_phone_stops_the_reply_as_well(office: PostOffice) -> None:
    conversation = await office.customer()
    batch_id = await office.approved(conversation, "Yes.")
    await office.world.execute("UPDATE conversations SET revision = revision + 1")
    async with office.delivering():
        await office.reaches(batch_id, "in_review")
    assert await office.received(conversation) == []


async def test_a_process_that_lost_the_account_sends_nothing(office: PostOffice) -> None:
    conversation = await office.customer()
    batch_id = await office.approved(conversation, "Yes.")
    lost = office.world.ownership
    await office.world.own()
    async with office.connected() as gateway:
        with pytest.raises(NotOwnerError):
            async with asyncio.timeout(10):
                await office.delivery(gateway, ownership=lost).run()
    assert await office.received(conversation) == []
    assert await office.world.state(batch_id) == "approved"


async def test_a_process_whose_own_clock_says_stop_sends_nothing(office: PostOffice) -> None:
    conversation = await office.customer()
    await office.approved(conversation, "Yes.")
    office.world.ownership.deadline = 0
    async with office.connected() as gateway:
        with pytest.raises(NotOwnerError):
            async with asyncio.timeout(10):
                await office.delivery(gateway).run()
    assert await office.received(conversation) == []


async def test_delivery_goes_on_while_redis_is_away(office: PostOffice) -> None:
    conversation = await office.customer()
    batch_id = await office.approved(conversation, "Yes.")
    nowhere = LiveEvents(redis=RedisConnection(RedisSource(url="unix:///nonexistent/redis.sock")))
    async with office.delivering(events=nowhere):
        await office.reaches(batch_id, "sent")


async def test_a_typing_indicator_that_telegram_refuses_does_not_hold_up_the_reply(office: PostOffice) -> None:
    conversation = await office.customer()
    await office.network.control.force(FaultKind.FLOOD_WAIT, method="account.typing", times=10, seconds=60)
    batch_id = await office.approved(conversation, "one", "two")
    async with office.delivering():
        await office.reaches(batch_id, "sent")


async def test_stopping_cuts_typing_short_and_loses_nothing(office: PostOffice) -> None:
    conversation = await office.customer()
    typing = asyncio.Event()

    async def forever(_: float) -> None:
        typing.set()
        await asyncio.Event().wait()

    batch_id = await office.approved(conversation, "Yes.")
    async with office.connected() as gateway:
        delivery = office.delivery(gateway, sleep=forever)
        running = asyncio.create_task(delivery.run())
        await typing.wait()
        delivery.stop()
        async with asyncio.timeout(5):
            await running
    assert [row["state"] for row in await office.world.outbox_rows(batch_id)] == ["queued"]
    async with office.delivering():
        await office.reaches(batch_id, "sent")
    assert await office.received(conversation) == ["Yes."]


async def test_stopping_waits_for_what_is_just_being_sent(office: PostOffice) -> None:
    conversation = await office.customer()
    await office.network.control.force(FaultKind.SLOW_ANSWER, method="account.send", seconds=0.4)
    batch_id = await office.approved(conversation, "one", "two")
    async with office.connected() as gateway:
        delivery = office.delivery(gateway)
        running = asyncio.create_task(delivery.run())
        await office.arrive(conversation, 1)
        delivery.stop()
        async with asyncio.timeout(5):
            await running
    assert [row["state"] for row in await office.world.outbox_rows(batch_id)] == ["sent", "queued"]


async def test_a_half_sent_reply_goes_on_by_the_word_of_a_person(office: PostOffice, reviewer: ReviewerRef) -> None:
    conversation = await office.customer()
    batch_id = await office.approved(conversation, "one", "two")
    await office.network.block(conversation.chat_id)
    async with office.delivering():
        await office.reaches(batch_id, "parked")
        assert await office.world.notices() == ["batch.parked"]
        assert "refused" in ((await office.world.desk.item(batch_id)).item.parked_reason or "")
        await office.network.customers.block(account="sandbox", user_id=conversation.chat_id, blocked=False)
        await office.world.desk.unpark(batch_id, reviewer, resolution=Resolution.SEND_AGAIN)
        await office.reaches(batch_id, "sent")
    assert await office.received(conversation) == ["one", "two"]
