"""Sealing: a burst's messages become one batch or join the open one, whoever tries and however often."""

import asyncio

import pytest

from nadia.conversations.batches import Sealed, SealPostponed
from nadia.conversations.models import BatchState
from nadia.postgres.database import DatabaseError
from support.core import Core

S = BatchState
WAY_TO = {
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


async def test_many_sealers_at_once_make_one_batch_of_all_messages(core: Core) -> None:
    conversation = await core.customer()
    for number in range(7):
        await core.record(conversation, f"message {number}")

    outcomes = await asyncio.gather(*(core.batches.seal(conversation.id) for _ in range(12)))

    sealed = [outcome for outcome in outcomes if isinstance(outcome, Sealed)]
    assert len(sealed) == 1
    assert sealed[0].messages == 7
    assert outcomes.count(None) == 11
    rows = await core.execute("SELECT text, batch_id, telegram_message_id, sent_at FROM messages ORDER BY id")
    assert [row["text"] for row in rows] == [f"message {number}" for number in range(7)]
    assert {row["batch_id"] for row in rows} == {sealed[0].batch.id}
    assert [row["telegram_message_id"] for row in rows] == sorted(row["telegram_message_id"] for row in rows)


async def test_sealers_and_writers_at_once_leave_every_message_in_exactly_one_batch(core: Core) -> None:
    conversation = await core.customer()

    async def write() -> None:
        for number in range(30):
            await core.record(conversation, str(number))

    async def seal() -> None:
        for _ in range(15):
            await core.batches.seal(conversation.id)

    await asyncio.gather(write(), seal(), seal(), seal())
    await core.batches.seal(conversation.id)

    rows = await core.execute("SELECT text, batch_id FROM messages ORDER BY id")
    assert [row["text"] for row in rows] == [str(number) for number in range(30)]
    assert len({row["batch_id"] for row in rows}) == 1  # nobody drafted in between: all joined the open one
    assert None not in {row["batch_id"] for row in rows}


async def test_nothing_to_seal_makes_no_batch(core: Core) -> None:
    conversation = await core.customer()
    await core.record(conversation, "from the operator's phone", direction="out")
    assert await core.batches.seal(conversation.id) is None
    assert await core.batches.seal(987654) is None
    assert await core.value("SELECT count(*) FROM batches") == 0


@pytest.mark.parametrize("state", [S.SEALED, S.DRAFTED, S.IN_REVIEW])
async def test_a_burst_joins_the_open_batch_and_asks_for_another_draft(core: Core, state: BatchState) -> None:
    batch = await core.sealed()
    await core.take_to(batch.id, *WAY_TO[state])
    conversation = await core.customer()
    recorded = await core.record(conversation, "one more thing")

    outcome = await core.batches.seal(conversation.id, priority=10)

    assert isinstance(outcome, Sealed)
    assert (outcome.batch.id, outcome.messages, outcome.wants_draft) == (batch.id, 1, True)
    assert outcome.batch.state is S.SEALED
    assert outcome.batch.revision == batch.revision + 1
    assert outcome.batch.conversation_revision == recorded.revision
    assert outcome.batch.priority == 10


async def test_a_burst_joins_what_a_reviewer_holds_without_taking_it_away(core: Core) -> None:
    batch = await core.sealed()
    await core.take_to(batch.id, *WAY_TO[S.IN_REVIEW])
    await core.claim(batch.id)
    conversation = await core.customer()
    recorded = await core.record(conversation, "one more thing")

    outcome = await core.batches.seal(conversation.id)

    assert isinstance(outcome, Sealed)
    assert not outcome.wants_draft
    assert outcome.batch.state is S.IN_REVIEW
    assert outcome.batch.claimed_by is not None
    assert outcome.batch.revision == batch.revision
    assert outcome.batch.conversation_revision == recorded.revision


async def test_a_claim_that_ran_out_holds_nothing(core: Core) -> None:
    batch = await core.sealed()
    await core.take_to(batch.id, *WAY_TO[S.IN_REVIEW])
    await core.claim(batch.id, seconds=-1)
    conversation = await core.customer()
    await core.record(conversation)

    outcome = await core.batches.seal(conversation.id)

    assert isinstance(outcome, Sealed)
    assert outcome.batch.state is S.SEALED
    assert outcome.batch.claimed_by is None


async def test_an_approved_reply_is_recalled_and_comes_back_to_the_desk(core: Core) -> None:
    batch = await core.sealed()
    await core.take_to(batch.id, *WAY_TO[S.APPROVED])
    conversation = await core.customer()
    await core.record(conversation, "wait, I meant the other one")

    outcome = await core.batches.seal(conversation.id)

    assert isinstance(outcome, Sealed)
    assert outcome.batch.state is S.IN_REVIEW
    assert not outcome.wants_draft
    assert core.recalls.batches == [batch.id]


async def test_a_burst_waits_while_a_reply_is_leaving(core: Core) -> None:
    batch = await core.sealed()
    await core.take_to(batch.id, *WAY_TO[S.SENDING])
    conversation = await core.customer()
    await core.record(conversation, "and another thing")

    assert isinstance(await core.batches.seal(conversation.id), SealPostponed)
    assert await core.value("SELECT count(*) FROM messages WHERE batch_id IS NULL") == 1

    await core.take_to(batch.id, S.SENT)
    outcome = await core.batches.seal(conversation.id)
    assert isinstance(outcome, Sealed)
    assert outcome.batch.id != batch.id


@pytest.mark.parametrize("state", [S.SENT, S.REJECTED, S.EXPIRED, S.PARKED])
async def test_a_burst_after_the_end_makes_a_batch_of_its_own(core: Core, state: BatchState) -> None:
    batch = await core.sealed()
    await core.take_to(batch.id, *WAY_TO[state])
    later = await core.sealed(1001, "later")
    assert later.id != batch.id
    assert later.state is S.SEALED
    assert (await core.batch(batch.id)).state is state


async def test_the_database_itself_refuses_a_second_open_batch(core: Core) -> None:
    batch = await core.sealed()
    with pytest.raises(DatabaseError, match="one_open_per_conversation"):
        await core.execute(
            "INSERT INTO batches (conversation_id, state, conversation_revision) VALUES (%s, 'drafted', 1)",
            batch.conversation_id,
        )


async def test_sealing_and_edits_of_the_same_messages_do_not_deadlock(core: Core) -> None:
    conversation = await core.customer()

    async def write_and_edit() -> None:
        for number in range(25):
            message = core.message(text=str(number))
            await core.intake.receive(message, ownership=core.ownership, network="sandbox")
            await asyncio.gather(
                core.messages.edit(
                    account_id="desk",
                    chat_id=1001,
                    telegram_message_id=message.message_id,
                    text=f"{number} edited",
                    edited_at=message.sent_at,
                    fencing_token=core.ownership.fencing_token,
                ),
                core.messages.delete(
                    account_id="desk",
                    chat_id=None,
                    telegram_message_ids=[message.message_id],
                    fencing_token=core.ownership.fencing_token,
                ),
                core.batches.seal(conversation.id),
                core.batches.seal(conversation.id),
            )

    await write_and_edit()

    rows = await core.execute("SELECT text, deleted_at, batch_id FROM messages ORDER BY id")
    assert [row["text"] for row in rows] == [f"{number} edited" for number in range(25)]
    assert all(row["deleted_at"] is not None and row["batch_id"] is not None for row in rows)
    assert await core.value("SELECT revision FROM conversations") == 75
