"""What the desk shows."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from nadia.conversations.models import BatchState
from nadia.errors import NotFoundError
from nadia.metrics import REGISTRY
from nadia.review.models import ReviewerRef
from support.reply_world import DISCLOSURE, World


async def test_the_queue_has_the_urgent_first_then_the_longest_waiting(world: World) -> None:
    first = await world.sealed(await world.customer())
    second = await world.drafted(await world.customer())
    urgent = await world.sealed(await world.customer(), priority=5)
    assert [item.batch_id for item in await world.desk.queue(limit=10)] == [urgent, first, second]
    assert [item.batch_id for item in await world.desk.queue(limit=1)] == [urgent]


async def test_a_line_of_the_queue_says_what_the_reviewer_needs(world: World) -> None:
    conversation = await world.customer("Mina Okafor")
    batch_id = await world.sealed(conversation, "Hello", "x" * 300)
    await world.add_draft(batch_id, ["Hi!"])
    (item,) = await world.desk.queue()
    assert item.person_name == "Mina Okafor"
    assert item.telegram_account_id == "sandbox"
    assert item.messages == 2
    assert item.preview == "x" * 200
    assert item.state is BatchState.DRAFTED
    assert item.has_draft
    assert (item.score, item.risk, item.flags) == (0.5, 0.25, ("promises a date",))
    assert not item.stale
    assert item.claimed_by is None


async def test_an_item_is_stale_once_the_customer_has_written_again(world: World) -> None:
    conversation = await world.customer()
    batch_id = await world.drafted(conversation)
    await world.says(conversation, "And to Malta?")
    (item,) = await world.desk.queue()
    assert item.batch_id == batch_id
    assert item.stale
    assert item.preview == "And to Malta?"


async def test_a_sealed_item_without_a_draft_is_stale_only_after_its_newest_member(world: World) -> None:
    conversation = await world.customer()
    await world.sealed(conversation)
    assert not (await world.desk.queue())[0].stale
    await world.says(conversation, "Hello?")
    assert (await world.desk.queue())[0].stale


async def test_a_claim_shows_its_holder_until_it_runs_out(world: World, reviewer: ReviewerRef) -> None:
    batch_id = await world.drafted(await world.customer())
    claim = await world.desk.claim(batch_id, reviewer)
    (item,) = await world.desk.queue()
    assert (item.claimed_by, item.claimed_by_id, item.claim_expires_at) == ("Jonas", reviewer.id, claim.expires_at)
    await world.execute("UPDATE batches SET claim_expires_at = clock_timestamp() - interval '1 s'")
    (item,) = await world.desk.queue()
    assert (item.claimed_by, item.claimed_by_id, item.claim_expires_at) == (None, None, None)


async def test_an_approved_item_moves_to_recent_with_its_undo_time(world: World, reviewer: ReviewerRef) -> None:
    batch_id = await world.approved(await world.customer(), reviewer, "Four euros.")
    assert await world.desk.queue() == []
    (item,) = await world.desk.recent()
    assert item.undo_until is None  # nothing to wait for
    await world.execute("UPDATE outbox SET send_after = clock_timestamp() + interval '5 s'")
    (item,) = await world.desk.recent()
    assert item.batch_id == batch_id
    assert item.undo_until is not None
    assert timedelta(0) < item.undo_until - datetime.now(UTC) <= timedelta(seconds=5)


async def test_a_deleted_message_is_not_previewed(world: World) -> None:
    conversation = await world.customer()
    await world.sealed(conversation, "my card number is 4000 0000")
    await world.execute("UPDATE messages SET deleted_at = now()")
    assert (await world.desk.queue())[0].preview == ""


async def test_an_item_shows_its_whole_conversation_and_marks_what_is_new(world: World) -> None:
    conversation = await world.customer("Mina", told=False)
    old = await world.sealed(conversation, "older")
    await world.execute("UPDATE batches SET state = 'rejected' WHERE id = %s", old)
    batch_id = await world.drafted(conversation, bubbles=["Four euros.", "Anything else?"])
    await world.says(conversation, "newer")
    detail = await world.desk.item(batch_id)
    assert [(m.text, m.in_this_batch, m.newer_than_draft) for m in detail.messages] == [
        ("older", False, False),
        ("How much is shipping?", True, False),
        ("newer", False, True),
    ]
    assert detail.stale
    assert detail.conversation_revision == 3
    assert detail.person.name == "Mina"
    assert detail.disclosure == DISCLOSURE
    assert detail.draft is not None
    assert detail.draft.bubbles == ("Four euros.", "Anything else?")
    assert detail.draft.answers_revision == 2
    assert detail.draft.cost_usd == Decimal("0.00012")
    assert (detail.draft.input_tokens, detail.draft.output_tokens, detail.draft.latency_ms) == (11, 7, 0)
    assert [(row.action, row.actor_name) for row in detail.audit] == [("batch.moved", "system")] * 2


async def test_an_item_shows_its_decisions_bubbles_and_who_did_what(world: World, reviewer: ReviewerRef) -> None:
    batch_id = await world.approved(await world.customer(), reviewer, "Four euros.", "Bye!")
    detail = await world.desk.item(batch_id)
    (decision,) = detail.decisions
    assert (decision.account_name, decision.decision, decision.bubbles) == (
        "Jonas",
        "approve",
        ("Four euros.", "Bye!"),
    )
    assert [(row.position, row.text, row.state) for row in detail.outbox] == [
        (0, "Four euros.", "queued"),
        (1, "Bye!", "queued"),
    ]
    assert detail.disclosure is None
    assert {row.actor_name for row in detail.audit} == {"system", "Jonas"}


async def test_an_item_that_is_not_there_is_not_found(world: World) -> None:
    with pytest.raises(NotFoundError, match="there is no item 4711"):
        await world.desk.item(4711)


async def test_counts_and_gauges_tell_how_many_items_are_where(world: World, reviewer: ReviewerRef) -> None:
    await world.sealed(await world.customer())
    await world.drafted(await world.customer())
    await world.approved(await world.customer(), reviewer, "Yes.")
    counts = await world.desk.counts()
    assert (counts.sealed, counts.drafted, counts.in_review, counts.approved) == (1, 1, 0, 1)
    assert counts.waiting == 2
    await world.desk.measure()
    assert REGISTRY.get_sample_value("nadia_review_queue_items", {"state": "drafted"}) == 1
    assert REGISTRY.get_sample_value("nadia_review_queue_items", {"state": "parked"}) == 0
