"""A customer is silenced while something of theirs is at the desk or leaves: nothing more is approved or sent."""

import asyncio

import pytest

from nadia.conversations.batches import SealHeld
from nadia.conversations.models import BatchState, Conversation
from nadia.metrics import REGISTRY
from nadia.quarantine.errors import SilencedError
from nadia.review.models import Resolution, ReviewerRef
from nadia.telegram.gateway import SentMessage
from nadia.telegram.sandbox.gateway import SandboxGateway
from support.gateway_through import Through
from support.post_office import PostOffice
from support.reply_world import World
from support.silences import ANN, WHY, person_of, states, steps


async def silence(world: World, conversation: Conversation) -> int:
    person_id = await person_of(world.execute, conversation.id)
    await world.quarantine.activate(person_id, reason=WHY, actor=ANN)
    return person_id


async def test_a_drafted_item_is_parked_and_goes_on_when_the_silence_is_lifted(world: World) -> None:
    conversation = await world.customer()
    batch_id = await world.drafted(conversation)
    person_id = await silence(world, conversation)
    assert await world.state(batch_id) == "parked"
    assert (await world.desk.item(batch_id)).item.parked_reason == "the customer is silenced"
    assert await states(world.execute) == ["held"]

    outcome = await world.quarantine.deactivate(person_id, reason="apologised", actor=ANN)
    assert (outcome.messages, outcome.items) == (1, 1)
    assert await world.state(batch_id) == "drafted"
    assert await states(world.execute) == ["released"]


async def test_an_item_that_waited_for_its_draft_waits_for_a_new_one(world: World) -> None:
    conversation = await world.customer()
    batch_id = await world.sealed(conversation)
    person_id = await silence(world, conversation)
    await world.quarantine.deactivate(person_id, reason="x", actor=ANN)
    rows = await world.execute("SELECT state, revision FROM batches")
    assert (rows[0]["state"], rows[0]["revision"]) == ("sealed", 2)
    assert world.wanted_drafts == [batch_id]


async def test_a_claimed_item_is_parked_under_the_reviewers_hands(world: World, reviewer: ReviewerRef) -> None:
    conversation = await world.customer()
    batch_id = await world.drafted(conversation)
    await world.desk.claim(batch_id, reviewer)
    await silence(world, conversation)
    assert await world.state(batch_id) == "parked"
    assert (await world.desk.item(batch_id)).item.claimed_by is None


async def test_an_approved_reply_is_taken_back_and_has_to_be_approved_anew(world: World, reviewer: ReviewerRef) -> None:
    conversation = await world.customer()
    batch_id = await world.approved(conversation, reviewer, "Four euros.")
    person_id = await silence(world, conversation)
    assert await world.state(batch_id) == "parked"
    assert [row["state"] for row in await world.outbox_rows(batch_id)] == ["cancelled"]
    await world.quarantine.deactivate(person_id, reason="x", actor=ANN)
    assert await world.state(batch_id) == "in_review"


async def test_a_parked_item_cannot_be_taken_up_while_the_silence_lasts(world: World, reviewer: ReviewerRef) -> None:
    conversation = await world.customer()
    batch_id = await world.drafted(conversation)
    await silence(world, conversation)
    with pytest.raises(SilencedError):
        await world.desk.unpark(batch_id, reviewer, resolution=Resolution.RESUME)
    assert await world.state(batch_id) == "parked"


async def test_a_parked_item_can_be_rejected_at_the_desk(world: World, reviewer: ReviewerRef) -> None:
    conversation = await world.customer()
    batch_id = await world.drafted(conversation)
    await silence(world, conversation)
    await world.desk.unpark(batch_id, reviewer, resolution=Resolution.REJECT)
    assert await world.state(batch_id) == "rejected"
    assert await states(world.execute) == ["discarded"]
    assert (await steps(world.execute))[-1] == ("discarded", reviewer.actor, "rejected at the desk", 1)


async def test_discarding_ends_the_parked_item_and_what_was_held(world: World) -> None:
    conversation = await world.customer()
    batch_id = await world.drafted(conversation)
    person_id = await silence(world, conversation)
    await world.says(conversation, "answer me")
    assert await world.batches.seal(conversation.id) == SealHeld(messages=1)
    outcome = await world.quarantine.discard(person_id, reason="abuse", actor=ANN)
    assert (outcome.messages, outcome.items) == (2, 2)
    rows = await world.execute("SELECT state FROM batches ORDER BY id")
    assert [row["state"] for row in rows] == ["rejected", "rejected"]
    assert await world.state(batch_id) == "rejected"


async def test_a_pass_takes_the_parked_item_up_and_what_is_held_joins_it(world: World, reviewer: ReviewerRef) -> None:
    conversation = await world.customer()
    batch_id = await world.drafted(conversation)
    person_id = await silence(world, conversation)
    await world.says(conversation, "answer me")
    await world.batches.seal(conversation.id)
    await world.quarantine.grant_pass(person_id, reason="once", actor=ANN)
    assert await world.state(batch_id) == "sealed"
    assert [row["batch_id"] for row in await world.execute("SELECT batch_id FROM messages")] == [batch_id, batch_id]
    await world.add_draft(batch_id, ["Here you are."])
    await world.approve(batch_id, reviewer, "Here you are.")
    assert await world.state(batch_id) == "approved"


async def test_an_item_that_escaped_the_activation_cannot_be_approved_and_is_parked(
    world: World, reviewer: ReviewerRef
) -> None:
    conversation = await world.customer()
    batch_id = await world.drafted(conversation)
    # As when its conversation began in the moment of the activation, and so was not locked by it.
    await world.execute(
        "INSERT INTO user_protocol_status (person_id, reason, activated_by, keeps) VALUES (%s, 'x', 'y', '7 days')",
        await person_of(world.execute, conversation.id),
    )
    refused = REGISTRY.get_sample_value("nadia_quarantine_refused_approvals_total") or 0
    with pytest.raises(SilencedError) as error:
        await world.approve(batch_id, reviewer, "Four euros.")
    assert "pass" in (error.value.hint or "")
    assert REGISTRY.get_sample_value("nadia_quarantine_refused_approvals_total") == refused + 1
    assert await world.outbox_rows(batch_id) == []

    assert await world.quarantine.enforce() == 1
    assert await world.quarantine.enforce() == 0
    assert await world.state(batch_id) == "parked"
    assert await states(world.execute) == ["held"]


async def test_a_reply_that_escaped_the_activation_is_not_sent(office: PostOffice) -> None:
    world = office.world
    conversation = await office.customer()
    batch_id = await office.approved(conversation, "Four euros.")
    await world.execute(
        "INSERT INTO user_protocol_status (person_id, reason, activated_by, keeps) VALUES (%s, 'x', 'y', '7 days')",
        await person_of(world.execute, conversation.id),
    )
    async with office.delivering():
        await office.reaches(batch_id, "parked")
    assert await office.received(conversation) == []
    assert [row["state"] for row in await world.outbox_rows(batch_id)] == ["cancelled"]
    assert await states(world.execute) == ["held"]


class SilencesAfterTheFirst(Through):
    """The customer is silenced while the first bubble is on its way."""

    def __init__(self, real: SandboxGateway, world: World, conversation: Conversation) -> None:
        super().__init__(real)
        self._world = world
        self._conversation = conversation
        self.sends = 0

    async def send(self, *, chat_id: int, text: str, random_id: int) -> SentMessage:
        self.sends += 1
        sent = await super().send(chat_id=chat_id, text=text, random_id=random_id)
        if self.sends == 1:
            await silence(self._world, self._conversation)
        return sent


async def test_a_bubble_that_is_leaving_leaves_and_the_rest_stays(office: PostOffice) -> None:
    conversation = await office.customer()
    batch_id = await office.approved(conversation, "one", "two", "three")
    async with office.delivering(wrap=lambda real: SilencesAfterTheFirst(real, office.world, conversation)):
        await office.reaches(batch_id, "parked")
    assert await office.received(conversation) == ["one"]
    assert await office.world.replies(conversation) == ["one"]
    rows = await office.world.outbox_rows(batch_id)
    assert [row["state"] for row in rows] == ["sent", "cancelled", "cancelled"]

    person_id = await person_of(office.world.execute, conversation.id)
    await office.world.quarantine.deactivate(person_id, reason="x", actor=ANN)
    assert await office.world.state(batch_id) == "in_review"


async def test_a_bubble_of_which_nobody_knows_is_looked_up_and_not_sent_again(office: PostOffice) -> None:
    was_sent, was_not = [await left_in_sending(office, sent=sent) for sent in (True, False)]
    async with office.delivering():
        await office.reaches(was_sent, "parked")
        await office.reaches(was_not, "parked")
    assert [row["state"] for row in await office.world.outbox_rows(was_sent)] == ["sent", "cancelled"]
    assert [row["state"] for row in await office.world.outbox_rows(was_not)] == ["cancelled", "cancelled"]


async def left_in_sending(office: PostOffice, *, sent: bool) -> int:
    """A reply of which another process began to send the first bubble; the customer was silenced then."""
    conversation = await office.customer()
    batch_id = await office.approved(conversation, "one", "two")
    await office.world.execute("UPDATE batches SET state = 'sending' WHERE id = %s", batch_id)
    await office.world.execute(
        "UPDATE outbox SET state = 'sending', attempts = 1, sending_since = clock_timestamp() - interval '1 s', "
        "after_message_id = (SELECT max(telegram_message_id) FROM messages WHERE chat_id = %(chat_id)s) "
        "WHERE batch_id = %(batch_id)s AND position = 0",
        chat_id=conversation.chat_id,
        batch_id=batch_id,
    )
    if sent:
        await office.network.post_from_phone(conversation.chat_id, "one")
    await silence(office.world, conversation)
    assert await office.world.state(batch_id) == "sending"
    return batch_id


async def half_sent(world: World, conversation: Conversation, reviewer: ReviewerRef) -> int:
    """A reply of which the first bubble is out and the second has not begun to leave."""
    batch_id = await world.approved(conversation, reviewer, "one", "two")
    await world.execute("UPDATE batches SET state = 'sending' WHERE id = %s", batch_id)
    await world.execute(
        "UPDATE outbox SET state = 'sent', attempts = 1, telegram_message_id = 900, sent_at = now() "
        "WHERE batch_id = %s AND position = 0",
        batch_id,
    )
    return batch_id


async def begins_to_leave(world: World, batch_id: int, *, position: int) -> None:
    await world.execute(
        "UPDATE outbox SET state = 'sending', attempts = 1, sending_since = clock_timestamp(), after_message_id = 1 "
        "WHERE batch_id = %s AND position = %s",
        batch_id,
        position,
    )


async def test_the_rest_of_a_half_sent_reply_does_not_leave_after_a_silence_that_delivery_never_saw(
    world: World, reviewer: ReviewerRef
) -> None:
    conversation = await world.customer()
    batch_id = await half_sent(world, conversation, reviewer)
    person_id = await silence(world, conversation)
    assert await world.state(batch_id) == "parked"
    assert await states(world.execute) == ["held"]
    await world.quarantine.deactivate(person_id, reason="x", actor=ANN)
    assert await world.state(batch_id) == "in_review"
    assert [row["state"] for row in await world.outbox_rows(batch_id)] == ["sent", "cancelled"]


async def test_the_rest_of_a_reply_is_parked_also_where_nobody_sends_any_more(
    world: World, reviewer: ReviewerRef
) -> None:
    conversation = await world.customer()
    batch_id = await half_sent(world, conversation, reviewer)
    await begins_to_leave(world, batch_id, position=1)
    await silence(world, conversation)
    assert await world.quarantine.enforce() == 0  # nobody knows yet whether it left
    assert await world.state(batch_id) == "sending"
    await world.execute(
        "UPDATE outbox SET state = 'queued', sending_since = NULL, after_message_id = NULL WHERE state = 'sending'"
    )
    assert await world.quarantine.enforce() == 1
    assert await world.state(batch_id) == "parked"


async def parked_behind_a_newer_item(world: World, conversation: Conversation) -> tuple[int, int, int]:
    """A silenced customer's parked item, their message that was released meanwhile, in an item, and the person."""
    older = await world.drafted(conversation)
    person_id = await silence(world, conversation)
    await world.says(conversation, "and to France?")
    await world.batches.seal(conversation.id)
    (last,) = await world.execute("SELECT max(id) AS id FROM messages")
    await world.quarantine.release(person_id, message_ids=[last["id"]], reason="this one", actor=ANN)
    (newer,) = await world.execute("SELECT max(id) AS id FROM batches")
    assert (await world.state(older), await world.state(newer["id"])) == ("parked", "sealed")
    return older, newer["id"], person_id


async def items_of_messages(world: World) -> list[int | None]:
    return [row["batch_id"] for row in await world.execute("SELECT batch_id FROM messages ORDER BY id")]


@pytest.mark.parametrize("decide", ["deactivate", "grant_pass", "release"])
async def test_a_parked_item_behind_a_newer_one_ends_and_its_messages_join_that(world: World, decide: str) -> None:
    conversation = await world.customer()
    older, newer, person_id = await parked_behind_a_newer_item(world, conversation)
    outcome = await getattr(world.quarantine, decide)(person_id, reason="go on", actor=ANN)
    assert (outcome.messages, outcome.items) == (1, 1)
    assert await items_of_messages(world) == [newer, newer]
    assert (await world.state(older), await world.state(newer)) == ("rejected", "sealed")
    assert await states(world.execute) == ["released", "released"]
    assert newer in world.wanted_drafts
    assert older not in world.wanted_drafts
    (moved,) = await world.execute(
        "SELECT after FROM audit_log WHERE subject = %s ORDER BY id DESC LIMIT 1", f"batch:{older}"
    )
    assert moved["after"] == {"state": "rejected", "reason": f"its messages went on with item {newer}"}


async def test_an_approved_newer_item_comes_back_when_the_messages_of_the_older_one_join_it(
    world: World, reviewer: ReviewerRef
) -> None:
    conversation = await world.customer()
    _, newer, person_id = await parked_behind_a_newer_item(world, conversation)
    await world.approve(newer, reviewer, "Six euros.")
    await world.quarantine.deactivate(person_id, reason="x", actor=ANN)
    assert await world.state(newer) == "in_review"
    assert [row["state"] for row in await world.outbox_rows(newer)] == ["cancelled"]
    assert await items_of_messages(world) == [newer, newer]


async def test_messages_of_an_older_item_wait_while_a_bubble_of_the_newer_one_is_leaving(
    world: World, reviewer: ReviewerRef
) -> None:
    conversation = await world.customer()
    older, newer, person_id = await parked_behind_a_newer_item(world, conversation)
    await world.approve(newer, reviewer, "Six euros.")
    await world.execute("UPDATE batches SET state = 'sending' WHERE id = %s", newer)
    await begins_to_leave(world, newer, position=0)
    await world.quarantine.deactivate(person_id, reason="x", actor=ANN)
    assert (await world.state(older), await world.state(newer)) == ("rejected", "sending")
    assert await items_of_messages(world) == [None, newer]
    assert [waiting.messages for waiting in await world.batches.buffering()] == [1]  # pacing's net seals it


async def test_an_item_with_a_pass_is_approved_and_sent_while_the_silence_goes_on(office: PostOffice) -> None:
    world = office.world
    conversation = await office.customer()
    person_id = await silence(world, conversation)
    await office.writes(conversation, "please")
    await world.batches.seal(conversation.id)
    await world.quarantine.grant_pass(person_id, reason="once", actor=ANN)
    (row,) = await world.execute("SELECT id FROM batches")
    await world.approve(row["id"], office.reviewer, "All right.", "Good bye.")
    async with office.delivering():
        await office.reaches(row["id"], "sent")
    assert await office.received(conversation) == ["All right.", "Good bye."]
    await office.writes(conversation, "one more thing")
    assert await world.batches.seal(conversation.id) == SealHeld(messages=1)


async def test_an_approval_and_a_silence_at_once_never_send(world: World, reviewer: ReviewerRef) -> None:
    for _ in range(8):
        conversation = await world.customer()
        batch_id = await world.drafted(conversation)
        outcomes = await asyncio.gather(
            world.approve(batch_id, reviewer, "Four euros."), silence(world, conversation), return_exceptions=True
        )
        assert not isinstance(outcomes[1], BaseException)
        assert await world.state(batch_id) == BatchState.PARKED
        assert {row["state"] for row in await world.outbox_rows(batch_id)} <= {"cancelled"}
