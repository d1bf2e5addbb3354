"""Adaptive message pacing (baseline 2.4): one batch for a burst, sealed when the customer has finished writing."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Final

import structlog

from nadia.clock import Clock, utc_now
from nadia.conversations.batches import Batches, Sealed, SealHeld, SealPostponed
from nadia.conversations.wal import WalStream
from nadia.errors import NadiaError, UnavailableError
from nadia.pacing import metrics
from nadia.pacing.bursts import Burst, Bursts
from nadia.pacing.config import PacingSettings
from nadia.redis.commands import Command
from nadia.redis.events import LiveEvents

log = structlog.get_logger(__name__)

URGENT_PRIORITY: Final = 10
_RETRY: Final = timedelta(seconds=1)
_FORGOTTEN_SECONDS: Final = 10.0
"""A burst that Redis has not ended so long after its longest wait is not going to be: it names a wrong time."""

_SEALED_AT_ONCE: Final = 8

Sleep = Callable[[float], Awaitable[object]]


class UserActivityTracker:
    """Waits for the end of each customer's burst and seals it.

    Any number of processes share the work: a burst that is over goes to one of them for the length of a lease. One
    that dies or stalls loses and doubles nothing, because sealing takes the messages in PostgreSQL.

    Parameters
    ----------
    bursts : Bursts
        When each burst is over.
    batches : Batches
        What sealing makes of it.
    wal : WalStream
        Where drafting looks for sealed batches.
    events : LiveEvents
        Tells pages.
    settings : PacingSettings
        The window and its bounds.
    clock, sleep : callable
        The present, and waiting.
    """

    def __init__(
        self,
        *,
        bursts: Bursts,
        batches: Batches,
        wal: WalStream,
        events: LiveEvents,
        settings: PacingSettings,
        clock: Clock = utc_now,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self._bursts = bursts
        self._batches = batches
        self._wal = wal
        self._events = events
        self._settings = settings
        self._clock = clock
        self._sleep = sleep
        self._flush = _word_pattern(settings.flush_words)
        self._places = asyncio.Semaphore(_SEALED_AT_ONCE)
        self._sealing: set[asyncio.Task[None]] = set()

    async def handle_message(
        self, *, conversation_id: int, partition: int, text: str, along: Sequence[Command] = ()
    ) -> None:
        """Take a message, already on record, into its conversation's burst.

        Parameters
        ----------
        conversation_id, partition : int
            Whose.
        text : str
            What the customer wrote; some words end the burst at once.
        along : sequence of Command
            What else Redis is to do for this message, in the same round trip.

        Raises
        ------
        UnavailableError
            If Redis is away; PostgreSQL's clock ends the burst then.
        """
        await self._bursts.add(
            conversation_id=conversation_id,
            partition=partition,
            now=self._clock(),
            urgent=self.is_urgent(text),
            along=along,
        )
        metrics.MESSAGES.inc()

    async def handle_typing_event(self, *, conversation_id: int, partition: int) -> None:
        """Wait longer for a customer who is writing; without Redis the signal is lost, as it may be."""
        with suppress(UnavailableError):
            await self._bursts.typing(conversation_id=conversation_id, partition=partition, now=self._clock())

    def is_urgent(self, text: str) -> bool:
        """Tell whether a text has one of the words that end a burst at once."""
        return self._flush is not None and self._flush.search(text) is not None

    async def run(self) -> None:
        """Seal bursts as they end, until cancelled."""
        redis_was_away = False
        try:
            while True:
                try:
                    if redis_was_away:
                        await self._seal_by_database_clock()
                    await self._adaptive_window_timer()
                    redis_was_away = False
                except UnavailableError as exc:
                    if not redis_was_away:
                        log.warning("pacing.degraded", reason=exc.message)
                    redis_was_away = True
                    with suppress(UnavailableError):
                        await self._seal_by_database_clock()
                    await self._sleep(_RETRY.total_seconds())
        finally:
            for task in self._sealing:
                task.cancel()
            await asyncio.gather(*self._sealing, return_exceptions=True)

    async def _adaptive_window_timer(self) -> None:
        """Sleep until the next burst is over, then begin to seal all that are.

        One that cannot be sealed at the moment holds up no other: it takes one place of several.
        """
        claimed = await self._bursts.claim_due(self._clock())
        for burst in claimed:
            task = asyncio.create_task(self._process_buffer(burst), name=f"seal.{burst.conversation_id}")
            self._sealing.add(task)
            task.add_done_callback(self._sealing_ended)
        while len(self._sealing) >= _SEALED_AT_ONCE:
            await asyncio.wait(self._sealing, return_when=asyncio.FIRST_COMPLETED)
        if not claimed:
            await self._bursts.sleep(self._clock())

    def _sealing_ended(self, task: "asyncio.Task[None]") -> None:
        self._sealing.discard(task)
        if not task.cancelled() and (failure := task.exception()) is not None:
            # The burst comes back after its lease.
            log.error("pacing.seal_crashed", task=task.get_name(), exc_info=failure)

    async def _process_buffer(self, burst: Burst) -> None:
        """Seal one burst: all its messages become one batch, or join the conversation's open one."""
        async with self._places:
            try:
                outcome = await self._batches.seal(
                    burst.conversation_id, priority=URGENT_PRIORITY if burst.urgent else 0
                )
            except NadiaError as exc:
                metrics.BATCHES.labels("failed").inc()
                log.warning("pacing.seal_failed", conversation_id=burst.conversation_id, reason=exc.message)
                await self._postpone(burst)
                return
            except Exception:
                # One conversation must not stop the others; its burst comes back after its lease.
                metrics.BATCHES.labels("failed").inc()
                log.exception("pacing.seal_crashed", conversation_id=burst.conversation_id)
                return
        if isinstance(outcome, SealPostponed):
            metrics.BATCHES.labels("postponed").inc()
            await self._postpone(burst)
            return
        if isinstance(outcome, Sealed):
            metrics.BURST_SECONDS.observe(max(0.0, (self._clock() - burst.due).total_seconds()))
            await self._announce(outcome)
        else:
            metrics.BATCHES.labels("held" if isinstance(outcome, SealHeld) else "nothing_left").inc()
            if isinstance(outcome, SealHeld):
                await self._events.publish("batch.held", conversation=burst.conversation_id)
        with suppress(UnavailableError):  # it comes back after its lease and finds nothing to seal
            await self._bursts.finish(burst)

    async def _postpone(self, burst: Burst) -> None:
        with suppress(UnavailableError):  # it comes back after its lease
            await self._bursts.postpone(burst, until=self._clock() + _RETRY)

    async def seal_forgotten(self) -> None:
        """End the bursts that Redis should have ended long ago; to be called once in a while.

        A process whose clock is ahead makes them due in the future; a full Redis does not take them in.

        Raises
        ------
        UnavailableError
            If PostgreSQL is away.
        """
        bound = self._settings.longest_seconds + _FORGOTTEN_SECONDS
        await self._seal_overdue(window_seconds=bound, longest_seconds=bound)

    async def _seal_by_database_clock(self) -> None:
        """End the bursts that are over by PostgreSQL's clock: Redis cannot say."""
        await self._seal_overdue(
            window_seconds=self._settings.window_seconds, longest_seconds=self._settings.longest_seconds
        )

    async def _seal_overdue(self, *, window_seconds: float, longest_seconds: float) -> None:
        overdue = await self._batches.overdue(window_seconds=window_seconds, longest_seconds=longest_seconds)
        for conversation_id in overdue:
            try:
                outcome = await self._batches.seal(conversation_id)
            except NadiaError as exc:
                metrics.BATCHES.labels("failed").inc()
                log.warning("pacing.seal_failed", conversation_id=conversation_id, reason=exc.message)
                continue
            except Exception:
                metrics.BATCHES.labels("failed").inc()
                log.exception("pacing.seal_crashed", conversation_id=conversation_id)
                continue
            if isinstance(outcome, Sealed):
                metrics.FALLBACKS.inc()
                await self._announce(outcome)

    async def _announce(self, sealed: Sealed) -> None:
        batch = sealed.batch
        metrics.BATCHES.labels("new_batch" if batch.revision == 1 and sealed.wants_draft else "joined").inc()
        metrics.SEALED_MESSAGES.inc(sealed.messages)
        if sealed.wants_draft:
            try:
                await self._wal.add([batch.id])
            except UnavailableError:
                log.info("wal.entry_postponed", batch_id=batch.id)  # the sweep adds it
        await self._events.publish("batch.sealed", batch=batch.id, conversation=batch.conversation_id)


def _word_pattern(words: Sequence[str]) -> re.Pattern[str] | None:
    meant = [re.escape(word.strip()) for word in words if word.strip()]
    return re.compile(rf"(?<!\w)(?:{'|'.join(meant)})(?!\w)", re.IGNORECASE) if meant else None
