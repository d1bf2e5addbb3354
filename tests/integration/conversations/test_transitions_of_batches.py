"""What a batch may turn into; each turn has its audit row. Expiry, parking and their notices."""

import asyncio
from datetime import timedelta

import pytest

from nadia.conversations.batches import Sealed
from nadia.conversations.models import BatchState
from nadia.conversations.transitions import ALLOWED, TransitionError, lock_batch, move
from nadia.errors import NotFoundError
from nadia.notices import Notice, Severity
from nadia.notices import record as record_notice
from support.core import Core

S = BatchState
WAYS = {
    S.SEALED: (),
    S.DRAFTED: (S.DRAFTED,),
    S.IN_REVIEW: (S.DRAFTED, S.IN_REVIEW),
    S.APPROVED: (S.DRAFTED, S.IN_REVIEW, S.APPROVED),
    S.SENDING: (S.DRAFTED, S.IN_REVIEW, S.APPROVED, S.SENDING),
    S.SENT: (S.DRAFTED, S.IN_REVIEW, S.APPROVED, S.SENDING, S.SENT),
    S.REJECTED: (S.DRAFTED, S.IN_REVIEW, S.REJECTED),
    S.EXPIRED: (S.EXPIRED,),
    S.PARKED: (S.PARKED,),
}
HOUR = timedelta(hours=1)


async def age(core: Core, batch_id: int, age: timedelta) -> None:
    """Let the batch and its messages be so old."""
    await core.execute("UPDATE batches SET sealed_at = sealed_at - %s WHERE id = %s", age, batch_id)
    await core.execute("UPDATE messages SET received_at = received_at - %s WHERE batch_id = %s", age, batch_id)


@pytest.mark.parametrize("state", WAYS)
async def test_every_turn_that_the_table_does_not_allow_is_refused_without_a_trace(
    core: Core, state: BatchState
) -> None:
    batch = await core.sealed()
    await core.take_to(batch.id, *WAYS[state])
    rows = await core.value("SELECT count(*) FROM audit_log")
    forbidden = set(S) - ALLOWED[state]
    if state is S.PARKED:
        forbidden |= {S.DRAFTED, S.IN_REVIEW, S.APPROVED, S.SENDING}  # it was parked from sealed
    for to in sorted(forbidden):
        with pytest.raises(TransitionError):
            await core.take_to(batch.id, to)
    assert (await core.batch(batch.id)).state is state
    assert await core.value("SELECT count(*) FROM audit_log") == rows


async def test_each_turn_has_one_audit_row_with_who_and_why(core: Core) -> None:
    batch = await core.sealed()
    async with core.database.transaction() as conn:
        await move(conn, await lock_batch(conn, batch.id), S.PARKED, actor="account:7", reason="looks odd")
    rows = await core.execute(
        "SELECT actor, before, after FROM audit_log WHERE subject = %s ORDER BY id", f"batch:{batch.id}"
    )
    assert [(row["actor"], row["before"], row["after"]) for row in rows] == [
        ("system", {"state": "buffering"}, {"state": "sealed"}),
        ("account:7", {"state": "sealed"}, {"state": "parked", "reason": "looks odd"}),
    ]


async def test_a_rolled_back_turn_leaves_no_audit_row(core: Core) -> None:
    batch = await core.sealed()
    with pytest.raises(KeyError):
        async with core.database.transaction() as conn:
            await move(conn, await lock_batch(conn, batch.id), S.DRAFTED, actor="system")
            raise KeyError("something else went wrong")
    assert (await core.batch(batch.id)).state is S.SEALED
    assert await core.value("SELECT count(*) FROM audit_log WHERE after ->> 'state' = 'drafted'") == 0


async def test_of_two_who_turn_it_at_once_one_is_refused(core: Core) -> None:
    batch = await core.sealed()
    await core.take_to(batch.id, S.DRAFTED, S.IN_REVIEW)
    outcomes = await asyncio.gather(
        *(core.take_to(batch.id, to) for to in (S.APPROVED, S.REJECTED, S.EXPIRED)), return_exceptions=True
    )
    assert sum(isinstance(outcome, TransitionError) for outcome in outcomes) == 2


async def test_a_batch_that_is_not_there_is_named(core: Core) -> None:
    with pytest.raises(NotFoundError, match="12345"):
        await core.batch(12345)


async def test_a_redraft_asks_for_the_next_revision_with_all_its_attempts(core: Core) -> None:
    batch = await core.sealed()
    await core.execute("UPDATE batches SET drafting_attempts = 3")
    await core.take_to(batch.id, S.DRAFTED)
    async with core.database.transaction() as conn:
        again = (await move(conn, await lock_batch(conn, batch.id), S.SEALED, actor="system", redraft=True)).batch
    assert (again.revision, again.drafting_attempts) == (batch.revision + 1, 0)


async def test_a_parked_batch_returns_to_where_it_was_and_may_be_drafted_again(core: Core) -> None:
    batch = await core.sealed()
    await core.execute("UPDATE batches SET drafting_attempts = 5")
    parked = await core.park(batch.id, reason="no draft came")
    assert (parked.parked_from, parked.parked_reason) == (S.SEALED, "no draft came")
    back = await core.take_to(batch.id, S.SEALED)
    assert (back.state, back.parked_from, back.parked_reason, back.drafting_attempts) == (S.SEALED, None, None, 0)


async def test_a_parked_batch_cannot_return_beside_a_newer_open_one(core: Core) -> None:
    old = await core.sealed()
    await core.park(old.id, reason="for a person")
    new = await core.sealed(1001, "hello again?")
    assert new.id != old.id
    with pytest.raises(TransitionError, match="newer open one"):
        await core.take_to(old.id, S.SEALED)
    await core.take_to(old.id, S.REJECTED)  # it can still be ended
    assert (await core.batch(new.id)).state is S.SEALED


async def test_a_batch_without_a_draft_says_why_until_it_is_drafted(core: Core) -> None:
    batch = await core.sealed()
    async with core.database.transaction() as conn:
        moved = await move(conn, await lock_batch(conn, batch.id), S.IN_REVIEW, actor="system", reason="no model")
    assert moved.batch.no_draft_reason == "no model"
    async with core.database.transaction() as conn:
        again = await move(conn, await lock_batch(conn, batch.id), S.SEALED, actor="system", redraft=True)
    assert again.batch.no_draft_reason is None


async def test_parking_tells_a_person_in_the_same_transaction(core: Core) -> None:
    batch = await core.sealed()
    await core.park(batch.id, reason="drafting never ended")
    (notice,) = await core.execute("SELECT topic, severity, summary, labels FROM notices")
    assert (notice["topic"], notice["severity"]) == ("batch.parked", "critical")
    assert "drafting never ended" in notice["summary"]
    assert notice["labels"] == {"batch": str(batch.id)}

    with pytest.raises(TransitionError):
        await core.park(batch.id, reason="again")
    assert await core.value("SELECT count(*) FROM notices") == 1


@pytest.mark.parametrize("end", [S.SEALED, S.REJECTED, S.EXPIRED])
async def test_whatever_ends_a_parked_item_ends_what_was_told_of_it(core: Core, end: S) -> None:
    batch = await core.sealed()
    other = await core.sealed(2)
    for parked in (batch, other):
        await core.park(parked.id, reason="drafting never ended")
    await core.take_to(batch.id, end)
    (over,) = await core.execute("SELECT topic, labels FROM notices WHERE resolves")
    assert over == {"topic": "batch.parked", "labels": {"batch": str(batch.id)}}


async def test_an_item_that_was_parked_without_a_notice_ends_without_one(core: Core) -> None:
    batch = await core.sealed()
    await core.take_to(batch.id, S.PARKED, S.SEALED)
    assert await core.value("SELECT count(*) FROM notices") == 0


async def test_what_nobody_answered_expires_with_a_notice(core: Core) -> None:
    old, young, ended = [await core.sealed(chat) for chat in (1, 2, 3)]
    await core.take_to(ended.id, S.DRAFTED, S.IN_REVIEW, S.REJECTED)
    for batch in (old, ended):
        await age(core, batch.id, 2 * HOUR)
    assert await core.batches.expire(older_than=HOUR) == 1
    assert await core.batches.expire(older_than=HOUR) == 0
    states = [(await core.batch(batch.id)).state for batch in (old, young, ended)]
    assert states == [S.EXPIRED, S.SEALED, S.REJECTED]
    assert await core.value("SELECT labels ->> 'batch' FROM notices WHERE topic = 'batch.expired'") == str(old.id)


async def test_a_customer_who_wrote_again_is_not_expired(core: Core) -> None:
    joined, buffering = [await core.sealed(chat) for chat in (1, 2)]
    for batch in (joined, buffering):
        await age(core, batch.id, 2 * HOUR)
        await core.record(await core.customer(1 if batch is joined else 2), "still here")
    assert isinstance(await core.batches.seal(joined.conversation_id), Sealed)
    assert await core.batches.expire(older_than=HOUR) == 0


async def test_what_a_reviewer_holds_does_not_expire(core: Core) -> None:
    batch = await core.sealed()
    await core.take_to(batch.id, S.DRAFTED, S.IN_REVIEW)
    await age(core, batch.id, 2 * HOUR)
    await core.claim(batch.id)
    assert await core.batches.expire(older_than=HOUR) == 0
    await core.execute("UPDATE batches SET claim_expires_at = clock_timestamp() - interval '1 s'")
    assert await core.batches.expire(older_than=HOUR) == 1


async def test_a_claim_that_comes_while_expiry_waits_for_the_lock_wins(core: Core) -> None:
    batch = await core.sealed()
    await core.take_to(batch.id, S.DRAFTED, S.IN_REVIEW)
    await age(core, batch.id, 2 * HOUR)
    async with core.database.transaction() as conn:
        await lock_batch(conn, batch.id)
        expiring = asyncio.create_task(core.batches.expire(older_than=HOUR))
        async with asyncio.timeout(10):
            while not await core.value("SELECT count(*) FROM pg_locks WHERE NOT granted"):
                await asyncio.sleep(0.01)
        await conn.execute(
            "WITH who AS (INSERT INTO accounts (name, role) VALUES ('Jonas', 'reviewer') RETURNING id) UPDATE batches "
            "SET claimed_by = who.id, claim_expires_at = clock_timestamp() + interval '1 minute' FROM who"
        )
    assert await expiring == 0
    assert (await core.batch(batch.id)).state is S.IN_REVIEW


async def test_batches_are_counted_by_state(core: Core) -> None:
    for chat in (1, 2, 3):
        await core.sealed(chat)
    await core.take_to((await core.sealed(4)).id, S.DRAFTED)
    assert await core.batches.counts([S.SEALED, S.DRAFTED, S.SENT]) == {S.SEALED: 3, S.DRAFTED: 1, S.SENT: 0}


async def test_the_most_urgent_wait_for_their_draft_first_besides_those_known(core: Core) -> None:
    plain = await core.sealed(1)
    urgent = await core.sealed(2, priority=10)
    later = await core.sealed(3)
    assert await core.batches.sealed_for(at_least_seconds=0) == [urgent.id, plain.id, later.id]
    assert await core.batches.sealed_for(at_least_seconds=0, limit=1, besides=[urgent.id]) == [plain.id]
    assert await core.batches.sealed_for(at_least_seconds=60) == []


async def test_a_notice_goes_the_way_of_its_transaction(core: Core) -> None:
    notice = Notice(topic="test.topic", summary="Look at it.", severity=Severity.INFO, labels={"account": "desk"})
    with pytest.raises(KeyError):
        async with core.database.transaction() as conn:
            await record_notice(conn, notice)
            raise KeyError("undone")
    assert await core.value("SELECT count(*) FROM notices") == 0
    async with core.database.transaction() as conn:
        await record_notice(conn, notice)
    (row,) = await core.execute("SELECT topic, severity, summary, labels, drained_at FROM notices")
    assert row == {
        "topic": "test.topic",
        "severity": "info",
        "summary": "Look at it.",
        "labels": {"account": "desk"},
        "drained_at": None,
    }
