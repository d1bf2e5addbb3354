"""What waits, and for whom: each probe of the queues turns when its queue is in trouble, and only that one."""

from dataclasses import replace
from datetime import timedelta
from typing import LiteralString

from nadia.conversations.models import BatchState
from nadia.conversations.pauses import Activity
from nadia.delivery.catching_up import BEHIND
from nadia.health.config import HealthSettings
from nadia.redis.keys import WAL_GROUP, WAL_STREAM
from support.core import ScriptedDrafter, running, until
from support.health_world import NEEDS, WARNING, HealthWorld

SIX_MINUTES = timedelta(minutes=6)


async def test_an_installation_where_nothing_waits_is_well(world: HealthWorld) -> None:
    report = await world.report()

    assert {result.id for result in report.probes} == set(NEEDS)
    assert await world.turned() == {}, report.summary
    assert report.of("wal-entries").summary == "0 not taken up, 0 being drafted"


async def test_more_than_a_hundred_entries_on_the_stream_are_a_warning(world: HealthWorld) -> None:
    await world.core.wal.read(limit=1, wait_seconds=0.01)  # makes the group
    await world.core.wal.add(range(1, 101))
    assert await world.turned() == {}, "the bound itself is not above the bound"

    await world.core.wal.add([101])

    assert await world.turned() == {"wal-entries": WARNING}
    found = await world.of("wal-entries")
    assert (found.value, found.threshold, found.figures) == (101, 100, {"lag": 101, "pending": 0, "paused": 0})


async def test_what_a_worker_has_read_counts_until_it_is_acknowledged(world: HealthWorld) -> None:
    await world.core.wal.read(limit=1, wait_seconds=0.01)
    await world.core.wal.add([1, 2, 3])
    read = await world.core.wal.read(limit=2)
    assert (await world.of("wal-entries")).figures == {"lag": 1, "pending": 2, "paused": 0}

    await world.core.wal.acknowledge(read[0])

    assert (await world.of("wal-entries")).figures == {"lag": 1, "pending": 1, "paused": 0}


async def test_entries_that_no_worker_ever_read_are_a_warning(world: HealthWorld) -> None:
    await world.core.wal.add([1])

    assert await world.turned() == {"wal-entries": WARNING}
    assert "no worker ever read the stream" in (await world.of("wal-entries")).summary


async def test_what_a_pause_keeps_on_the_stream_is_no_trouble(world: HealthWorld) -> None:
    strict = replace(world, settings=HealthSettings(wal_entries=1))
    await world.core.wal.read(limit=1, wait_seconds=0.01)
    await world.core.wal.add([(await world.core.sealed(chat)).id for chat in (1001, 1002)])
    assert await strict.turned() == {"wal-entries": WARNING}

    await world.core.pauses.pause(Activity.DRAFTING, reason="a new persona", actor="test")

    assert await strict.turned() == {}
    found = await strict.of("wal-entries")
    assert (found.value, found.figures) == (0, {"lag": 2, "pending": 0, "paused": 2})
    assert found.summary == "2 not taken up, 0 being drafted; 2 wait because drafting is paused"


async def test_a_stuck_consumer_is_told_and_a_living_one_mends_it(world: HealthWorld) -> None:
    await world.core.wal.read(limit=1, wait_seconds=0.01)
    await world.core.wal.add([1, 2])
    await world.core.wal.read(limit=2)  # and then it dies
    await idle(world, seconds=99)
    assert await world.turned() == {}, "the lease is not over yet"

    await idle(world, seconds=101)

    assert await world.turned() == {"wal-stuck": WARNING}
    found = await world.of("wal-stuck")
    assert found.value == 2
    assert found.summary.startswith("2 batches, untouched for up to 10")
    worker = world.core.drafting(ScriptedDrafter())

    async def mended() -> bool:
        return await world.turned() == {}

    async with running(worker.run):
        await until(mended, what="another worker took the entries over")


async def test_a_batch_that_waits_long_for_a_draft_is_a_warning_also_when_redis_forgot_it(world: HealthWorld) -> None:
    batch = await world.core.sealed(1001)
    await aged(world, batch.id, "changed_at", SIX_MINUTES)

    assert await world.turned() == {"wal-oldest": WARNING}
    assert (await world.of("wal-oldest")).summary == "1 batch without a draft, the oldest for 6 min"


async def test_batches_that_wait_because_drafting_is_paused_are_no_trouble(world: HealthWorld) -> None:
    batch = await world.core.sealed(1001)
    await aged(world, batch.id, "changed_at", SIX_MINUTES)
    await world.core.pauses.pause(Activity.DRAFTING, reason="a new persona", actor="test")

    assert await world.turned() == {}
    assert (await world.of("wal-oldest")).summary == "1 batch without a draft; 1 wait because drafting is paused"


async def test_a_parked_item_is_a_warning_until_a_person_takes_it_up(world: HealthWorld) -> None:
    batch = await world.core.sealed(1001)
    await world.core.park(batch.id, reason="refused by Telegram")

    assert await world.turned() == {"parked-items": WARNING}
    await world.core.take_to(batch.id, BatchState.REJECTED)
    assert await world.turned() == {}


async def test_more_than_fifty_items_on_the_desk_are_a_warning_drafted_or_not(world: HealthWorld) -> None:
    for chat in range(1001, 1051):
        batch = await world.core.sealed(chat)
        if chat % 2:
            await world.core.take_to(batch.id, BatchState.DRAFTED)
    assert await world.turned() == {}

    await world.core.sealed(2001)

    assert await world.turned() == {"review-queue": WARNING}
    found = await world.of("review-queue")
    assert (found.value, found.figures) == (51, {"ready": 25})


async def test_an_item_that_waits_long_for_a_person_is_a_warning(world: HealthWorld) -> None:
    batch = await world.core.sealed(1001)
    await world.core.take_to(batch.id, BatchState.DRAFTED)
    await aged(world, batch.id, "sealed_at", timedelta(minutes=61))

    assert await world.turned() == {"review-wait": WARNING}
    assert (await world.of("review-wait")).summary == "the oldest item for 61 min"


async def test_a_reply_that_was_approved_long_ago_and_is_not_out_is_a_warning(world: HealthWorld) -> None:
    await approved(world, ago=SIX_MINUTES)

    assert await world.turned() == {"outbox-age": WARNING}
    assert (await world.of("outbox-age")).summary == "1 reply, the oldest approved 6 min ago"


async def test_a_reply_that_can_still_be_taken_back_is_not_late(world: HealthWorld) -> None:
    await approved(world, ago=SIX_MINUTES, due_in=timedelta(seconds=30))

    assert await world.turned() == {}


async def test_a_reply_that_failed_and_is_tried_again_later_is_late(world: HealthWorld) -> None:
    await approved(world, ago=SIX_MINUTES, due_in=timedelta(seconds=30), error="Telegram asked for a pause", attempts=3)

    assert await world.turned() == {"outbox-age": WARNING}


async def test_replies_held_back_on_purpose_are_counted_and_no_trouble(world: HealthWorld) -> None:
    await approved(world, ago=SIX_MINUTES, error=BEHIND)
    assert (await world.of("outbox-age")).summary == "1 reply; 1 until what was missed in the chat is read"
    await world.core.pauses.pause(Activity.SENDING, account_id="desk", reason="a holiday", actor="test")
    await approved(world, chat=1002, ago=SIX_MINUTES)

    assert await world.turned() == {}
    assert (await world.of("outbox-age")).summary == "2 replies; 2 held back because sending is paused"


async def test_a_pause_of_another_account_excuses_nothing(world: HealthWorld) -> None:
    await world.core.ownerships.register("other", "sandbox")
    await world.core.pauses.pause(Activity.SENDING, account_id="other", reason="a holiday", actor="test")
    await approved(world, ago=SIX_MINUTES)

    assert await world.turned() == {"outbox-age": WARNING}


async def test_held_messages_are_no_trouble_until_their_time_runs_out(world: HealthWorld) -> None:
    await held(world, left=timedelta(hours=25))
    assert await world.turned() == {}
    assert (await world.of("quarantine")).summary == "1 message of 1 person held; the first expires in 25 h"

    await held(world, chat=1002, left=timedelta(hours=23))

    assert await world.turned() == {"quarantine": WARNING}
    found = await world.of("quarantine")
    assert found.figures == {"held": 2, "people": 2}


async def test_a_redis_that_was_emptied_hides_nothing_that_waits(world: HealthWorld) -> None:
    batch = await world.core.sealed(1001)
    await world.core.wal.read(limit=1, wait_seconds=0.01)
    await world.core.wal.add([batch.id])
    await aged(world, batch.id, "changed_at", SIX_MINUTES)

    async with world.core.redis.use() as redis:
        await redis.flushall()
    await world.link(1)

    assert await world.turned() == {"wal-oldest": WARNING}


async def idle(world: HealthWorld, *, seconds: float) -> None:
    """Make it look as if the consumer had not touched its entries for so long."""
    async with world.core.redis.use() as redis:
        pending = await redis.xpending_range(WAL_STREAM, WAL_GROUP, min="-", max="+", count=10)
        for entry in pending:
            await redis.execute_command(
                "XCLAIM", WAL_STREAM, WAL_GROUP, "one", 0, entry["message_id"], "IDLE", int(seconds * 1000)
            )


async def aged(world: HealthWorld, batch_id: int, column: str, age: timedelta) -> None:
    statements = {
        "changed_at": "UPDATE batches SET changed_at = clock_timestamp() - %s WHERE id = %s",
        "sealed_at": "UPDATE batches SET sealed_at = clock_timestamp() - %s WHERE id = %s",
    }
    async with world.core.database.connection() as conn:
        await conn.execute(statements[column].encode(), (age, batch_id))


async def execute(world: HealthWorld, statement: LiteralString, **values: object) -> None:
    async with world.core.database.connection() as conn:
        await conn.execute(statement, values)


async def approved(
    world: HealthWorld,
    *,
    chat: int = 1001,
    ago: timedelta,
    due_in: timedelta = timedelta(0),
    error: str | None = None,
    attempts: int = 0,
) -> None:
    """A reply that a person approved so long ago, as the outbox has it."""
    batch = await world.core.sealed(chat)
    await world.core.take_to(batch.id, BatchState.DRAFTED, BatchState.IN_REVIEW, BatchState.APPROVED)
    await execute(
        world,
        "WITH who AS (INSERT INTO accounts (name, role) VALUES ('reviewer ' || %(chat)s, 'reviewer') RETURNING id), "
        "decided AS (INSERT INTO review_decisions "
        "(batch_id, account_id, decision, bubbles, conversation_revision, decided_at) "
        "SELECT %(batch)s, who.id, 'approve', '{Yes}', 1, clock_timestamp() - %(ago)s FROM who RETURNING id) "
        "INSERT INTO outbox (decision_id, batch_id, conversation_id, telegram_account_id, position, text, random_id, "
        "conversation_revision, send_after, last_error, attempts) "
        "SELECT decided.id, %(batch)s, %(conversation)s, 'desk', 0, 'Yes', %(batch)s, 1, "
        "clock_timestamp() + %(due_in)s, %(error)s, %(attempts)s FROM decided",
        chat=str(chat),
        batch=batch.id,
        conversation=batch.conversation_id,
        ago=ago,
        due_in=due_in,
        error=error,
        attempts=attempts,
    )


async def held(world: HealthWorld, *, chat: int = 1001, left: timedelta) -> None:
    """A message of a silenced customer, with so much time left for a decision."""
    conversation = await world.core.customer(chat)
    await world.core.record(conversation)
    await execute(
        world,
        "INSERT INTO quarantine_messages (message_id, person_id, held_at, expires_at) "
        "SELECT m.id, c.person_id, clock_timestamp() - interval '6 days', clock_timestamp() + %(left)s "
        "FROM messages m JOIN conversations c ON c.id = m.conversation_id WHERE c.id = %(conversation)s",
        left=left,
        conversation=conversation.id,
    )
