"""What a reviewer can decide, and what must hold for it."""

import asyncio

import pytest
from structlog.testing import capture_logs

from nadia.conversations.pauses import Activity
from nadia.conversations.transitions import TransitionError
from nadia.errors import InvalidInputError, NotFoundError, UnavailableError
from nadia.metrics import REGISTRY
from nadia.postgres.database import Database
from nadia.redis.connection import RedisConnection
from nadia.redis.events import LiveEvents
from nadia.redis.source import RedisSource
from nadia.review.errors import ClaimedByOtherError, StaleError
from nadia.review.models import ReviewerRef
from support.reply_world import DISCLOSURE, World


async def test_what_was_approved_is_in_the_outbox_to_the_letter(world: World, reviewer: ReviewerRef) -> None:
    batch_id = await world.drafted(await world.customer())
    bubbles = ["  Four euros.\n\nto Malta  ", "👩‍👩‍👧 \u202eabc"]
    approval = await world.desk.approve(
        batch_id, reviewer, bubbles=bubbles, seen_revision=1, seen_draft=await world.draft_of(batch_id)
    )
    rows = await world.outbox_rows(batch_id)
    assert [row["text"] for row in rows] == bubbles
    assert [row["position"] for row in rows] == [0, 1]
    assert {row["send_after"] for row in rows} == {approval.undo_until}
    assert len({row["random_id"] for row in rows} - {0}) == 2
    (decision,) = await world.execute("SELECT * FROM review_decisions")
    assert decision["bubbles"] == bubbles
    assert decision["edited"]
    assert not decision["despite_newer"]
    assert await world.state(batch_id) == "approved"
    assert (await world.audit(batch_id))[-1] == ("batch.moved", "approved")


async def test_what_a_reviewer_gives_as_reason_is_in_the_audit_log_and_in_no_log_file(
    world: World, reviewer: ReviewerRef
) -> None:
    batch_id = await world.drafted(await world.customer())
    with capture_logs() as logged:
        await world.desk.reject(batch_id, reviewer, seen_revision=1, reason="Mina asked for her refund twice")
    assert "batch.moved" in {entry["event"] for entry in logged}
    assert "refund" not in repr(logged)
    (moved,) = await world.execute("SELECT after FROM audit_log WHERE action = 'batch.moved' ORDER BY id DESC LIMIT 1")
    assert moved["after"]["reason"] == "Mina asked for her refund twice"


async def test_an_unchanged_draft_is_not_counted_as_edited(world: World, reviewer: ReviewerRef) -> None:
    def approved(edited: str) -> float:
        return REGISTRY.get_sample_value("nadia_review_approved_drafts_total", {"edited": edited}) or 0

    before = approved("no"), approved("yes")
    batch_id = await world.drafted(await world.customer(), bubbles=["Four euros."])
    await world.desk.approve(
        batch_id, reviewer, bubbles=["Four euros."], seen_revision=1, seen_draft=await world.draft_of(batch_id)
    )
    assert (approved("no"), approved("yes")) == (before[0] + 1, before[1])
    assert not (await world.desk.item(batch_id)).decisions[0].edited


async def test_a_draft_under_the_disclosure_is_not_counted_as_edited(world: World, reviewer: ReviewerRef) -> None:
    for drafted, approved, edited in [
        (["Four euros."], [DISCLOSURE, "Four euros."], False),
        ([DISCLOSURE, "Four euros."], [DISCLOSURE, "Four euros."], False),
        (["Four euros."], [DISCLOSURE, "Five euros."], True),
    ]:
        batch_id = await world.drafted(await world.customer(told=False), bubbles=drafted)
        await world.approve(batch_id, reviewer, *approved)
        assert (await world.desk.item(batch_id)).decisions[0].edited is edited


async def test_a_draft_that_nobody_looked_at_is_not_approved(world: World, reviewer: ReviewerRef) -> None:
    batch_id = await world.drafted(await world.customer())
    seen = await world.draft_of(batch_id)
    await world.desk.redraft(batch_id, reviewer)
    await world.add_draft(batch_id, ["Five euros."])
    for stale in (seen, None):
        with pytest.raises(StaleError, match="new draft"):
            await world.desk.approve(
                batch_id, reviewer, bubbles=["Five euros."], seen_revision=1, seen_draft=stale, confirm_newer=True
            )
    assert await world.outbox_rows(batch_id) == []
    await world.approve(batch_id, reviewer, "Five euros.")


async def test_approving_twice_sends_once(world: World, reviewer: ReviewerRef) -> None:
    batch_id = await world.drafted(await world.customer())
    seen = await world.draft_of(batch_id)
    results = await asyncio.gather(
        *(world.desk.approve(batch_id, reviewer, bubbles=["Yes."], seen_revision=1, seen_draft=seen) for _ in range(5)),
        return_exceptions=True,
    )
    assert sum(isinstance(result, TransitionError) for result in results) == 4
    assert len(await world.outbox_rows(batch_id)) == 1
    assert len(await world.execute("SELECT 1 FROM review_decisions")) == 1


async def test_of_two_reviewers_at_once_one_approves(world: World, reviewer: ReviewerRef) -> None:
    batch_id = await world.drafted(await world.customer())
    petra = await world.reviewer("Petra")
    results = await asyncio.gather(
        world.desk.approve(
            batch_id, reviewer, bubbles=["from Jonas"], seen_revision=1, seen_draft=await world.draft_of(batch_id)
        ),
        world.desk.approve(
            batch_id, petra, bubbles=["from Petra"], seen_revision=1, seen_draft=await world.draft_of(batch_id)
        ),
        return_exceptions=True,
    )
    assert sum(isinstance(result, TransitionError) for result in results) == 1
    assert len(await world.outbox_rows(batch_id)) == 1


async def test_a_live_claim_keeps_others_from_deciding(world: World, reviewer: ReviewerRef) -> None:
    batch_id = await world.drafted(await world.customer())
    await world.desk.claim(batch_id, reviewer)
    petra = await world.reviewer("Petra")
    with pytest.raises(ClaimedByOtherError):
        await world.desk.approve(
            batch_id, petra, bubbles=["Yes."], seen_revision=1, seen_draft=await world.draft_of(batch_id)
        )
    with pytest.raises(ClaimedByOtherError):
        await world.desk.reject(batch_id, petra, seen_revision=1, reason="no")
    with pytest.raises(ClaimedByOtherError):
        await world.desk.redraft(batch_id, petra)
    with pytest.raises(ClaimedByOtherError):
        await world.desk.park(batch_id, petra, reason="later")
    assert await world.state(batch_id) == "in_review"


async def test_a_reply_can_be_written_without_a_draft(world: World, reviewer: ReviewerRef) -> None:
    batch_id = await world.sealed(await world.customer())
    await world.desk.approve(
        batch_id, reviewer, bubbles=["By hand."], seen_revision=1, seen_draft=await world.draft_of(batch_id)
    )
    assert [state for _, state in await world.audit(batch_id)] == ["sealed", "in_review", "approved"]
    assert not (await world.desk.item(batch_id)).decisions[0].edited


async def test_a_message_since_the_page_was_loaded_refuses_the_approval(world: World, reviewer: ReviewerRef) -> None:
    conversation = await world.customer()
    batch_id = await world.drafted(conversation)
    await world.says(conversation, "Stop, forget it")
    with pytest.raises(StaleError) as refusal:
        await world.desk.approve(
            batch_id,
            reviewer,
            bubbles=["Yes."],
            seen_revision=1,
            seen_draft=await world.draft_of(batch_id),
            confirm_newer=True,
        )
    assert refusal.value.conversation_revision == 2
    assert await world.state(batch_id) == "drafted"
    with pytest.raises(StaleError):
        await world.desk.reject(batch_id, reviewer, seen_revision=1, reason=None)


async def test_a_draft_older_than_the_conversation_needs_a_confirmation(world: World, reviewer: ReviewerRef) -> None:
    conversation = await world.customer()
    batch_id = await world.drafted(conversation)
    await world.says(conversation, "To Malta, I mean")
    with pytest.raises(StaleError, match="since the draft was made"):
        await world.desk.approve(
            batch_id, reviewer, bubbles=["Yes."], seen_revision=2, seen_draft=await world.draft_of(batch_id)
        )
    await world.desk.approve(
        batch_id,
        reviewer,
        bubbles=["Yes."],
        seen_revision=2,
        seen_draft=await world.draft_of(batch_id),
        confirm_newer=True,
    )
    assert (await world.desk.item(batch_id)).decisions[0].despite_newer


async def test_an_edit_or_a_deletion_makes_a_draft_stale_as_well(world: World, reviewer: ReviewerRef) -> None:
    conversation = await world.customer()
    batch_id = await world.drafted(conversation)
    await world.messages.delete(
        account_id="sandbox",
        chat_id=None,
        telegram_message_ids=[1],
        fencing_token=world.ownership.fencing_token,
    )
    with pytest.raises(StaleError):
        await world.desk.approve(
            batch_id, reviewer, bubbles=["Yes."], seen_revision=1, seen_draft=await world.draft_of(batch_id)
        )


async def test_an_approval_answers_the_loose_messages_that_were_seen(world: World, reviewer: ReviewerRef) -> None:
    conversation = await world.customer()
    batch_id = await world.drafted(conversation)
    await world.says(conversation, "To Malta, I mean")
    await world.approve(batch_id, reviewer, "Six euros to Malta.")
    assert await world.batches.seal(conversation.id) is None
    members = await world.execute("SELECT text FROM messages WHERE batch_id = %s", batch_id)
    assert len(members) == 2
    assert await world.state(batch_id) == "approved"


async def test_the_first_reply_must_open_with_the_disclosure(world: World, reviewer: ReviewerRef) -> None:
    conversation = await world.customer(told=False)
    batch_id = await world.drafted(conversation)
    with pytest.raises(InvalidInputError) as refusal:
        await world.desk.approve(
            batch_id, reviewer, bubbles=["Yes."], seen_revision=1, seen_draft=await world.draft_of(batch_id)
        )
    assert refusal.value.field == "bubbles[0]"
    with pytest.raises(InvalidInputError):
        await world.desk.approve(
            batch_id,
            reviewer,
            bubbles=[DISCLOSURE + "!", "Yes."],
            seen_revision=1,
            seen_draft=await world.draft_of(batch_id),
        )
    await world.desk.approve(
        batch_id, reviewer, bubbles=[DISCLOSURE, "Yes."], seen_revision=1, seen_draft=await world.draft_of(batch_id)
    )
    assert [row["discloses"] for row in await world.outbox_rows(batch_id)] == [True, False]
    assert (await world.desk.item(batch_id)).disclosure is None


async def test_a_reply_taken_back_before_it_disclosed_must_disclose_again(
    world: World, desk_database: Database, live_events: LiveEvents, reviewer: ReviewerRef
) -> None:
    slow = World(database=desk_database, events=live_events, undo_seconds=60)
    slow.ownership = world.ownership
    batch_id = await slow.drafted(await slow.customer(told=False))
    await slow.approve(batch_id, reviewer, DISCLOSURE, "Yes.")
    await slow.desk.undo(batch_id, reviewer)
    assert (await slow.desk.item(batch_id)).disclosure == DISCLOSURE


@pytest.mark.parametrize(
    ("bubbles", "field", "problem"),
    [
        ([], "bubbles", "1 to 10"),
        (["x"] * 11, "bubbles", "1 to 10"),
        (["fine", " \n\t "], "bubbles[1]", "empty"),
        (["a\x00b"], "bubbles[0]", "null character"),
        (["ok", "ok", "\ud83d"], "bubbles[2]", "surrogate"),
        (["x" * 4097], "bubbles[0]", "4097"),
        (["😀" * 2049], "bubbles[0]", "4098"),
    ],
)
async def test_a_bubble_that_cannot_be_sent_is_refused_by_its_name(
    world: World, reviewer: ReviewerRef, bubbles: list[str], field: str, problem: str
) -> None:
    batch_id = await world.drafted(await world.customer())
    with pytest.raises(InvalidInputError, match=problem) as refusal:
        await world.desk.approve(
            batch_id, reviewer, bubbles=bubbles, seen_revision=1, seen_draft=await world.draft_of(batch_id)
        )
    assert refusal.value.field == field
    assert refusal.value.hint
    assert await world.state(batch_id) == "drafted"


async def test_deciding_about_what_is_not_there_is_not_found(world: World, reviewer: ReviewerRef) -> None:
    with pytest.raises(NotFoundError):
        await world.desk.approve(99, reviewer, bubbles=["Yes."], seen_revision=1, seen_draft=None)
    with pytest.raises(NotFoundError):
        await world.desk.undo(99, reviewer)
    with pytest.raises(NotFoundError):
        await world.desk.claim(99, reviewer)


async def test_a_rejected_item_ends_without_a_reply(world: World, reviewer: ReviewerRef) -> None:
    batch_id = await world.drafted(await world.customer())
    await world.desk.reject(batch_id, reviewer, seen_revision=1, reason="  spam ")
    assert await world.state(batch_id) == "rejected"
    (decision,) = (await world.desk.item(batch_id)).decisions
    assert (decision.decision, decision.reason) == ("reject", "spam")
    assert await world.outbox_rows(batch_id) == []


async def test_a_redraft_raises_the_revision_and_asks_for_a_draft(world: World, reviewer: ReviewerRef) -> None:
    batch_id = await world.drafted(await world.customer())
    await world.desk.claim(batch_id, reviewer)
    await world.desk.redraft(batch_id, reviewer, reason="too long")
    (row,) = await world.execute("SELECT state, revision, claimed_by FROM batches")
    assert row == {"state": "sealed", "revision": 2, "claimed_by": None}
    assert world.wanted_drafts == [batch_id]
    with pytest.raises(TransitionError):
        await world.desk.redraft(batch_id, reviewer)
    assert len((await world.desk.item(batch_id)).decisions) == 1


async def test_a_redraft_holds_though_nobody_can_be_asked(world: World, reviewer: ReviewerRef) -> None:
    async def fail(_: int) -> None:
        raise UnavailableError("Redis cannot be reached")

    world.desk._wants_draft = fail
    batch_id = await world.drafted(await world.customer())
    await world.desk.redraft(batch_id, reviewer)
    assert await world.state(batch_id) == "sealed"


async def test_the_desk_works_while_redis_is_away(world: World, reviewer: ReviewerRef) -> None:
    world.desk._events = LiveEvents(redis=RedisConnection(RedisSource(url="unix:///nonexistent/redis.sock")))
    batch_id = await world.drafted(await world.customer())
    await world.desk.claim(batch_id, reviewer)
    await world.approve(batch_id, reviewer, "Yes.")
    assert await world.state(batch_id) == "approved"


async def test_pausing_sending_does_not_keep_from_approving(world: World, reviewer: ReviewerRef) -> None:
    await world.pauses.pause(Activity.SENDING, reason="test", actor="system")
    batch_id = await world.approved(await world.customer(), reviewer, "Yes.")
    assert await world.state(batch_id) == "approved"


async def test_intake_and_approval_never_pass_each_other(world: World, reviewer: ReviewerRef) -> None:
    """Whoever comes second sees the first: the approval is refused, or the message comes after what was approved."""
    conversation = await world.customer()
    for head_start in range(0, 40, 2):
        batch_id = await world.drafted(conversation)
        seen, draft = await world.revision(conversation), await world.draft_of(batch_id)

        async def write(turns: int = head_start) -> None:
            for _ in range(turns):
                await asyncio.sleep(0)
            await world.says(conversation, "wait!")

        approval, _ = await asyncio.gather(
            world.desk.approve(batch_id, reviewer, bubbles=["Yes."], seen_revision=seen, seen_draft=draft),
            write(),
            return_exceptions=True,
        )
        rows = await world.outbox_rows(batch_id)
        if isinstance(approval, BaseException):
            assert isinstance(approval, StaleError)
            assert rows == []
        else:
            assert [row["conversation_revision"] for row in rows] == [seen]
        loose = await world.execute("SELECT text FROM messages WHERE batch_id IS NULL")
        assert [row["text"] for row in loose] == ["wait!"]
        await world.execute("UPDATE batches SET state = 'rejected' WHERE id = %s", batch_id)
        await world.execute("UPDATE messages SET batch_id = %s WHERE batch_id IS NULL", batch_id)


async def test_customers_that_write_again_bring_an_approved_reply_back(world: World, reviewer: ReviewerRef) -> None:
    conversation = await world.customer()
    batch_id = await world.approved(conversation, reviewer, "Yes.")
    await world.says(conversation, "no, wait")
    await world.batches.seal(conversation.id)
    assert await world.state(batch_id) == "in_review"
    assert [row["state"] for row in await world.outbox_rows(batch_id)] == ["cancelled"]
    await world.approve(batch_id, reviewer, "All right, waiting.")
    assert [row["state"] for row in await world.outbox_rows(batch_id)] == ["cancelled", "queued"]
