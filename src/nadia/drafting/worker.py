"""Taking sealed batches off the stream and writing a draft for each."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import structlog

from nadia.clock import Clock, utc_now
from nadia.constants import MAX_HISTORY_LENGTH
from nadia.conversations import audit
from nadia.conversations.batches import Batches, park
from nadia.conversations.memory import ConversationMemory
from nadia.conversations.memory_entries import Remembered
from nadia.conversations.models import BatchState
from nadia.conversations.pauses import Activity, is_paused
from nadia.conversations.transitions import LockedBatch, lock_batch, move
from nadia.conversations.wal import LONGEST_WAIT_SECONDS, WalEntry, WalStream
from nadia.drafting import metrics, store
from nadia.drafting.ages import age_in_words
from nadia.drafting.config import DraftingSettings
from nadia.drafting.prompt import bubbles_of, build_prompt
from nadia.drafting.recovered import RecoveredContext
from nadia.errors import ConfigurationError, NadiaError, NotFoundError, UnavailableError
from nadia.llm.errors import NoModelAvailableError
from nadia.llm.models import Completion, Drafter
from nadia.postgres.database import Database
from nadia.redis.events import LiveEvents

log = structlog.get_logger(__name__)

CUT_OFF: Final = "cut off at the model's limit"
"""Flag of a draft that ends in mid-sentence."""

LEASE_MARGIN_SECONDS: Final = 5.0
"""A batch is left to its drafter for the model's time-out and so long: reading the memory, storing the draft."""

_LOOK_SECONDS: Final = 5.0
"""How often PostgreSQL is asked what waits, whatever the stream says: a full Redis answers and takes nothing in."""

_FORGOTTEN_SECONDS: Final = 15.0
"""A batch that has waited so long is not on its way through the stream, or that is slow."""

_RETRY_SECONDS: Final = 1.0
_HELD_POLL_SECONDS: Final = 0.1
_HELD_SECONDS: Final = 2.0
"""How long a batch that cannot be drafted now (paused, PostgreSQL away) is left alone."""


@dataclass(frozen=True, slots=True)
class _Taken:
    """A batch as it was when its draft was begun, and the right to draft it."""

    locked: LockedBatch
    attempt: store.Attempt


class DraftingWorker:
    """Writes drafts, several at once, in any number of processes.

    The stream says which batch to look at; PostgreSQL says whether it still wants a draft, and who writes it. What the
    stream does not name in time, or cannot without Redis, PostgreSQL is asked for.

    Parameters
    ----------
    database : Database
        The truth.
    batches : Batches
        Finds sealed batches when the stream cannot.
    wal : WalStream
        What is to be drafted.
    memory : ConversationMemory
        What the conversation was about.
    drafter : Drafter
        The models.
    persona : callable
        Returns the operator's text.
    profile : str
        Of the model registry.
    events : LiveEvents
        Tells pages.
    settings : DraftingSettings
        Limits.
    recovered : RecoveredContext, optional
        What is known of chats that were read again after downtime.
    answered_within : timedelta, optional
        Messages that are older are listed for a person instead of answered.
    clock : callable
        The present.
    sleep : callable
        Waiting.
    """

    def __init__(
        self,
        *,
        database: Database,
        batches: Batches,
        wal: WalStream,
        memory: ConversationMemory,
        drafter: Drafter,
        persona: Callable[[], str],
        profile: str,
        events: LiveEvents,
        settings: DraftingSettings,
        recovered: RecoveredContext | None = None,
        answered_within: timedelta | None = None,
        clock: Clock = utc_now,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._database = database
        self._batches = batches
        self._wal = wal
        self._memory = memory
        self._drafter = drafter
        self._persona = persona
        self._profile = profile
        self._events = events
        self._settings = settings
        self._recovered = recovered
        self._answered_within = answered_within
        self._clock = clock
        self._lease = timedelta(seconds=settings.timeout_seconds + LEASE_MARGIN_SECONDS)
        self._sleep = sleep
        self._running: dict[int, asyncio.Task[None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._held: dict[int, WalEntry | None] = {}
        self._retry_at = 0.0
        self._look_at = 0.0
        self._unended: dict[int, datetime] = {}

    async def run(self) -> None:
        """Draft what comes, until cancelled."""
        redis_was_away = False
        try:
            while True:
                self._retry_held(await self._free_places())
                if time.monotonic() >= self._look_at:
                    await self._take_from_database(await self._free_places(), at_least_seconds=_FORGOTTEN_SECONDS)
                    self._look_at = time.monotonic() + _LOOK_SECONDS
                places = await self._free_places()
                try:
                    entries = await self._wal.read(
                        limit=places, wait_seconds=_HELD_POLL_SECONDS if self._held else LONGEST_WAIT_SECONDS
                    )
                except UnavailableError as exc:
                    if not redis_was_away:
                        log.warning("drafting.degraded", reason=exc.message)
                    redis_was_away = True
                    await self._take_from_database(places, at_least_seconds=0.0)
                    await self._sleep(_RETRY_SECONDS)
                    continue
                redis_was_away = False
                for entry in entries:
                    self._start(entry.batch_id, entry)
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def draft(self, batch_id: int) -> bool:
        """Write one draft, if the batch wants one.

        Returns
        -------
        bool
            False if the batch is to be looked at again later, because drafting is paused.

        Raises
        ------
        UnavailableError
            If PostgreSQL is away.
        """
        begun = time.monotonic()
        taken = await self._take_up(batch_id)
        if taken is False:
            return False
        self._unended.pop(batch_id, None)
        if taken is True:
            return True
        try:
            if await self._write(taken.locked):
                metrics.DRAFT_SECONDS.observe(time.monotonic() - begun)
        except BaseException as exc:
            # Only a process that dies leaves the batch to its lease. PostgreSQL away, or this process told to stop, is
            # not the batch's fault.
            await self._end(
                batch_id, taken.attempt, counts=not isinstance(exc, UnavailableError | asyncio.CancelledError)
            )
            raise
        return True

    async def _take_up(self, batch_id: int) -> _Taken | bool:
        async with self._database.transaction() as conn:
            try:
                locked = await lock_batch(conn, batch_id)
            except NotFoundError:  # the stream is older than a restored database
                metrics.DRAFTS.labels("not_wanted").inc()
                return True
            if locked.batch.state is not BatchState.SEALED:
                metrics.DRAFTS.labels("not_wanted").inc()
                return True
            if await is_paused(conn, Activity.DRAFTING, locked.conversation.telegram_account_id):
                metrics.DRAFTS.labels("paused").inc()
                return False
            own = self._unended.get(batch_id)
            attempt = await store.begin_attempt(conn, batch_id, lease=self._lease, own=own)
            if attempt is None:  # if its drafter dies, PostgreSQL names the batch again
                metrics.DRAFTS.labels("taken").inc()
                return True
            if attempt.number > self._settings.most_attempts:
                await park(
                    conn,
                    locked,
                    reason=f"drafting began {attempt.number - 1} times and never ended",
                    actor=audit.SYSTEM,
                )
                metrics.DRAFTS.labels("parked").inc()
                return True
        # Both times are the database's.
        waited = attempt.until - self._lease - locked.batch.changed_at
        metrics.WAIT_SECONDS.observe(max(0.0, waited.total_seconds()))
        return _Taken(locked=locked, attempt=attempt)

    async def _end(self, batch_id: int, attempt: store.Attempt, *, counts: bool) -> None:
        try:
            async with self._database.connection() as conn:
                await store.end_attempt(conn, batch_id, attempt, counts=counts)
        except NadiaError as exc:
            log.info("drafting.end_unrecorded", batch_id=batch_id, reason=exc.message)
            self._unended[batch_id] = attempt.until

    async def _write(self, begun: LockedBatch) -> bool:
        """Have a draft written and store it; False if there is none to store."""
        with metrics.IN_PROGRESS.track_inprogress():
            try:
                if (age := await self._too_old(begun)) is not None:
                    await self._give_up(begun, reason=left_to_a_person(age))
                    return False
                history = await self._memory.recall(begun.conversation)
                missing = await self._not_shown(begun, history)
                summary = await self._recovered.summary_for(begun.batch.id) if self._recovered else None
                completion = await self._drafter.complete(
                    build_prompt(self._persona(), history, now=self._clock(), summary=summary),
                    profile=self._profile,
                    timeout=self._settings.timeout_seconds,
                )
            except (NoModelAvailableError, ConfigurationError) as exc:
                await self._give_up(begun, reason=exc.message)
                return False
        return await self._store(begun, completion, missing=missing)

    async def _not_shown(self, begun: LockedBatch, history: Sequence[Remembered]) -> int:
        if len(history) < MAX_HISTORY_LENGTH:
            return 0
        async with self._database.connection() as conn:
            return await store.not_shown(conn, begun.batch, shown=len(history))

    async def _too_old(self, begun: LockedBatch) -> timedelta | None:
        """Return the age of what a batch answers if it is too old for a draft that nobody has asked for."""
        if self._answered_within is None:
            return None
        async with self._database.connection() as conn:
            newest = await store.left_since(conn, begun.batch)
        age = None if newest is None else self._clock() - newest
        return age if age is not None and age > self._answered_within else None

    async def _store(self, begun: LockedBatch, completion: Completion, *, missing: int) -> bool:
        bubbles = bubbles_of(completion.text)
        if not bubbles:
            await self._give_up(begun, reason="the model's answer was empty")
            return False
        draft = store.NewDraft(
            bubbles=bubbles,
            profile=self._profile,
            model=completion.model,
            score=completion.score,
            flags=([CUT_OFF] if completion.truncated else []) + ([not_shown_flag(missing)] if missing else []),
            input_tokens=completion.input_tokens,
            output_tokens=completion.output_tokens,
            cost_usd=completion.cost_usd,
            latency_seconds=completion.latency_seconds,
        )
        async with self._database.transaction() as conn:
            locked = await lock_batch(conn, begun.batch.id)
            wanted = locked.batch.state is BatchState.SEALED and locked.batch.revision == begun.batch.revision
            if not wanted:
                metrics.DRAFTS.labels("outdated").inc()
                return False
            await store.insert(conn, draft, answers=begun)
            await move(conn, locked, BatchState.DRAFTED, actor=audit.SYSTEM)
        metrics.DRAFTS.labels("drafted").inc()
        await self._events.publish("batch.drafted", batch=begun.batch.id, conversation=begun.conversation.id)
        return True

    async def _give_up(self, begun: LockedBatch, *, reason: str) -> None:
        """Hand the batch to the desk without a draft: a person writes."""
        async with self._database.transaction() as conn:
            locked = await lock_batch(conn, begun.batch.id)
            if locked.batch.state is not BatchState.SEALED or locked.batch.revision != begun.batch.revision:
                metrics.DRAFTS.labels("outdated").inc()
                return
            await move(conn, locked, BatchState.IN_REVIEW, actor=audit.SYSTEM, reason=reason)
        metrics.DRAFTS.labels("no_draft").inc()
        await self._events.publish("batch.undrafted", batch=begun.batch.id, conversation=begun.conversation.id)

    async def _take_from_database(self, places: int, *, at_least_seconds: float) -> None:
        known = {*self._running, *self._held}
        try:
            waiting = await self._batches.sealed_for(at_least_seconds=at_least_seconds, limit=places, besides=known)
        except UnavailableError as exc:
            log.warning("drafting.waits", reason=exc.message)
            return
        for batch_id in waiting:
            self._start(batch_id, None)

    def _start(self, batch_id: int, entry: WalEntry | None) -> None:
        """Draft in the background; what comes for a batch that is being drafted waits for that to end."""
        previous = self._running.get(batch_id)
        task = asyncio.create_task(self._run_one(batch_id, entry, previous), name=f"draft.{batch_id}")
        self._running[batch_id] = task
        self._tasks.add(task)
        task.add_done_callback(lambda done: self._forget(batch_id, done))

    def _forget(self, batch_id: int, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if self._running.get(batch_id) is task:
            del self._running[batch_id]

    async def _run_one(self, batch_id: int, entry: WalEntry | None, previous: "asyncio.Task[None] | None") -> None:
        if previous is not None:
            await asyncio.wait([previous])
        try:
            settled = await self.draft(batch_id)
        except NadiaError as exc:
            metrics.DRAFTS.labels("failed").inc()
            log.warning("drafting.failed", batch_id=batch_id, reason=exc.message, hint=exc.hint)
            settled = False
        except Exception:
            # One batch must not stop the others; it is tried again, and parked when that goes on.
            metrics.DRAFTS.labels("failed").inc()
            log.exception("drafting.crashed", batch_id=batch_id)
            settled = False
        if not settled:
            self._held[batch_id] = entry
            self._retry_at = time.monotonic() + _HELD_SECONDS
            return
        self._retry_at = 0.0  # what held this one up may have ended for the others too
        if entry is not None:
            with suppress(UnavailableError):  # it comes back and finds nothing to do
                await self._wal.acknowledge(entry)

    def _retry_held(self, places: int) -> None:
        """Start what was held, longest first, a few at a time: most of it may have to be held again."""
        if time.monotonic() < self._retry_at:
            return
        for batch_id in list(self._held)[:places]:
            self._start(batch_id, self._held.pop(batch_id))

    async def _free_places(self) -> int:
        """Wait until something can be started; returns how much."""
        while len(self._tasks) >= self._settings.concurrency:
            await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
        return self._settings.concurrency - len(self._tasks)


def left_to_a_person(age: timedelta) -> str:
    """Return why there is no draft of an answer to messages of such an age."""
    return f"written {age_in_words(age)} ago: what is so old is answered by a person, or not at all"


def not_shown_flag(messages: int) -> str:
    """Return the flag of a draft whose model did not see all that it answers."""
    return f"{messages} earlier {'message was' if messages == 1 else 'messages were'} not shown to the model"
