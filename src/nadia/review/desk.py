"""The review desk: what a person can see and do with an item.

Every change happens in one transaction under the conversation's lock, which intake and delivery take as well: what a
reviewer confirms to have seen is what the conversation is at that moment.
"""

from collections.abc import Awaitable, Callable, Sequence

import structlog

from nadia.conversations import audit
from nadia.conversations.batches import take_members
from nadia.conversations.models import BatchState
from nadia.conversations.transitions import LockedBatch, TransitionError, lock_batch, move
from nadia.delivery.outbox import Outbox
from nadia.errors import InvalidInputError, NadiaError
from nadia.postgres.database import Connection, Database
from nadia.quarantine.gate import require_answerable
from nadia.redis.events import LiveEvents
from nadia.review import metrics, store
from nadia.review.bubbles import check_bubbles, check_disclosure, check_reason
from nadia.review.config import ReviewSettings
from nadia.review.decisions import count_decision, record_decision
from nadia.review.errors import ClaimedByOtherError, StaleError
from nadia.review.models import (
    Approval,
    Claim,
    DecisionKind,
    DeskCounts,
    DraftView,
    ItemDetail,
    QueueItem,
    Resolution,
    ReviewerRef,
)
from nadia.review.parking import take_up

log = structlog.get_logger(__name__)

_QUEUED = (BatchState.SEALED, BatchState.DRAFTED, BatchState.IN_REVIEW)
_DECIDED = (BatchState.APPROVED, BatchState.SENDING, BatchState.SENT, BatchState.REJECTED)
_QUICKER = "look at it again: someone or something else was quicker"


class ReviewDesk:
    """Shows the queue and takes decisions.

    Parameters
    ----------
    database : Database
        Where items are.
    events : LiveEvents
        Tells pages, after the change is committed.
    outbox : Outbox
        Where approved replies go.
    settings : ReviewSettings
        How long a claim holds.
    disclosure : callable
        Returns the text by which a new customer is told that replies are AI-drafted and reviewed by people.
    wants_draft : callable
        Says that a batch waits for a draft; may fail, a sweep finds the batch as well.
    """

    def __init__(
        self,
        *,
        database: Database,
        events: LiveEvents,
        outbox: Outbox,
        settings: ReviewSettings,
        disclosure: Callable[[], str],
        wants_draft: Callable[[int], Awaitable[None]],
    ) -> None:
        self._database = database
        self._events = events
        self._outbox = outbox
        self._claim_seconds = settings.claim_seconds
        self._disclosure = disclosure
        self._wants_draft = wants_draft

    async def queue(self, *, limit: int = 100) -> list[QueueItem]:
        """Return what waits for a person, by priority and then the longest waiting first."""
        async with self._database.connection() as conn:
            return await store.most_urgent(conn, _QUEUED, limit)

    async def recent(self, *, limit: int = 20) -> list[QueueItem]:
        """Return what was decided lately, the last one first; ``undo_until`` says what can still be taken back."""
        async with self._database.connection() as conn:
            return await store.last_changed(conn, _DECIDED, limit)

    async def parked(self, *, limit: int = 100) -> list[QueueItem]:
        """Return items that were taken out of the way, the last one first."""
        async with self._database.connection() as conn:
            return await store.last_changed(conn, (BatchState.PARKED,), limit)

    async def counts(self) -> DeskCounts:
        """Return how many items are where."""
        async with self._database.connection() as conn:
            return await store.counts(conn)

    async def measure(self) -> None:
        """Bring the queue's gauges up to date."""
        counts = await self.counts()
        for state in counts.__slots__:
            metrics.QUEUE.labels(state).set(getattr(counts, state))

    async def item(self, batch_id: int) -> ItemDetail:
        """Return all about an item, as of one moment.

        Raises
        ------
        NotFoundError
            If there is no such item.
        """
        async with self._database.transaction() as conn:
            await store.see_one_moment(conn)
            item = await store.item(conn, batch_id)
            party = await store.party(conn, item.conversation_id)
            is_told = party.disclosed_at is not None or await self._outbox.is_disclosing(conn, item.conversation_id)
            return ItemDetail(
                item=item,
                person=party.person,
                conversation_revision=party.revision,
                messages=await store.thread(conn, conversation_id=item.conversation_id, batch_id=batch_id),
                draft=await store.newest_draft(conn, batch_id),
                disclosure=None if is_told else self._disclosure().strip(),
                decisions=await store.decisions(conn, batch_id),
                outbox=await store.outbox(conn, batch_id),
                audit=await store.audit_trail(conn, batch_id),
            )

    async def claim(self, batch_id: int, account: ReviewerRef) -> Claim:
        """Take an item to work on it, or keep it for longer.

        An item that waits for its draft is taken to write the reply by hand: no draft comes any more.

        Raises
        ------
        NotFoundError
            If there is no such item.
        ClaimedByOtherError
            If someone else has it.
        TransitionError
            If it does not wait for a person.
        """
        async with self._database.transaction() as conn:
            locked = await lock_batch(conn, batch_id)
            holder = await self._require_free(conn, locked, account)
            locked = await _take_to_review(conn, locked, account)
            expires_at = await store.set_claim(conn, batch_id, account_id=account.id, seconds=self._claim_seconds)
            if holder is None:
                await _note(conn, batch_id, account, "item.claimed")
        if holder is None:
            await self._tell("item.claimed", locked)
        return Claim(batch_id=batch_id, expires_at=expires_at, renewed=holder is not None)

    async def release(self, batch_id: int, account: ReviewerRef) -> None:
        """Give a claimed item back to all; nothing happens if nobody has it.

        Raises
        ------
        NotFoundError
            If there is no such item.
        ClaimedByOtherError
            If someone else has it.
        """
        async with self._database.transaction() as conn:
            locked = await lock_batch(conn, batch_id)
            if await self._require_free(conn, locked, account) is None:
                return
            await store.clear_claim(conn, batch_id)
            await _note(conn, batch_id, account, "item.released")
        await self._tell("item.released", locked)

    async def approve(
        self,
        batch_id: int,
        account: ReviewerRef,
        *,
        bubbles: Sequence[str],
        seen_revision: int,
        seen_draft: int | None,
        confirm_newer: bool = False,
    ) -> Approval:
        """Approve a reply, exactly as given; it leaves when the undo window is over.

        Parameters
        ----------
        batch_id : int
            The item.
        account : ReviewerRef
            Who approves.
        bubbles : sequence of str
            The reply, one message each.
        seen_revision : int
            The conversation's revision that the reviewer has seen.
        seen_draft : int or None
            The id of the draft that the reviewer has seen; None when there was none.
        confirm_newer : bool
            The reviewer knows that the draft is older than the conversation.

        Raises
        ------
        InvalidInputError
            If a bubble cannot be sent, or the disclosure is missing.
        NotFoundError
            If there is no such item.
        ClaimedByOtherError
            If someone else has it.
        TransitionError
            If it does not wait for a person: it was decided already.
        SilencedError
            If the customer is silenced, and the item was not let through.
        StaleError
            If there is another draft than the reviewer saw, or the conversation has moved on since the reviewer, or
            without confirmation the draft, saw it.
        """
        checked = check_bubbles(bubbles)
        async with self._database.transaction() as conn:
            locked = await lock_batch(conn, batch_id)
            await self._require_free(conn, locked, account)
            locked = await _take_to_review(conn, locked, account)
            await require_answerable(conn, batch_id)
            _require_seen(locked, seen_revision)
            draft = await store.newest_draft(conn, batch_id)
            _require_seen_draft(locked, draft, seen_draft)
            answers = draft.answers_revision if draft else locked.batch.conversation_revision
            is_newer = answers < locked.conversation.revision
            if is_newer and not confirm_newer:
                raise StaleError(
                    "the conversation has moved on since the draft was made",
                    conversation_revision=locked.conversation.revision,
                    hint="read the newer messages and confirm, or ask for a new draft",
                )
            discloses = await self._must_disclose(conn, locked)
            if discloses:
                check_disclosure(checked, self._disclosure().strip())
            edited = draft is not None and _is_edited(checked, draft, discloses=discloses)
            decided = await store.decide(
                conn,
                store.Decision(
                    batch_id=batch_id,
                    draft_id=draft.id if draft else None,
                    account_id=account.id,
                    decision=DecisionKind.APPROVE,
                    bubbles=checked,
                    edited=edited,
                    conversation_revision=locked.conversation.revision,
                    despite_newer=is_newer,
                ),
            )
            # What came in since the sealing was seen as well, so this reply answers it.
            if await take_members(conn, locked.batch):
                await store.set_known_revision(conn, batch_id, locked.conversation.revision)
            undo_until = await self._outbox.enqueue(
                conn,
                locked,
                decision_id=decided.id,
                bubbles=checked,
                answers_revision=locked.conversation.revision,
                discloses=discloses,
            )
            await move(conn, locked, BatchState.APPROVED, actor=account.actor)
        count_decision(DecisionKind.APPROVE, decided)
        if draft is not None:
            metrics.APPROVED_DRAFTS.labels("yes" if edited else "no").inc()
        log.info("item.approved", batch_id=batch_id, actor=account.actor, bubbles=len(checked), edited=edited)
        await self._tell("item.approved", locked)
        return Approval(decision_id=decided.id, undo_until=undo_until)

    async def undo(self, batch_id: int, account: ReviewerRef) -> None:
        """Take an approval back before anything of it has begun to leave; the item is then claimed by who did it.

        Raises
        ------
        NotFoundError
            If there is no such item.
        TransitionError
            If it is not approved, or its undo window is over.
        """
        async with self._database.transaction() as conn:
            locked = await lock_batch(conn, batch_id)
            if locked.batch.state is not BatchState.APPROVED:
                raise TransitionError(f"item {batch_id} is {locked.batch.state}, not approved", hint=_QUICKER)
            if not await self._outbox.can_be_taken_back(conn, batch_id):
                raise TransitionError(
                    f"the reply to item {batch_id} can no longer be taken back",
                    hint="if there is time, pause sending; what is out can only be followed by another message",
                )
            await self._outbox.recall(conn, batch_id)
            locked = await move(conn, locked, BatchState.IN_REVIEW, actor=account.actor, reason="taken back")
            await store.set_claim(conn, batch_id, account_id=account.id, seconds=self._claim_seconds)
            await record_decision(conn, locked, account, DecisionKind.UNDO, None)
        metrics.DECISIONS.labels(DecisionKind.UNDO).inc()
        await self._tell("item.undone", locked)

    async def reject(self, batch_id: int, account: ReviewerRef, *, seen_revision: int, reason: str | None) -> None:
        """End an item without a reply.

        Raises
        ------
        InvalidInputError
            If the reason is too long.
        NotFoundError
            If there is no such item.
        ClaimedByOtherError
            If someone else has it.
        TransitionError
            If it does not wait for a person.
        StaleError
            If the conversation has moved on since the reviewer saw it.
        """
        reason = check_reason(reason)
        async with self._database.transaction() as conn:
            locked = await lock_batch(conn, batch_id)
            await self._require_free(conn, locked, account)
            locked = await _take_to_review(conn, locked, account)
            _require_seen(locked, seen_revision)
            decided = await record_decision(conn, locked, account, DecisionKind.REJECT, reason)
            await move(conn, locked, BatchState.REJECTED, actor=account.actor, reason=reason)
        count_decision(DecisionKind.REJECT, decided)
        await self._tell("item.rejected", locked)

    async def redraft(self, batch_id: int, account: ReviewerRef, *, reason: str | None = None) -> None:
        """Ask for another draft.

        Raises
        ------
        InvalidInputError
            If the reason is too long.
        NotFoundError
            If there is no such item.
        ClaimedByOtherError
            If someone else has it.
        TransitionError
            If it has no draft to replace, or was decided already.
        """
        reason = check_reason(reason)
        async with self._database.transaction() as conn:
            locked = await lock_batch(conn, batch_id)
            await self._require_free(conn, locked, account)
            await record_decision(conn, locked, account, DecisionKind.REDRAFT, reason)
            locked = await move(
                conn, locked, BatchState.SEALED, actor=account.actor, reason=reason or "another draft", redraft=True
            )
        metrics.DECISIONS.labels(DecisionKind.REDRAFT).inc()
        await self._ask_for_draft(batch_id)
        await self._tell("item.redraft", locked)

    async def park(self, batch_id: int, account: ReviewerRef, *, reason: str) -> None:
        """Take an item out of the way until a person takes it up again.

        Raises
        ------
        InvalidInputError
            If there is no reason, or it is too long.
        NotFoundError
            If there is no such item.
        ClaimedByOtherError
            If someone else has it.
        TransitionError
            If it does not wait for a person.
        """
        checked = check_reason(reason)
        if checked is None:
            raise InvalidInputError("it is empty", field="reason", hint="say what the item waits for")
        async with self._database.transaction() as conn:
            locked = await lock_batch(conn, batch_id)
            await self._require_free(conn, locked, account)
            if locked.batch.state not in _QUEUED:
                raise TransitionError(f"item {batch_id} is {locked.batch.state} and cannot be parked", hint=_QUICKER)
            await move(conn, locked, BatchState.PARKED, actor=account.actor, reason=checked)
        await self._tell("item.parked", locked)

    async def unpark(self, batch_id: int, account: ReviewerRef, *, resolution: Resolution) -> BatchState:
        """Take up a parked item; returns the state it is in now.

        Raises
        ------
        NotFoundError
            If there is no such item.
        TransitionError
            If it is not parked.
        ConflictError
            If the conversation has another open item, or nothing is in doubt that could have been sent.
        SilencedError
            If the customer is silenced; such an item can only be rejected.
        """
        async with self._database.transaction() as conn:
            locked = await lock_batch(conn, batch_id)
            if locked.batch.state is not BatchState.PARKED:
                raise TransitionError(f"item {batch_id} is {locked.batch.state}, not parked", hint=_QUICKER)
            locked = await take_up(conn, locked, account=account, resolution=resolution, outbox=self._outbox)
        if resolution is Resolution.REJECT:
            metrics.DECISIONS.labels(DecisionKind.REJECT).inc()
        if locked.batch.state is BatchState.SEALED:
            await self._ask_for_draft(batch_id)
        await self._tell("item.unparked", locked)
        return locked.batch.state

    async def _require_free(self, conn: Connection, locked: LockedBatch, account: ReviewerRef) -> store.Holder | None:
        """Return the person's own live claim, if any; someone else's is an error."""
        holder = await store.holder(conn, locked.batch.id)
        if holder is not None and holder.id != account.id:
            raise ClaimedByOtherError(locked.batch.id, claimed_by=holder.name, expires_at=holder.expires_at)
        return holder

    async def _must_disclose(self, conn: Connection, locked: LockedBatch) -> bool:
        conversation = locked.conversation
        return conversation.disclosed_at is None and not await self._outbox.is_disclosing(conn, conversation.id)

    async def _ask_for_draft(self, batch_id: int) -> None:
        try:
            await self._wants_draft(batch_id)
        except NadiaError as exc:
            log.info("draft.not_asked_for", batch_id=batch_id, reason=exc.message)

    async def _tell(self, kind: str, locked: LockedBatch) -> None:
        await self._events.publish(
            kind,
            batch=locked.batch.id,
            conversation=locked.conversation.id,
            account=locked.conversation.telegram_account_id,
        )


async def _take_to_review(conn: Connection, locked: LockedBatch, account: ReviewerRef) -> LockedBatch:
    state = locked.batch.state
    if state is BatchState.IN_REVIEW:
        return locked
    if state not in _QUEUED:
        raise TransitionError(f"item {locked.batch.id} is {state} and waits for nobody", hint=_QUICKER)
    reason = "a reviewer took it before a draft was made" if state is BatchState.SEALED else None
    return await move(conn, locked, BatchState.IN_REVIEW, actor=account.actor, reason=reason)


def _require_seen(locked: LockedBatch, seen_revision: int) -> None:
    if seen_revision != locked.conversation.revision:
        raise StaleError(
            "the conversation has moved on since you looked at it",
            conversation_revision=locked.conversation.revision,
            hint="look at the item again, then decide",
        )


def _require_seen_draft(locked: LockedBatch, draft: DraftView | None, seen_draft: int | None) -> None:
    if (draft.id if draft else None) != seen_draft:
        raise StaleError(
            "there is a new draft",
            conversation_revision=locked.conversation.revision,
            hint="look at it, then approve it or your own text",
        )


def _is_edited(approved: tuple[str, ...], draft: DraftView, *, discloses: bool) -> bool:
    # The disclosure is put first by the desk, not by the reviewer; a draft may hold it as well.
    drafted = draft.bubbles
    if discloses:
        drafted = drafted[1:] if drafted[:1] == approved[:1] else drafted
        approved = approved[1:]
    return approved != drafted


async def _note(conn: Connection, batch_id: int, account: ReviewerRef, action: str) -> None:
    await audit.record(conn, actor=account.actor, action=action, subject=f"batch:{batch_id}")
