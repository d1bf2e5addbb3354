"""The review desk as a JSON API: everything that its pages do."""

from datetime import datetime

from fastapi import APIRouter, Query

from nadia.clock import Clock
from nadia.conversations.pauses import Activity, Pauses
from nadia.llm.saved_replies import SavedReplies
from nadia.review.desk import ReviewDesk
from nadia.review.models import DeskCounts, ItemDetail, QueueItem
from nadia.web.desk_models import (
    ApprovalOut,
    Approve,
    ClaimOut,
    ItemState,
    Near,
    Park,
    PauseIn,
    PauseOut,
    PausesOut,
    QueueOut,
    Redraft,
    Reject,
    SavedRepliesOut,
    SavedReplyOut,
    Tab,
    TelegramAccount,
    Unpark,
)
from nadia.web.desk_people import reviewer
from nadia.web.fields import RowId
from nadia.web.identity import Reviewer, Viewer

NEAREST = 12
"""Saved replies that an answer holds when their nearness was asked for."""


async def desk_list(desk: ReviewDesk, tab: Tab, *, limit: int) -> tuple[list[QueueItem], DeskCounts]:
    """Read one of the desk's lists and the counts of all."""
    if tab == "parked":
        items = await desk.parked(limit=limit)
    elif tab == "recent":
        items = await desk.recent(limit=limit)
    else:
        items = await desk.queue(limit=limit)
    return list(items), await desk.counts()


def desk_api(*, desk: ReviewDesk, saved_replies: SavedReplies, pauses: Pauses, clock: Clock) -> APIRouter:
    """Build the API's routes; see `nadia.web.desk.desk_router`."""
    router = APIRouter(prefix="/api/v1/desk", tags=["desk"])

    def seconds_left(until: datetime) -> float:
        return max(0.0, (until - clock()).total_seconds())

    @router.get("/queue")
    async def queue(_: Viewer, tab: Tab = "waiting", limit: int = Query(100, ge=1, le=500)) -> QueueOut:
        """List what waits for a person, what is parked, or what was decided lately."""
        items, counts = await desk_list(desk, tab, limit=limit)
        return QueueOut(waiting=counts.waiting, counts=counts, items=items)

    @router.get("/items/{batch_id}")
    async def item(_: Viewer, batch_id: RowId) -> ItemDetail:
        """Show an item: conversation, draft, disclosure, decisions, what is on its way, and its history."""
        return await desk.item(batch_id)

    @router.post("/items/{batch_id}/claim")
    async def claim(who: Reviewer, batch_id: RowId) -> ClaimOut:
        """Take an item to work on it, or hold it longer. 409 if someone else has it."""
        held = await desk.claim(batch_id, reviewer(who))
        return ClaimOut(
            batch_id=batch_id,
            claimed_by_id=who.account.id,
            claimed_by=who.account.name,
            claim_expires_at=held.expires_at,
            claim_seconds_left=seconds_left(held.expires_at),
            renewed=held.renewed,
        )

    @router.post("/items/{batch_id}/release")
    async def release(who: Reviewer, batch_id: RowId) -> ItemState:
        """Give an item back to the queue."""
        await desk.release(batch_id, reviewer(who))
        return await state_of(batch_id)

    @router.post("/items/{batch_id}/approve")
    async def approve(who: Reviewer, batch_id: RowId, body: Approve) -> ApprovalOut:
        """Approve a reply to the letter. 409 if the conversation or the draft moved on, or somebody else has it."""
        approval = await desk.approve(
            batch_id,
            reviewer(who),
            bubbles=body.bubbles,
            seen_revision=body.seen_revision,
            seen_draft=body.seen_draft,
            confirm_newer=body.confirm_newer,
        )
        return ApprovalOut(
            batch_id=batch_id,
            decision_id=approval.decision_id,
            undo_until=approval.undo_until,
            undo_seconds=seconds_left(approval.undo_until),
        )

    @router.post("/items/{batch_id}/undo")
    async def undo(who: Reviewer, batch_id: RowId) -> ItemState:
        """Take an approval back while nothing has left. 409 once it has."""
        await desk.undo(batch_id, reviewer(who))
        return await state_of(batch_id)

    @router.post("/items/{batch_id}/reject")
    async def reject(who: Reviewer, batch_id: RowId, body: Reject) -> ItemState:
        """End an item without a reply."""
        await desk.reject(batch_id, reviewer(who), reason=body.reason.strip(), seen_revision=body.seen_revision)
        return await state_of(batch_id)

    @router.post("/items/{batch_id}/redraft")
    async def redraft(who: Reviewer, batch_id: RowId, body: Redraft) -> ItemState:
        """Ask for a new draft."""
        await desk.redraft(batch_id, reviewer(who), reason=body.reason)
        return await state_of(batch_id)

    @router.post("/items/{batch_id}/park")
    async def park(who: Reviewer, batch_id: RowId, body: Park) -> ItemState:
        """Take an item out of the queue until somebody takes it up again."""
        await desk.park(batch_id, reviewer(who), reason=body.reason.strip())
        return await state_of(batch_id)

    @router.post("/items/{batch_id}/unpark")
    async def unpark(who: Reviewer, batch_id: RowId, body: Unpark) -> ItemState:
        """Take a parked item up again, or close it."""
        await desk.unpark(batch_id, reviewer(who), resolution=body.resolution)
        return await state_of(batch_id)

    @router.get("/saved-replies")
    async def replies(_: Viewer, near: Near | None = None) -> SavedRepliesOut:
        """List the saved replies, or those that are nearest to a text."""
        if near is None or not near.strip():
            found = [SavedReplyOut(title=reply.title, text=reply.text, score=None) for reply in saved_replies.all()]
        else:
            found = [
                SavedReplyOut(title=match.reply.title, text=match.reply.text, score=match.score)
                for match in saved_replies.nearest(near, NEAREST)
            ]
        return SavedRepliesOut(replies=found, problem=saved_replies.problem)

    @router.get("/pauses")
    async def list_pauses(_: Viewer) -> PausesOut:
        """List what stands still."""
        return await all_pauses()

    @router.post("/pauses")
    async def pause(who: Reviewer, body: PauseIn) -> PausesOut:
        """Stop sending or drafting, for all or one Telegram account. A second pause of the same changes nothing."""
        await pauses.pause(
            body.activity, account_id=body.telegram_account_id, reason=body.reason.strip(), actor=who.actor
        )
        return await all_pauses()

    @router.delete("/pauses")
    async def resume(
        who: Reviewer, activity: Activity, telegram_account_id: TelegramAccount | None = None
    ) -> PausesOut:
        """Start an activity again; what was not paused stays as it is."""
        await pauses.resume(activity, account_id=telegram_account_id, actor=who.actor)
        return await all_pauses()

    async def state_of(batch_id: int) -> ItemState:
        return ItemState(batch_id=batch_id, state=(await desk.item(batch_id)).item.state.value)

    async def all_pauses() -> PausesOut:
        return PausesOut(pauses=[PauseOut.model_validate(pause, from_attributes=True) for pause in await pauses.list()])

    return router
