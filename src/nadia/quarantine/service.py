"""What a person decides about a silenced customer, and what happens when nobody does."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from typing import Final

import structlog

from nadia.conversations import audit
from nadia.conversations.batches import Batches, RecallsReplies, Sealed, end_unanswered
from nadia.conversations.models import OPEN_STATES, BatchState, Conversation
from nadia.conversations.transitions import lock_batch, move
from nadia.errors import InvalidInputError, NadiaError, NotFoundError
from nadia.notices import Notice
from nadia.notices import record as record_notice
from nadia.postgres.database import Connection, Database
from nadia.quarantine import metrics, store
from nadia.quarantine.config import QuarantineSettings
from nadia.quarantine.errors import SILENCED, NothingHeldError, NotSilencedError
from nadia.quarantine.gate import SilenceGate, is_withheld, note, withhold
from nadia.quarantine.models import Decision, Foreseen, Outcome, Person, Silence, Step
from nadia.quarantine.reasons import checked_reason
from nadia.redis.events import LiveEvents

log = structlog.get_logger(__name__)

SILENCE_CHANGED: Final = "silence.changed"
"""The live event by which processes forget who they remember to be silenced."""

_ENDS: Final = {Step.DISCARDED: BatchState.REJECTED, Step.EXPIRED: BatchState.EXPIRED}


class Quarantine:
    """The silence protocol (baseline 3.4).

    Each decision is one transaction that holds the locks of all the person's conversations, which intake, sealing, the
    desk and delivery take as well.

    Parameters
    ----------
    database : Database
        Where silences are.
    batches : Batches
        Seals what was released.
    replies : RecallsReplies
        Takes back what has not left of an approved reply when its customer is silenced.
    wants_draft : callable
        Says that a batch waits for a draft; may fail, a sweep finds the batch as well.
    events : LiveEvents
        Tells pages, and the processes that remember who is silenced.
    settings : QuarantineSettings
        How long messages are kept.
    """

    def __init__(
        self,
        *,
        database: Database,
        batches: Batches,
        replies: RecallsReplies,
        wants_draft: Callable[[int], Awaitable[None]],
        events: LiveEvents,
        settings: QuarantineSettings,
    ) -> None:
        self._database = database
        self._batches = batches
        self._replies = replies
        self._wants_draft = wants_draft
        self._events = events
        self._keeps = timedelta(hours=settings.keep_hours)
        self._gate = SilenceGate()

    async def silences(self, *, limit: int = 500) -> list[Silence]:
        """Return who is silenced, those first whose messages expire next."""
        async with self._database.connection() as conn:
            return await store.silences(conn, limit)

    async def person(self, person_id: int) -> Person:
        """Return what the protocol knows of a customer.

        Raises
        ------
        NotFoundError
            If there is no such person.
        """
        async with self._database.connection() as conn:
            name, username = await store.person(conn, person_id)
            return Person(
                person_id=person_id,
                name=name,
                username=username,
                silence=await store.silence_of(conn, person_id),
                messages=await store.held_messages(conn, person_id),
                log=await store.log_of(conn, person_id),
            )

    async def find(self, handle: str) -> int:
        """Return the person that an operator names, by our id or as ``@username``.

        Raises
        ------
        InvalidInputError
            If several have that username.
        NotFoundError
            If nobody has.
        """
        async with self._database.connection() as conn:
            if handle.isdecimal() and len(handle) < 19:
                await store.person(conn, int(handle))
                return int(handle)
            found = await store.by_username(conn, handle.removeprefix("@"))
        if not found:
            raise NotFoundError(
                f"there is no person {handle!r}", hint="name them by id or @username; the desk shows both"
            )
        if len(found) > 1:
            ids = ", ".join(str(one) for one in found)
            raise InvalidInputError(f"{handle} is the username of several people", field="person", hint=f"say {ids}")
        return found[0]

    async def foresee(
        self, person_id: int, decision: Decision, *, message_ids: Sequence[int] | None = None
    ) -> Foreseen:
        """Return what a decision would do now, and do nothing; it is refused where the decision would be.

        Raises
        ------
        NotFoundError
            If there is no such person.
        NotSilencedError
            If a pass is for somebody who is not silenced.
        NothingHeldError
            If what is to be released or discarded is not held.
        """
        async with self._database.connection() as conn:
            name, _ = await store.person(conn, person_id)
            silence = await store.silence_of(conn, person_id)
            if decision == "grant_pass" and silence is None:
                raise NotSilencedError(person_id)
            if decision in ("release", "discard"):
                chosen = await _choose(conn, person_id, message_ids)
            else:
                chosen = [] if decision == "activate" else await store.choose(conn, person_id)
        match decision:
            case "activate":
                changes = silence is None
            case "deactivate":
                changes = silence is not None
            case "grant_pass":
                changes = bool(chosen) or (silence is not None and silence.pass_granted_at is None)
            case _:
                changes = True
        return Foreseen(person_id, name, changes, messages=len(chosen), parked_items=len(_items(chosen)))

    async def activate(self, person_id: int, *, reason: str, actor: str) -> Outcome:
        """Silence a customer: from the commit on nothing new is drafted, approved or sent.

        What is not leaving at the moment is parked, the rest of a reply too. A bubble that is leaving leaves; then
        delivery parks the rest.

        Raises
        ------
        InvalidInputError
            If the reason cannot be taken.
        NotFoundError
            If there is no such person.
        """
        reason = checked_reason(reason)
        held = items = 0
        async with self._database.transaction() as conn:
            conversations = await store.lock_conversations(conn, person_id)
            if not await store.silence(conn, person_id, reason=reason, actor=actor, keeps=self._keeps):
                return Outcome(changed=False)
            await note(conn, person_id, Step.ACTIVATED, actor=actor, reason=reason)
            for conversation in conversations:
                batch_id = await store.open_item(conn, conversation.id)
                parked = None if batch_id is None else await self._park(conn, batch_id, actor=actor)
                if parked is not None:
                    held += parked
                    items += 1
                held += await self._gate.hold(conn, conversation.id)
            await _record(conn, person_id, Step.ACTIVATED, actor, after={"reason": reason, "held": held})
        await self._tell(person_id)
        return Outcome(changed=True, messages=held, items=items)

    async def deactivate(self, person_id: int, *, reason: str, actor: str) -> Outcome:
        """Lift a silence: what is held is sealed and drafted, parked items go on where they were.

        A reply that was approved before the silence is back at the desk, to be approved anew. Where the conversation
        has a newer item, the messages of the parked one join that, and the parked one ends.

        Raises
        ------
        InvalidInputError
            If the reason cannot be taken.
        NotFoundError
            If there is no such person.
        """
        reason = checked_reason(reason)
        async with self._database.transaction() as conn:
            conversations = await store.lock_conversations(conn, person_id)
            was = await store.lift(conn, person_id)
            if was is None:
                return Outcome(changed=False)
            chosen = await store.choose(conn, person_id)
            await note(conn, person_id, Step.DEACTIVATED, actor=actor, reason=reason)
            going_on = await self._release(conn, person_id, chosen, actor=actor, reason=reason)
            after = {"reason": reason, "released": len(chosen)}
            await _record(conn, person_id, Step.DEACTIVATED, actor, before=was, after=after)
        await self._go_on(person_id, conversations, going_on)
        return Outcome(changed=True, messages=len(chosen), items=len(_items(chosen)))

    async def grant_pass(self, person_id: int, *, reason: str, actor: str) -> Outcome:
        """Let through once what is held, or the next burst if nothing is; the silence goes on.

        Raises
        ------
        InvalidInputError
            If the reason cannot be taken.
        NotFoundError
            If there is no such person.
        NotSilencedError
            If they are not silenced.
        """
        reason = checked_reason(reason)
        async with self._database.transaction() as conn:
            conversations = await store.lock_conversations(conn, person_id)
            if not await store.is_silenced(conn, person_id):
                raise NotSilencedError(person_id)
            chosen = await store.choose(conn, person_id)
            if not chosen and not await store.set_pass(conn, person_id, actor=actor):
                return Outcome(changed=False)
            await note(conn, person_id, Step.PASS_GRANTED, actor=actor, reason=reason)
            going_on = await self._release(conn, person_id, chosen, actor=actor, reason=reason)
            if chosen:
                await note(conn, person_id, Step.PASS_USED, actor=actor, messages=len(chosen))
            after = {"reason": reason, "released": len(chosen)}
            await _record(conn, person_id, Step.PASS_GRANTED, actor, after=after)
        if chosen:
            await self._go_on(person_id, conversations, going_on)
        else:  # the burst that may pass is not over
            await self._tell(person_id)
        return Outcome(changed=True, messages=len(chosen), items=len(_items(chosen)))

    async def release(
        self, person_id: int, *, message_ids: Sequence[int] | None = None, reason: str, actor: str
    ) -> Outcome:
        """Let held messages through, all or some; the silence goes on for the others and for what comes.

        Raises
        ------
        InvalidInputError
            If the reason cannot be taken.
        NotFoundError
            If there is no such person.
        NothingHeldError
            If a message is not held, or not any more.
        """
        reason = checked_reason(reason)
        async with self._database.transaction() as conn:
            conversations = await store.lock_conversations(conn, person_id)
            chosen = await _choose(conn, person_id, message_ids)
            going_on = await self._release(conn, person_id, chosen, actor=actor, reason=reason)
            after = {"reason": reason, "messages": [one.message_id for one in chosen]}
            await _record(conn, person_id, Step.RELEASED, actor, after=after)
        await self._go_on(person_id, conversations, going_on)
        return Outcome(changed=True, messages=len(chosen), items=len(_items(chosen)))

    async def discard(
        self, person_id: int, *, message_ids: Sequence[int] | None = None, reason: str, actor: str
    ) -> Outcome:
        """End held messages without a reply, all or some; their batches end ``rejected``.

        Raises
        ------
        InvalidInputError
            If the reason cannot be taken.
        NotFoundError
            If there is no such person.
        NothingHeldError
            If a message is not held, or not any more.
        """
        reason = checked_reason(reason)
        async with self._database.transaction() as conn:
            conversations = await store.lock_conversations(conn, person_id)
            chosen = await _choose(conn, person_id, message_ids)
            items = await self._end(conn, conversations, chosen, Step.DISCARDED, actor=actor, reason=reason)
            await note(conn, person_id, Step.DISCARDED, actor=actor, reason=reason, messages=len(chosen))
            after = {"reason": reason, "messages": [one.message_id for one in chosen]}
            await _record(conn, person_id, Step.DISCARDED, actor, after=after)
        await self._tell(person_id)
        return Outcome(changed=True, messages=len(chosen), items=items)

    async def expire(self, *, limit: int = 100) -> int:
        """End what nobody decided about in time, with a notice for each person; returns how many messages."""
        async with self._database.connection() as conn:
            people = await store.people_with_overdue(conn, limit)
        return sum([await self._expire_of(person_id) for person_id in people])

    async def enforce(self, *, limit: int = 100) -> int:
        """Park open items that a silence should have parked; returns how many.

        A conversation that began in the very moment of the activation may have escaped it, and so has the rest of a
        reply of which a bubble was leaving. Nothing of them can be approved or sent; this takes them out of the
        reviewers' way, also where sending is paused.
        """
        parked = 0
        async with self._database.connection() as conn:
            strays = await store.strays(conn, limit)
        for batch_id in strays:
            async with self._database.transaction() as conn:
                locked = await lock_batch(conn, batch_id)
                if locked.batch.state in OPEN_STATES and await is_withheld(conn, batch_id):
                    parked += await self._park(conn, batch_id, actor=audit.SYSTEM) is not None
        return parked

    async def measure(self) -> None:
        """Bring the gauges up to date."""
        async with self._database.connection() as conn:
            found = await store.figures(conn)
        metrics.SILENCED.set(found.silenced)
        metrics.HELD.set(found.held)
        metrics.OLDEST_SECONDS.set(found.oldest_seconds)

    async def _park(self, conn: Connection, batch_id: int, *, actor: str) -> int | None:
        """Park an open item; returns how many messages that holds, None while a bubble of it is leaving."""
        locked = await lock_batch(conn, batch_id)
        if locked.batch.state in (BatchState.APPROVED, BatchState.SENDING):
            if await self._replies.is_leaving(conn, batch_id):
                return None
            # It would leave by itself when the silence is lifted, however much later.
            await self._replies.recall(conn, batch_id)
            locked = await move(conn, locked, BatchState.IN_REVIEW, actor=actor, reason=SILENCED)
        return await withhold(conn, locked, actor=actor)

    async def _release(
        self, conn: Connection, person_id: int, chosen: Sequence[store.Chosen], *, actor: str, reason: str
    ) -> list[int]:
        """Let held messages through; returns the parked items that go on."""
        if not chosen:
            return []
        await store.settle(conn, [one.message_id for one in chosen], to=Step.RELEASED, actor=actor)
        await note(conn, person_id, Step.RELEASED, actor=actor, reason=reason, messages=len(chosen))
        return [batch_id for batch_id in _items(chosen) if await _take_up(conn, batch_id, actor=actor, reason=reason)]

    async def _end(
        self,
        conn: Connection,
        conversations: Sequence[Conversation],
        chosen: Sequence[store.Chosen],
        step: Step,
        *,
        actor: str,
        reason: str,
    ) -> int:
        """End held messages without a reply; returns how many batches that made or ended."""
        ended = 0
        for conversation in conversations:
            loose = [
                one.message_id for one in chosen if one.conversation_id == conversation.id and one.batch_id is None
            ]
            if loose:
                await end_unanswered(conn, conversation, loose, to=_ENDS[step], actor=actor, reason=reason)
                ended += 1
        for batch_id in _items(chosen):
            await move(conn, await lock_batch(conn, batch_id), _ENDS[step], actor=actor, reason=reason)
            ended += 1
        await store.settle(conn, [one.message_id for one in chosen], to=step, actor=actor)
        return ended

    async def _expire_of(self, person_id: int) -> int:
        async with self._database.transaction() as conn:
            conversations = await store.lock_conversations(conn, person_id)
            chosen = await store.choose(conn, person_id, overdue=True)
            if not chosen:
                return 0
            reason = "nobody decided in time"
            await self._end(conn, conversations, chosen, Step.EXPIRED, actor=audit.SYSTEM, reason=reason)
            await note(conn, person_id, Step.EXPIRED, actor=audit.SYSTEM, messages=len(chosen))
            await record_notice(
                conn,
                Notice(
                    topic="quarantine.expired",
                    summary="A silenced customer's messages were not decided about in time and end without a reply.",
                    labels={"person": str(person_id), "messages": str(len(chosen))},
                ),
            )
        await self._tell(person_id)
        return len(chosen)

    async def _go_on(self, person_id: int, conversations: Sequence[Conversation], items: Sequence[int]) -> None:
        """Seal what was released and ask for drafts; what fails here, pacing's net and the sweep find."""
        await self._tell(person_id)
        wanted = list(items)
        try:
            for conversation in conversations:
                outcome = await self._batches.seal(conversation.id)
                if isinstance(outcome, Sealed):
                    wanted.append(outcome.batch.id)
                    await self._events.publish("batch.sealed", batch=outcome.batch.id, conversation=conversation.id)
            for batch_id in dict.fromkeys(wanted):
                await self._wants_draft(batch_id)
        except NadiaError as exc:
            log.info("quarantine.sealing_postponed", person_id=person_id, reason=exc.message)

    async def _tell(self, person_id: int) -> None:
        await self._events.publish(SILENCE_CHANGED, person=person_id)


async def _choose(conn: Connection, person_id: int, message_ids: Sequence[int] | None) -> list[store.Chosen]:
    chosen = await store.choose(conn, person_id, message_ids=message_ids)
    missing = sorted(set(message_ids or ()) - {one.message_id for one in chosen})
    if missing:
        raise NothingHeldError(
            f"message {missing[0]} is not held", hint="look again: somebody may have decided already"
        )
    if not chosen:
        raise NothingHeldError(f"nothing of person {person_id} is held", hint="look again: somebody may have decided")
    return chosen


def _items(chosen: Sequence[store.Chosen]) -> list[int]:
    """Return the parked items among what was chosen."""
    return sorted({one.batch_id for one in chosen if one.batch_id is not None})


async def _take_up(conn: Connection, batch_id: int, *, actor: str, reason: str) -> bool:
    """Take a parked item back to where it was.

    Where the conversation has a newer item, this one ends and its messages are loose: sealing gives them to the newer
    one, as if the customer had written again. Returns False then.
    """
    locked = await lock_batch(conn, batch_id)
    newer = await store.open_item(conn, locked.conversation.id)
    if newer is not None:
        await store.loosen_members(conn, batch_id)
        await move(conn, locked, BatchState.REJECTED, actor=actor, reason=f"its messages went on with item {newer}")
        return False
    former = locked.batch.parked_from
    assert former is not None, "held messages with a batch are those of a parked one"
    await move(conn, locked, former, actor=actor, reason=reason, redraft=former is BatchState.SEALED)
    return True


async def _record(
    conn: Connection,
    person_id: int,
    step: Step,
    actor: str,
    *,
    before: Mapping[str, object] | None = None,
    after: Mapping[str, object],
) -> None:
    await audit.record(
        conn, actor=actor, action=f"quarantine.{step}", subject=f"person:{person_id}", before=before, after=after
    )
