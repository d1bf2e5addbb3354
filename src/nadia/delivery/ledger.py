"""What delivery puts on record: one short transaction before each attempt, one after it.

Before: the conversation's lock, the right to act for the account, pauses, and whether the customer has written since
the approval. After: what became of the attempt. That is retried until PostgreSQL takes it, because a message that is
out and not on record is the one state that must not be guessed about.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import structlog

from nadia.conversations import audit
from nadia.conversations.batches import park
from nadia.conversations.messages import NotOwnerError
from nadia.conversations.models import BatchState
from nadia.conversations.pauses import ACCOUNT_LIMITED, Activity, Pauses, is_paused
from nadia.conversations.transitions import LockedBatch, lock_batch, move
from nadia.delivery import metrics, store
from nadia.delivery.catching_up import BEHIND, CatchesUp
from nadia.delivery.metrics import Failure
from nadia.delivery.models import Bubble, BubbleState, Turn
from nadia.delivery.outbox import put_on_record
from nadia.errors import NadiaError, UnavailableError
from nadia.notices import Notice, Severity
from nadia.notices import record as record_notice
from nadia.postgres.database import Connection, Database
from nadia.quarantine.errors import SILENCED
from nadia.quarantine.gate import is_withheld, withhold
from nadia.redis.events import LiveEvents
from nadia.telegram.ownership import Ownership, owns

log = structlog.get_logger(__name__)

STALE: Final = "the customer wrote again"
_FIRST_RETRY_SECONDS: Final = 0.1
_LONGEST_RETRY_SECONDS: Final = 5.0


class ChatBehindError(NadiaError):
    """The reply is due, and its chat may hold messages that are not on record yet."""


class Ledger:
    """Reads and writes the state of one account's replies.

    Parameters
    ----------
    database : Database
        Where it is.
    ownership : Ownership
        The right to act for the account.
    pauses : Pauses
        Stops sending when Telegram limits the account.
    events : LiveEvents
        Tells pages.
    catching_up : CatchesUp, optional
        Knows which chats may hold messages that are not on record yet.
    """

    def __init__(
        self,
        *,
        database: Database,
        ownership: Ownership,
        pauses: Pauses,
        events: LiveEvents,
        catching_up: CatchesUp | None = None,
    ) -> None:
        self._database = database
        self._catching_up = catching_up
        self._ownership = ownership
        self._pauses = pauses
        self._events = events

    def require_ownership(self) -> None:
        """Check by this process's own clock that it may still act for the account.

        Raises
        ------
        NotOwnerError
            If not.
        """
        if not self._ownership.lives:
            raise NotOwnerError("this process no longer owns the Telegram account")

    async def waiting(self, *, working_on: list[int], held: list[int], limit: int) -> store.Waiting:
        """Return replies that are to leave; of ``held`` ones only those that are to go back to the desk.

        While sending is paused, all are held.
        """
        account_id = self._ownership.account_id
        async with self._database.connection() as conn:
            paused = await is_paused(conn, Activity.SENDING, account_id)
            return await store.waiting(
                conn, account_id, working_on=working_on, held=held, stale_only=paused, limit=limit
            )

    async def turn(self, batch_id: int) -> Turn | None:
        """Return whose turn it is, and take an approved reply to ``sending``; None if it may not go on now.

        Raises
        ------
        ChatBehindError
            If its chat has to be read first; the desk shows that.
        NotOwnerError
            If another process owns the account.
        UnavailableError
            If PostgreSQL is away.
        """
        async with self._database.transaction() as conn:
            found = await self._check(conn, batch_id)
        await self._tell(found, batch_id)
        if isinstance(found, _Behind):  # raised here, where the reason is committed
            raise ChatBehindError(f"the reply {BEHIND}")
        return found if isinstance(found, Turn) else None

    async def begin(self, turn: Turn) -> Turn | None:
        """Put on record that an attempt begins, unless the bubble's turn has passed; parameters as `turn` found them.

        Raises
        ------
        NotOwnerError
            If another process owns the account.
        UnavailableError
            If PostgreSQL is away.
        """
        batch_id = turn.bubble.batch_id
        async with self._database.transaction() as conn:
            found = await self._check(conn, batch_id)
            if isinstance(found, Turn):
                if found.stale or found.bubble.id != turn.bubble.id:
                    return None
                begun = await store.begin(
                    conn,
                    found.bubble.id,
                    account_id=found.conversation.telegram_account_id,
                    chat_id=found.conversation.chat_id,
                )
                assert begun is not None, "the conversation is locked"
                return Turn(conversation=found.conversation, bubble=begun, stale=False)
        await self._tell(found, batch_id)
        return None

    async def sent(self, bubble: Bubble, *, telegram_message_id: int, sent_at: datetime, known_by: str) -> None:
        """Put on record that a bubble is out, and what follows; may be repeated.

        Also when the account, or the bubble, is in other hands by now: a message that is out must be known.
        """
        seconds = 0.0
        ended = False

        async def write() -> None:
            nonlocal seconds, ended
            async with self._database.transaction() as conn:
                locked = await lock_batch(conn, bubble.batch_id)
                known = await store.outcome(conn, bubble.id)
                seconds = known.seconds_since_approval
                if known.telegram_message_id == telegram_message_id:  # a commit went through whose answer was lost
                    ended = locked.batch.state is BatchState.SENT
                    return
                if known.state is not BubbleState.SENDING:
                    log.error(
                        "reply.sent_unexpectedly",
                        batch_id=bubble.batch_id,
                        bubble=bubble.id,
                        state=known.state.value,
                        message_id=telegram_message_id,
                    )
                await store.mark_sent(conn, bubble.id, telegram_message_id=telegram_message_id, sent_at=sent_at)
                await put_on_record(
                    conn,
                    locked,
                    bubble,
                    telegram_message_id=telegram_message_id,
                    sent_at=sent_at,
                    actor=audit.SYSTEM,
                    by=known_by,
                )
                ended = locked.batch.state is BatchState.SENDING and not await store.has_unsent(conn, bubble.batch_id)
                if ended:
                    await move(conn, locked, BatchState.SENT, actor=audit.SYSTEM)

        await _until_done(write)
        metrics.BUBBLES_SENT.inc()
        log.info("reply.bubble_sent", batch_id=bubble.batch_id, position=bubble.position, known_by=known_by)
        if ended:
            metrics.APPROVAL_TO_SENT_SECONDS.observe(seconds)
        await self._publish("reply.sent" if ended else "reply.bubble_sent", bubble.batch_id, bubble.conversation_id)

    async def not_sent(self, turn: Turn, *, failure: Failure, delay_seconds: float, error: str) -> None:
        """Put on record that an attempt surely did not go out: the bubble is again what it was before.

        Parameters
        ----------
        turn : Turn
            From before the attempt: an earlier one whose end is unknown stays open.
        failure : Failure
            For the metrics.
        delay_seconds : float
            When to try again.
        error : str
            For people.

        Raises
        ------
        NotOwnerError
            If another process owns the account, and may be sending the bubble.
        """
        leave = store.take_back if turn.bubble.state is BubbleState.QUEUED else store.postpone

        async def write() -> None:
            async with self._database.transaction() as conn:
                await self._require_account(conn)
                await leave(conn, turn.bubble.id, delay_seconds=delay_seconds, error=error)

        await _until_done(write)
        metrics.FAILURES.labels(failure).inc()
        log.info("reply.not_sent", batch_id=turn.bubble.batch_id, failure=failure.value, delay=delay_seconds)

    async def postpone(self, bubble: Bubble, *, delay_seconds: float, error: str) -> None:
        """Leave a bubble as it is for a while; raises what `not_sent` does."""

        async def write() -> None:
            async with self._database.transaction() as conn:
                await self._require_account(conn)
                await store.postpone(conn, bubble.id, delay_seconds=delay_seconds, error=error)

        await _until_done(write)

    async def give_up(self, bubble: Bubble) -> None:
        """Bring a stale or withheld reply back to the desk whose open attempt surely did not go out.

        Raises
        ------
        NotOwnerError
            If another process owns the account, and may be sending the bubble.
        """

        returned: _Returned | None = None

        async def write() -> None:
            nonlocal returned
            async with self._database.transaction() as conn:
                locked = await lock_batch(conn, bubble.batch_id)
                await self._require_account(conn)
                if locked.batch.state is BatchState.SENDING:
                    await store.cancel(conn, bubble.batch_id, BubbleState.SENDING)
                    returned = await _to_desk(conn, locked)

        await _until_done(write)
        await self._tell(returned, bubble.batch_id)

    async def park(self, batch_id: int, *, bubble: Bubble | None, failure: Failure, reason: str) -> None:
        """Leave a reply to a person, with a notice.

        Parameters
        ----------
        batch_id : int
            The reply's batch.
        bubble : Bubble or None
            The one in doubt; the next one to leave when not known.
        failure : Failure
            For the metrics.
        reason : str
            What people read at the desk.

        Raises
        ------
        NotOwnerError
            If another process owns the account, and may be sending the bubble.
        """
        metrics.FAILURES.labels(failure).inc()
        conversation_id = 0

        async def write() -> None:
            nonlocal conversation_id
            async with self._database.transaction() as conn:
                locked = await lock_batch(conn, batch_id)
                await self._require_account(conn)
                conversation_id = locked.conversation.id
                if locked.batch.state not in (BatchState.APPROVED, BatchState.SENDING):
                    return
                doubtful = bubble or await store.next_bubble(conn, batch_id)
                if doubtful is not None:
                    await store.park(conn, doubtful.id, error=reason)
                if locked.batch.state is BatchState.APPROVED:
                    locked = await move(conn, locked, BatchState.SENDING, actor=audit.SYSTEM)
                await park(conn, locked, reason=reason, actor=audit.SYSTEM)

        await _until_done(write)
        await self._publish("reply.parked", batch_id, conversation_id)

    async def stop_sending(self, reason: str) -> None:
        """Pause sending for the account until a person resumes it, with a notice."""
        account_id = self._ownership.account_id

        async def write() -> None:
            # The notice first: if only one of the two is written, the next attempt writes both.
            async with self._database.transaction() as conn:
                if not await is_paused(conn, Activity.SENDING, account_id):
                    await record_notice(conn, _limited(account_id, reason))
            await self._pauses.pause(Activity.SENDING, account_id=account_id, reason=reason, actor=audit.SYSTEM)

        await _until_done(write)

    async def texts(self, batch_id: int) -> tuple[int, list[tuple[int, int, str]]]:
        """Return how many characters the customer wrote, and id, position and text of the bubbles yet to be sent."""
        async with self._database.connection() as conn:
            return await store.to_read(conn, batch_id), await store.unsent_texts(conn, batch_id)

    async def _check(self, conn: Connection, batch_id: int) -> "Turn | _Returned | _Behind | None":
        """Look under the conversation's lock whether the reply may go on."""
        locked = await lock_batch(conn, batch_id)
        if locked.batch.state not in (BatchState.APPROVED, BatchState.SENDING):
            return None
        self.require_ownership()
        await self._require_account(conn)
        bubble = await store.next_bubble(conn, batch_id)
        if bubble is None:
            return None
        # Before anything that holds up sending: what does not answer the customer any more, or must not, is the desk's,
        # or, with an attempt whose end is unknown, to be looked up for the desk.
        stale = locked.conversation.revision != bubble.conversation_revision or await is_withheld(conn, batch_id)
        if stale and bubble.state is BubbleState.QUEUED:
            return await _to_desk(conn, locked)
        if not stale and await is_paused(conn, Activity.SENDING, locked.conversation.telegram_account_id):
            return None
        if not stale and self._catching_up and await self._catching_up.is_behind(conn, locked.conversation):
            await store.say_why(conn, bubble.id, BEHIND)
            # What the customer wrote meanwhile may make it stale.
            return _Behind(locked.conversation.id, is_known=bubble.last_error == BEHIND)
        if bubble.last_error == BEHIND:
            await store.say_why(conn, bubble.id, None)
        if bubble.attempts == 0 and bubble.due_in > 0:  # approved anew: it can still be taken back
            return None
        if locked.batch.state is BatchState.APPROVED:
            await move(conn, locked, BatchState.SENDING, actor=audit.SYSTEM)
        return Turn(conversation=locked.conversation, bubble=bubble, stale=stale)

    async def _require_account(self, conn: Connection) -> None:
        """Check that the account is ours, and stays ours until the transaction ends."""
        token = self._ownership.fencing_token
        if not await owns(conn, account_id=self._ownership.account_id, fencing_token=token):
            raise NotOwnerError("another process owns the Telegram account")

    async def _tell(self, found: "Turn | _Returned | _Behind | None", batch_id: int) -> None:
        if isinstance(found, _Returned):
            metrics.FAILURES.labels(found.why).inc()
            await self._publish("reply.stale", batch_id, found.conversation_id)
        elif isinstance(found, _Behind):
            if not found.is_known:
                log.info("reply.waits_for_what_was_missed", batch_id=batch_id)
                await self._publish("reply.waits", batch_id, found.conversation_id)
        elif found is not None and found.bubble.attempts == 0 and found.bubble.position == 0:
            await self._publish("reply.sending", batch_id, found.conversation.id)

    async def _publish(self, kind: str, batch_id: int, conversation_id: int) -> None:
        await self._events.publish(kind, batch=batch_id, conversation=conversation_id)


@dataclass(frozen=True, slots=True)
class _Returned:
    """The reply went back to the desk."""

    conversation_id: int
    why: Failure


@dataclass(frozen=True, slots=True)
class _Behind:
    """The reply waits until its chat is read; whether pages were told."""

    conversation_id: int
    is_known: bool


async def _to_desk(conn: Connection, locked: LockedBatch) -> _Returned:
    """Cancel what has not begun to leave and let a person decide; what went out stays on record."""
    await store.cancel(conn, locked.batch.id, BubbleState.QUEUED)
    silenced = await is_withheld(conn, locked.batch.id)
    reason = SILENCED if silenced else STALE
    locked = await move(conn, locked, BatchState.IN_REVIEW, actor=audit.SYSTEM, reason=reason)
    if silenced:
        await withhold(conn, locked, actor=audit.SYSTEM)
    return _Returned(locked.conversation.id, Failure.SILENCED if silenced else Failure.STALE)


async def _until_done(write: Callable[[], Awaitable[None]]) -> None:
    """Write what has happened already, however long PostgreSQL is away."""
    delay = _FIRST_RETRY_SECONDS
    while True:
        try:
            return await write()
        except UnavailableError as exc:
            log.warning("delivery.waits_for_database", reason=exc.message, delay=delay)
        await asyncio.sleep(delay)
        delay = min(2 * delay, _LONGEST_RETRY_SECONDS)


def _limited(account_id: str, reason: str) -> Notice:
    return Notice(topic=ACCOUNT_LIMITED, summary=reason, severity=Severity.CRITICAL, labels={"account": account_id})
