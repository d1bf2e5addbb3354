"""Taking back, and taking up what was parked."""

import asyncio

import pytest

from nadia.conversations.batches import park
from nadia.conversations.models import BatchState
from nadia.conversations.transitions import TransitionError, lock_batch, move
from nadia.errors import ConflictError, InvalidInputError
from nadia.postgres.database import Database
from nadia.redis.events import LiveEvents
from nadia.review.models import Resolution, ReviewerRef
from support.reply_world import World


@pytest.fixture
async def undoable(world: World, desk_database: Database, live_events: LiveEvents) -> World:
    """A world with a minute to undo."""
    slow = World(database=desk_database, events=live_events, undo_seconds=60)
    slow.ownership = world.ownership
    return slow


async def half_sent(world: World, reviewer: ReviewerRef) -> int:
    """A reply of which one bubble went out and the second is in doubt."""
    batch_id = await world.approved(await world.customer(), reviewer, "one", "two", "three")
    await world.execute(
        "UPDATE outbox SET state = 'sent', telegram_message_id = 500, sent_at = now() WHERE position = 0"
    )
    await world.execute("UPDATE outbox SET state = 'parked', attempts = 1, sending_since = now() WHERE position = 1")
    async with world.database.transaction() as conn:
        sending = await move(conn, await lock_batch(conn, batch_id), BatchState.SENDING, actor="system")
        await park(conn, sending, reason="it may have been sent", actor="system")
    return batch_id


async def test_undo_brings_the_reply_back_to_who_took_it_back(undoable: World, reviewer: ReviewerRef) -> None:
    batch_id = await undoable.approved(await undoable.customer(), reviewer, "Yes.")
    assert (await undoable.desk.item(batch_id)).undo_until is not None
    await undoable.desk.undo(batch_id, reviewer)
    detail = await undoable.desk.item(batch_id)
    assert (detail.item.state, detail.item.claimed_by) == ("in_review", "Jonas")
    assert [row.state for row in detail.outbox] == ["cancelled"]
    assert [decision.decision for decision in detail.decisions] == ["approve", "undo"]
    assert detail.undo_until is None


async def test_undo_ends_with_its_window(world: World, reviewer: ReviewerRef) -> None:
    batch_id = await world.approved(await world.customer(), reviewer, "Yes.")
    with pytest.raises(TransitionError, match="no longer"):
        await world.desk.undo(batch_id, reviewer)
    assert await world.state(batch_id) == "approved"


async def test_undo_needs_an_approval(undoable: World, reviewer: ReviewerRef) -> None:
    batch_id = await undoable.drafted(await undoable.customer())
    with pytest.raises(TransitionError, match="not approved"):
        await undoable.desk.undo(batch_id, reviewer)


async def test_undoing_twice_at_once_is_one_undo(undoable: World, reviewer: ReviewerRef) -> None:
    batch_id = await undoable.approved(await undoable.customer(), reviewer, "Yes.")
    results = await asyncio.gather(*(undoable.desk.undo(batch_id, reviewer) for _ in range(3)), return_exceptions=True)
    assert sum(isinstance(result, TransitionError) for result in results) == 2


async def test_a_reply_that_was_undone_and_approved_again_can_be_undone_again(
    undoable: World, reviewer: ReviewerRef
) -> None:
    batch_id = await undoable.approved(await undoable.customer(), reviewer, "Yes.")
    await undoable.desk.undo(batch_id, reviewer)
    await undoable.approve(batch_id, reviewer, "No.")
    await undoable.desk.undo(batch_id, reviewer)
    assert [row["state"] for row in await undoable.outbox_rows(batch_id)] == ["cancelled", "cancelled"]


async def test_a_parked_item_resumes_where_it_was(world: World, reviewer: ReviewerRef) -> None:
    batch_id = await world.drafted(await world.customer())
    await world.desk.park(batch_id, reviewer, reason="waits for the warehouse")
    (item,) = await world.desk.parked()
    assert (item.batch_id, item.parked_reason) == (batch_id, "waits for the warehouse")
    assert await world.desk.unpark(batch_id, reviewer, resolution=Resolution.RESUME) is BatchState.DRAFTED


async def test_a_parked_batch_without_a_draft_asks_for_one_again(world: World, reviewer: ReviewerRef) -> None:
    batch_id = await world.sealed(await world.customer())
    await world.execute("UPDATE batches SET drafting_attempts = 5")
    async with world.database.transaction() as conn:
        await park(conn, await lock_batch(conn, batch_id), reason="drafting it failed repeatedly", actor="system")
    await world.desk.unpark(batch_id, reviewer, resolution=Resolution.RESUME)
    (row,) = await world.execute("SELECT state, drafting_attempts FROM batches")
    assert row == {"state": "sealed", "drafting_attempts": 0}
    assert world.wanted_drafts == [batch_id]


async def test_parking_needs_a_reason_and_something_that_waits(world: World, reviewer: ReviewerRef) -> None:
    batch_id = await world.approved(await world.customer(), reviewer, "Yes.")
    with pytest.raises(InvalidInputError, match="reason"):
        await world.desk.park(batch_id, reviewer, reason=" ")
    with pytest.raises(TransitionError):
        await world.desk.park(batch_id, reviewer, reason="later")


async def test_unparking_is_refused_while_the_conversation_has_another_item(
    world: World, reviewer: ReviewerRef
) -> None:
    conversation = await world.customer()
    batch_id = await world.drafted(conversation)
    await world.desk.park(batch_id, reviewer, reason="later")
    other = await world.sealed(conversation, "Hello?")
    with pytest.raises(ConflictError, match=str(other)):
        await world.desk.unpark(batch_id, reviewer, resolution=Resolution.RESUME)
    assert await world.desk.unpark(batch_id, reviewer, resolution=Resolution.REJECT) is BatchState.REJECTED


async def test_what_is_not_parked_cannot_be_taken_up(world: World, reviewer: ReviewerRef) -> None:
    batch_id = await world.drafted(await world.customer())
    with pytest.raises(TransitionError, match="not parked"):
        await world.desk.unpark(batch_id, reviewer, resolution=Resolution.REJECT)


async def test_a_bubble_in_doubt_that_was_sent_goes_on_record_and_the_rest_goes_on(
    world: World, reviewer: ReviewerRef
) -> None:
    batch_id = await half_sent(world, reviewer)
    assert await world.desk.unpark(batch_id, reviewer, resolution=Resolution.WAS_SENT) is BatchState.SENDING
    rows = await world.outbox_rows(batch_id)
    assert [row["state"] for row in rows] == ["sent", "sent", "queued"]
    texts = await world.execute("SELECT text FROM messages WHERE author = 'desk'")
    assert [row["text"] for row in texts] == ["two"]


async def test_a_reply_ends_when_its_last_bubble_was_sent_by_the_word_of_a_person(
    world: World, reviewer: ReviewerRef
) -> None:
    batch_id = await half_sent(world, reviewer)
    await world.execute("UPDATE outbox SET state = 'cancelled' WHERE position = 2")
    assert await world.desk.unpark(batch_id, reviewer, resolution=Resolution.WAS_SENT) is BatchState.SENT


async def test_a_bubble_that_is_sent_again_is_another_message(world: World, reviewer: ReviewerRef) -> None:
    batch_id = await half_sent(world, reviewer)
    assert await world.desk.unpark(batch_id, reviewer, resolution=Resolution.SEND_AGAIN) is BatchState.SENDING
    rows = await world.outbox_rows(batch_id)
    assert [(row["text"], row["state"]) for row in rows] == [
        ("one", "sent"),
        ("two", "cancelled"),
        ("three", "cancelled"),
        ("two", "queued"),
        ("three", "queued"),
    ]
    assert len({row["random_id"] for row in rows}) == 5
    decisions = (await world.desk.item(batch_id)).decisions
    assert [decision.bubbles for decision in decisions] == [("one", "two", "three"), ("two", "three")]
    assert {row["conversation_revision"] for row in rows} == {1}


async def test_a_half_sent_reply_can_come_back_to_the_desk(world: World, reviewer: ReviewerRef) -> None:
    batch_id = await half_sent(world, reviewer)
    assert await world.desk.unpark(batch_id, reviewer, resolution=Resolution.RESUME) is BatchState.IN_REVIEW
    assert [row["state"] for row in await world.outbox_rows(batch_id)] == ["sent", "cancelled", "cancelled"]


async def test_a_rejected_half_sent_reply_sends_no_more(world: World, reviewer: ReviewerRef) -> None:
    batch_id = await half_sent(world, reviewer)
    assert await world.desk.unpark(batch_id, reviewer, resolution=Resolution.REJECT) is BatchState.REJECTED
    assert [row["state"] for row in await world.outbox_rows(batch_id)] == ["sent", "cancelled", "cancelled"]


@pytest.mark.parametrize("resolution", [Resolution.WAS_SENT, Resolution.SEND_AGAIN])
async def test_without_a_bubble_in_doubt_there_is_nothing_to_say_about_it(
    world: World, reviewer: ReviewerRef, resolution: Resolution
) -> None:
    batch_id = await world.drafted(await world.customer())
    await world.desk.park(batch_id, reviewer, reason="later")
    with pytest.raises(ConflictError, match="in doubt"):
        await world.desk.unpark(batch_id, reviewer, resolution=resolution)
    assert await world.state(batch_id) == "parked"
