"""Taking sealed batches off the stream and writing a draft for each."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

import structlog

from nadia.conversations import (
    Batches,
    BatchState,
    ConversationMemory,
    LockedBatch,
    WalEntry,
    WalStream,
    audit,
    lock_batch,
    move,
)
from nadia.conversations.batches import park
from nadia.conversations.pauses import Activity, is_paused
from nadia.conversations.wal import LONGEST_WAIT_SECONDS
from nadia.drafting import metrics, store
from nadia.drafting.config import DraftingSettings
from nadia.drafting.prompt import bubbles_of, build_prompt
from nadia.errors import ConfigurationError, NadiaError, NotFoundError, UnavailableError
from nadia.llm import Completion, Drafter, NoModelAvailableError
from nadia.postgres import Database
from nadia.redis.events import LiveEvents

log = structlog.get_logger(__name__)

CUT_OFF: Final = "cut off at the model's limit"
"""Flag of a draft that ends in mid-sentence."""

_RETRY_SECONDS: Final = 1.0
_HELD_POLL_SECONDS: Final = 0.1
_HELD_SECONDS: Final = 2.0
"""How long a batch that cannot be drafted now (paused, PostgreSQL away) is left alone."""


class DraftingWorker:
    """Writes drafts, several at once, in any number of processes.

    The stream says which batch to look at; PostgreSQL says whether it still wants a draft. Without Redis, PostgreSQL
    is asked for the batches too.

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
        self._sleep = sleep
        self._running: dict[int, asyncio.Task[None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._held: dict[int, WalEntry | None] = {}
        self._retry_at = 0.0

    async def run(self) -> None:
        """Draft what comes, until cancelled."""
        redis_was_away = False
        try:
            while True:
                self._retry_held(await self._free_places())
                places = await self._free_places()
                try:
                    entries = await self._wal.read(
                        limit=places, wait_seconds=_HELD_POLL_SECONDS if self._held else LONGEST_WAIT_SECONDS
                    )
                except UnavailableError as exc:
                    if not redis_was_away:
                        log.warning("drafting.degraded", reason=exc.message)
                    redis_was_away = True
                    await self._take_from_database(places)
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
        if isinstance(taken, bool):
            return taken
        with metrics.IN_PROGRESS.track_inprogress():
            try:
                completion = await self._complete(taken)
            except (NoModelAvailableError, ConfigurationError) as exc:
                await self._give_up(taken, reason=exc.message)
                return True
        if await self._store(taken, completion):
            metrics.DRAFT_SECONDS.observe(time.monotonic() - begun)
        return True

    async def _take_up(self, batch_id: int) -> LockedBatch | bool:
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
            attempt = await store.begin_attempt(conn, batch_id)
            if attempt > self._settings.most_attempts:
                await park(
                    conn, locked, reason=f"drafting began {attempt - 1} times and never ended", actor=audit.SYSTEM
                )
                metrics.DRAFTS.labels("parked").inc()
                return True
        return locked

    async def _complete(self, locked: LockedBatch) -> Completion:
        history = await self._memory.recall(locked.conversation)
        return await self._drafter.complete(
            build_prompt(self._persona(), history), profile=self._profile, timeout=self._settings.timeout_seconds
        )

    async def _store(self, begun: LockedBatch, completion: Completion) -> bool:
        bubbles = bubbles_of(completion.text)
        if not bubbles:
            await self._give_up(begun, reason="the model's answer was empty")
            return False
        draft = store.NewDraft(
            bubbles=bubbles,
            profile=self._profile,
            model=completion.model,
            score=completion.score,
            flags=[CUT_OFF] if completion.truncated else [],
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

    async def _take_from_database(self, places: int) -> None:
        known = {*self._running, *self._held}
        try:
            waiting = await self._batches.sealed_for(at_least_seconds=0.0, limit=places, besides=known)
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
