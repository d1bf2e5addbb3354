"""Who works on an item."""

import asyncio

import pytest

from nadia.conversations.transitions import TransitionError
from nadia.review.errors import ClaimedByOtherError
from nadia.review.models import ReviewerRef
from support.reply_world import World


async def test_the_first_claim_takes_a_draft_to_review(world: World, reviewer: ReviewerRef) -> None:
    batch_id = await world.drafted(await world.customer())
    claim = await world.desk.claim(batch_id, reviewer)
    assert not claim.renewed
    assert await world.state(batch_id) == "in_review"
    assert ("item.claimed", "") in await world.audit(batch_id)


async def test_a_second_claim_is_refused_while_the_lease_lives(world: World, reviewer: ReviewerRef) -> None:
    batch_id = await world.drafted(await world.customer())
    claim = await world.desk.claim(batch_id, reviewer)
    with pytest.raises(ClaimedByOtherError, match="Jonas works on item") as refusal:
        await world.desk.claim(batch_id, await world.reviewer("Petra"))
    assert refusal.value.expires_at == claim.expires_at
    assert refusal.value.hint


async def test_a_claim_that_ran_out_is_free_for_another(world: World, reviewer: ReviewerRef) -> None:
    batch_id = await world.drafted(await world.customer())
    await world.desk.claim(batch_id, reviewer)
    await world.execute("UPDATE batches SET claim_expires_at = clock_timestamp() - interval '1 s'")
    petra = await world.reviewer("Petra")
    await world.desk.claim(batch_id, petra)
    with pytest.raises(ClaimedByOtherError, match="Petra"):
        await world.desk.approve(
            batch_id, reviewer, bubbles=["Hi"], seen_revision=1, seen_draft=await world.draft_of(batch_id)
        )


async def test_claiming_again_prolongs_without_another_audit_row(world: World, reviewer: ReviewerRef) -> None:
    batch_id = await world.drafted(await world.customer())
    first = await world.desk.claim(batch_id, reviewer)
    second = await world.desk.claim(batch_id, reviewer)
    assert second.renewed
    assert second.expires_at > first.expires_at
    assert (await world.audit(batch_id)).count(("item.claimed", "")) == 1


async def test_a_released_item_is_free_at_once(world: World, reviewer: ReviewerRef) -> None:
    batch_id = await world.drafted(await world.customer())
    await world.desk.claim(batch_id, reviewer)
    await world.desk.release(batch_id, reviewer)
    await world.desk.claim(batch_id, await world.reviewer("Petra"))
    assert ("item.released", "") in await world.audit(batch_id)


async def test_only_the_holder_can_release(world: World, reviewer: ReviewerRef) -> None:
    batch_id = await world.drafted(await world.customer())
    await world.desk.claim(batch_id, reviewer)
    with pytest.raises(ClaimedByOtherError):
        await world.desk.release(batch_id, await world.reviewer("Petra"))
    assert (await world.desk.queue())[0].claimed_by == "Jonas"


async def test_releasing_what_nobody_has_does_nothing(world: World, reviewer: ReviewerRef) -> None:
    batch_id = await world.drafted(await world.customer())
    await world.desk.release(batch_id, reviewer)
    assert ("item.released", "") not in await world.audit(batch_id)


async def test_an_item_without_a_draft_can_be_taken_to_write_by_hand(world: World, reviewer: ReviewerRef) -> None:
    batch_id = await world.sealed(await world.customer())
    await world.desk.claim(batch_id, reviewer)
    item = (await world.desk.item(batch_id)).item
    assert item.state == "in_review"
    assert item.no_draft_reason == "a reviewer took it before a draft was made"


async def test_what_is_decided_cannot_be_claimed(world: World, reviewer: ReviewerRef) -> None:
    batch_id = await world.approved(await world.customer(), reviewer, "Yes.")
    with pytest.raises(TransitionError, match="approved"):
        await world.desk.claim(batch_id, reviewer)


async def test_of_many_claims_at_once_exactly_one_wins(world: World) -> None:
    batch_id = await world.drafted(await world.customer())
    people = [await world.reviewer(f"Reviewer {number}") for number in range(8)]
    results = await asyncio.gather(*(world.desk.claim(batch_id, person) for person in people), return_exceptions=True)
    assert sum(not isinstance(result, BaseException) for result in results) == 1
    assert sum(isinstance(result, ClaimedByOtherError) for result in results) == 7


async def test_pages_are_told_of_a_claim(world: World, reviewer: ReviewerRef) -> None:
    batch_id = await world.drafted(await world.customer())
    position = await world.events.latest_id()
    await world.desk.claim(batch_id, reviewer)
    (event,) = await world.events.after(position)
    assert event.kind == "item.claimed"
    assert event.fields["batch"] == str(batch_id)
