"""What a silenced customer writes is kept, on record, and not answered."""

import asyncio
from datetime import timedelta

import pytest

from nadia.conversations.batches import Sealed, SealHeld
from nadia.conversations.models import BatchState
from nadia.errors import NotFoundError
from nadia.quarantine.errors import NothingHeldError, NotSilencedError
from support.core import Core, HandClock, ScriptedDrafter, running, until
from support.silences import ANN, WHY, audited, person_of, states, steps, unaccounted


async def silenced(core: Core, chat_id: int = 1001) -> tuple[int, int]:
    """A silenced customer: their conversation and person."""
    conversation = await core.customer(chat_id)
    person_id = await person_of(core.execute, conversation.id)
    await core.quarantine.activate(person_id, reason=WHY, actor=ANN)
    return conversation.id, person_id


async def test_it_is_held_and_no_batch_is_made(core: Core) -> None:
    conversation_id, _ = await silenced(core)
    conversation = await core.customer()
    for text in ("one", "two"):
        await core.record(conversation, text)
    assert await core.batches.seal(conversation_id) == SealHeld(messages=2)
    assert await core.batches.seal(conversation_id) is None
    assert await core.value("SELECT count(*) FROM batches") == 0
    assert await states(core.execute) == ["held", "held"]
    kept = await core.value("SELECT max(expires_at - held_at) FROM quarantine_messages")
    assert abs(kept - timedelta(days=7)) < timedelta(seconds=1)
    assert (await steps(core.execute))[-1] == ("held", "system", None, 2)


async def test_it_is_nobodys_loose_message_any_more(core: Core) -> None:
    conversation_id, _ = await silenced(core)
    await core.record(await core.customer(), "one")
    await core.batches.seal(conversation_id)
    assert await core.batches.buffering() == []
    assert await core.batches.overdue(window_seconds=0, longest_seconds=0) == []


async def test_another_customer_is_answered_as_ever(core: Core) -> None:
    await silenced(core, 1001)
    other = await core.customer(1002)
    await core.record(other, "hello")
    assert isinstance(await core.batches.seal(other.id), Sealed)


async def test_the_silence_is_the_persons_in_all_accounts_they_write_to(core: Core) -> None:
    _, person_id = await silenced(core)
    await core.own("second")
    elsewhere = await core.customer(1001, account_id="second")
    assert await person_of(core.execute, elsewhere.id) == person_id
    await core.record(elsewhere, "me again")
    assert await core.batches.seal(elsewhere.id) == SealHeld(messages=1)


async def test_a_burst_that_ends_at_the_tracker_is_held(core: Core, clock: HandClock) -> None:
    await silenced(core)
    await core.receive(text="hello")
    assert await states(core.execute) == []  # no status is remembered here: the burst's end decides
    clock.advance(10)
    assert await core.claim_and_seal() == 1
    assert await states(core.execute) == ["held"]
    assert await core.bursts.waiting() == 0


async def test_intake_holds_at_once_where_the_status_is_remembered(core: Core) -> None:
    await silenced(core)
    following = asyncio.create_task(core.protocol_status.run())
    try:
        await asyncio.wait_for(core.protocol_status.wait_until_it_hears(), 5)
        await core.receive(text="hello")
        await core.receive(1002, "hello from somebody else")
    finally:
        following.cancel()
    assert await states(core.execute) == ["held"]
    assert await core.bursts.waiting() == 1


async def test_edits_and_deletions_of_held_messages_are_on_record(core: Core) -> None:
    conversation_id, person_id = await silenced(core)
    first = await core.receive(text="one")
    second = await core.receive(text="two")
    await core.batches.seal(conversation_id)
    token = core.ownership.fencing_token
    await core.messages.edit(
        account_id="desk",
        chat_id=1001,
        telegram_message_id=first.message_id,
        text="ONE",
        edited_at=first.sent_at,
        fencing_token=token,
    )
    await core.messages.delete(
        account_id="desk", chat_id=1001, telegram_message_ids=[second.message_id], fencing_token=token
    )
    held = (await core.quarantine.person(person_id)).messages
    assert [(message.text, message.deleted_at is not None) for message in held] == [("ONE", False), ("two", True)]


async def test_released_messages_become_one_batch_and_get_a_draft(core: Core) -> None:
    conversation_id, person_id = await silenced(core)
    for text in ("one", "two"):
        await core.record(await core.customer(), text)
    await core.batches.seal(conversation_id)

    outcome = await core.quarantine.release(person_id, reason="looked at it", actor=ANN)

    assert (outcome.messages, outcome.changed) == (2, True)
    assert await core.value("SELECT state FROM batches") == "sealed"
    assert await states(core.execute) == ["released", "released"]
    async with running(core.drafting(ScriptedDrafter()).run):
        await until(lambda: is_drafted(core))
    assert (await steps(core.execute))[-1] == ("released", ANN, "looked at it", 2)
    assert (ANN, "quarantine.released") in await audited(core.execute, person_id)


async def ends(core: Core) -> list[tuple[str, str | None]]:
    """Each message with the state of its batch."""
    rows = await core.execute(
        "SELECT m.text, b.state FROM messages m LEFT JOIN batches b ON b.id = m.batch_id ORDER BY m.id"
    )
    return [(row["text"], row["state"]) for row in rows]


async def is_drafted(core: Core) -> bool:
    return bool(await core.value("SELECT state = 'drafted' FROM batches"))


async def test_some_messages_can_be_released_and_the_rest_discarded(core: Core) -> None:
    conversation_id, person_id = await silenced(core)
    ids = [(await core.record(await core.customer(), text)).id for text in ("one", "two", "three")]
    await core.batches.seal(conversation_id)
    await core.quarantine.release(person_id, message_ids=ids[1:2], reason="this one", actor=ANN)
    await core.quarantine.discard(person_id, reason="the rest", actor=ANN)
    assert await states(core.execute) == ["discarded", "released", "discarded"]
    assert await ends(core) == [("one", "rejected"), ("two", "sealed"), ("three", "rejected")]


async def test_what_is_released_twice_or_is_not_held_is_refused(core: Core) -> None:
    conversation_id, person_id = await silenced(core)
    message_id = (await core.record(await core.customer(), "one")).id
    await core.batches.seal(conversation_id)
    for ids in ([message_id + 1], [message_id, 2**62]):
        with pytest.raises(NothingHeldError):
            await core.quarantine.release(person_id, message_ids=ids, reason="x", actor=ANN)
    assert await states(core.execute) == ["held"]
    await core.quarantine.release(person_id, message_ids=[message_id], reason="x", actor=ANN)
    for again in (core.quarantine.release, core.quarantine.discard):
        with pytest.raises(NothingHeldError):
            await again(person_id, reason="x", actor=ANN)
    assert await core.value("SELECT count(*) FROM batches") == 1


async def test_of_two_who_decide_at_once_one_is_refused(core: Core, other_core: Core) -> None:
    conversation_id, person_id = await silenced(core)
    await core.record(await core.customer(), "one")
    await core.batches.seal(conversation_id)
    outcomes = await asyncio.gather(
        core.quarantine.release(person_id, reason="x", actor=ANN),
        other_core.quarantine.discard(person_id, reason="y", actor="account:2"),
        return_exceptions=True,
    )
    assert [isinstance(outcome, NothingHeldError) for outcome in outcomes].count(True) == 1
    assert await core.value("SELECT count(*) FROM batches") == 1
    assert await core.value("SELECT count(*) FROM messages WHERE batch_id IS NOT NULL") == 1


async def test_discarded_messages_end_in_a_batch_on_record(core: Core) -> None:
    conversation_id, person_id = await silenced(core)
    await core.record(await core.customer(), "one")
    await core.batches.seal(conversation_id)
    await core.quarantine.discard(person_id, reason="spam", actor=ANN)
    (batch,) = await core.execute("SELECT id, state FROM batches")
    assert batch["state"] == "rejected"
    (moved,) = await core.execute("SELECT * FROM audit_log WHERE subject = %s", f"batch:{batch['id']}")
    assert (moved["actor"], moved["before"], moved["after"]) == (
        ANN,
        {"state": "buffering"},
        {"state": "rejected", "reason": "spam"},
    )


async def test_what_nobody_decides_about_expires_with_a_record_and_a_notice(core: Core) -> None:
    conversation_id, _ = await silenced(core)
    first = (await core.record(await core.customer(), "one")).id
    await core.batches.seal(conversation_id)
    await core.record(await core.customer(), "two")
    await core.batches.seal(conversation_id)
    assert await core.quarantine.expire() == 0
    await core.execute(
        "UPDATE quarantine_messages SET held_at = held_at - interval '8 days', "
        "expires_at = expires_at - interval '8 days' WHERE message_id = %s",
        first,
    )
    assert await core.quarantine.expire() == 1
    assert await core.quarantine.expire() == 0
    assert await states(core.execute) == ["expired", "held"]
    assert await ends(core) == [("one", "expired"), ("two", None)]
    assert await core.value("SELECT labels->>'messages' FROM notices WHERE topic = 'quarantine.expired'") == "1"
    assert (await steps(core.execute))[-1] == ("expired", "system", None, 1)


async def test_lifting_the_silence_sends_what_is_held_on_its_way(core: Core) -> None:
    conversation_id, person_id = await silenced(core)
    await core.record(await core.customer(), "one")
    await core.batches.seal(conversation_id)
    outcome = await core.quarantine.deactivate(person_id, reason="apologised", actor=ANN)
    assert (outcome.changed, outcome.messages) == (True, 1)
    assert await core.value("SELECT state FROM batches") == "sealed"
    assert (await core.quarantine.person(person_id)).silence is None
    await core.record(await core.customer(), "two")
    assert isinstance(await core.batches.seal(conversation_id), Sealed)
    assert [step for step, *_ in await steps(core.execute)] == ["activated", "held", "deactivated", "released"]
    assert await audited(core.execute, person_id) == [(ANN, "quarantine.activated"), (ANN, "quarantine.deactivated")]


async def test_a_second_silence_or_lifting_changes_nothing(core: Core) -> None:
    _, person_id = await silenced(core)
    assert not (await core.quarantine.activate(person_id, reason="again", actor=ANN)).changed
    assert (await core.quarantine.deactivate(person_id, reason="x", actor=ANN)).changed
    assert not (await core.quarantine.deactivate(person_id, reason="x", actor=ANN)).changed
    assert [step for step, *_ in await steps(core.execute)] == ["activated", "deactivated"]


async def test_a_pass_lets_what_is_held_through_as_one_batch(core: Core) -> None:
    conversation_id, person_id = await silenced(core)
    for text in ("one", "two"):
        await core.record(await core.customer(), text)
        await core.batches.seal(conversation_id)
    await core.quarantine.grant_pass(person_id, reason="a fair question", actor=ANN)
    assert await core.value("SELECT count(*) FROM messages WHERE batch_id IS NOT NULL") == 2
    assert await core.value("SELECT count(*) FROM batches") == 1
    await core.record(await core.customer(), "three")
    assert await core.batches.seal(conversation_id) == SealHeld(messages=1)


async def test_a_pass_with_nothing_held_is_for_the_next_burst_alone(core: Core) -> None:
    conversation_id, person_id = await silenced(core)
    assert (await core.quarantine.grant_pass(person_id, reason="x", actor=ANN)).changed
    assert not (await core.quarantine.grant_pass(person_id, reason="x", actor=ANN)).changed
    assert await core.batches.seal(conversation_id) is None  # nothing to seal uses no pass
    for text in ("one", "two"):
        await core.record(await core.customer(), text)
    sealed = await core.batches.seal(conversation_id)
    assert isinstance(sealed, Sealed)
    assert sealed.messages == 2
    await core.record(await core.customer(), "three")
    assert await core.batches.seal(conversation_id) == SealHeld(messages=1)
    assert [step for step, *_ in await steps(core.execute)] == ["activated", "pass_granted", "pass_used", "held"]


async def test_intake_leaves_a_burst_with_a_pass_to_finish(core: Core) -> None:
    conversation_id, person_id = await silenced(core)
    await core.quarantine.grant_pass(person_id, reason="x", actor=ANN)
    following = asyncio.create_task(core.protocol_status.run())
    try:
        await asyncio.wait_for(core.protocol_status.wait_until_it_hears(), 5)
        for text in ("one", "two"):
            await core.receive(text=text)
    finally:
        following.cancel()
    sealed = await core.batches.seal(conversation_id)
    assert isinstance(sealed, Sealed)
    assert sealed.messages == 2


async def test_a_pass_is_used_once_also_by_two_conversations_at_once(core: Core, other_core: Core) -> None:
    conversation_id, person_id = await silenced(core)
    await core.record(await core.customer(), "here")
    await core.own("second")
    elsewhere = await core.customer(1001, account_id="second")
    await core.record(elsewhere, "and there")
    await core.quarantine.grant_pass(person_id, reason="x", actor=ANN)
    outcomes = await asyncio.gather(core.batches.seal(conversation_id), other_core.batches.seal(elsewhere.id))
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["SealHeld", "Sealed"]


async def test_a_pass_is_for_silenced_customers(core: Core) -> None:
    conversation = await core.customer()
    person_id = await person_of(core.execute, conversation.id)
    with pytest.raises(NotSilencedError):
        await core.quarantine.grant_pass(person_id, reason="x", actor=ANN)


async def test_a_release_counts_only_in_the_silence_that_it_was_given_in(core: Core) -> None:
    conversation_id, person_id = await silenced(core)
    await core.record(await core.customer(), "one")
    await core.batches.seal(conversation_id)
    await core.quarantine.deactivate(person_id, reason="x", actor=ANN)
    await core.quarantine.activate(person_id, reason="y", actor=ANN)
    assert await states(core.execute) == ["held"]
    assert await core.value("SELECT state FROM batches") == "parked"


@pytest.mark.parametrize("decide", ["activate", "deactivate", "grant_pass", "release", "discard"])
async def test_there_has_to_be_such_a_person(core: Core, decide: str) -> None:
    with pytest.raises(NotFoundError):
        await getattr(core.quarantine, decide)(4711, reason="x", actor=ANN)
    assert await steps(core.execute) == []


async def test_parallel_silences_and_sealings_leave_every_message_accounted_for(core: Core, other_core: Core) -> None:
    conversation = await core.customer()
    person_id = await person_of(core.execute, conversation.id)
    for _ in range(6):
        await asyncio.gather(
            *(core.record(conversation, "text") for _ in range(3)),
            core.quarantine.activate(person_id, reason="x", actor=ANN),
            other_core.batches.seal(conversation.id),
            core.batches.seal(conversation.id),
        )
        await asyncio.gather(
            core.record(conversation, "text"),
            other_core.quarantine.deactivate(person_id, reason="x", actor=ANN),
            other_core.batches.seal(conversation.id),
            core.batches.seal(conversation.id),
        )
    await core.batches.seal(conversation.id)
    assert await unaccounted(core.execute) == 0
    assert await core.value("SELECT count(*) FROM messages WHERE batch_id IS NULL") == 0
    open_states = [state.value for state in (BatchState.SEALED, BatchState.PARKED)]
    assert await core.value("SELECT count(*) FROM batches WHERE state <> ALL(%s)", open_states) == 0
