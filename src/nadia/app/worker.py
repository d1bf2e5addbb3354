"""The worker role: bursts become batches, batches get drafts, and Redis is kept complete."""

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from typing import Final

import structlog

from nadia.alerting import retention as alerting_retention
from nadia.app.context import ProcessContext
from nadia.app.queue_gauges import QueueGauges
from nadia.app.supervision import Part
from nadia.errors import UnavailableError
from nadia.health.queue_reading import QueueReader
from nadia.health.wal_reading import WalReader
from nadia.pacing.skew import ClockSkew
from nadia.pacing.sweep import SWEEP_SECONDS, Sweep
from nadia.pacing.tracker import UserActivityTracker
from nadia.recovery import retention as recovery_retention

log = structlog.get_logger(__name__)

_EMPTIED_CHECK_SECONDS: Final = 1.0
_FORGOTTEN_SECONDS: Final = 10.0
_CLOCK_SECONDS: Final = 30.0
_EXPIRY_SECONDS: Final = 60.0
_QUARANTINE_SECONDS: Final = 10.0
_MEASURE_SECONDS: Final = 5.0


def worker_parts(context: ProcessContext) -> Mapping[str, Part]:
    """Return what a worker runs."""

    async def expire() -> None:
        await _expire(context)

    async def sweep() -> None:
        await _sweep(context.sweep)

    async def seal_forgotten() -> None:
        await _seal_forgotten(context.tracker)

    async def compare_clocks() -> None:
        await _compare_clocks(ClockSkew(database=context.database))

    async def measure() -> None:
        await _measure(context)

    async def keep_silences() -> None:
        await _keep_silences(context)

    return {
        **_tracing(context),
        "pacing": context.tracker.run,
        "drafting": context.drafting.run,
        "sweep": sweep,
        "forgotten": seal_forgotten,
        "clock": compare_clocks,
        "expiry": expire,
        "quarantine": keep_silences,
        "gauges": measure,
    }


def _tracing(context: ProcessContext) -> Mapping[str, Part]:
    """Return the part that sends traces, if they are wanted."""
    if context.config.tracing.endpoint is None:
        return {}
    from nadia.tracing.service import MessageTraces

    traces = MessageTraces(database=context.database, redis=context.redis, settings=context.config.tracing)
    return {"tracing": traces.run}


async def _sweep(sweep: Sweep) -> None:
    """Rebuild what Redis lost: at start, every minute, and as soon as it is found empty."""
    loop = asyncio.get_running_loop()
    due = loop.time()
    redis_was_away = False
    while True:
        try:
            if redis_was_away or loop.time() >= due or await sweep.redis_was_emptied():
                await sweep.run_once()
                due = loop.time() + SWEEP_SECONDS
            redis_was_away = False
        except UnavailableError as exc:
            if not redis_was_away:
                log.info("sweep.waits", reason=exc.message)
            redis_was_away = True
        await asyncio.sleep(_EMPTIED_CHECK_SECONDS)


async def _seal_forgotten(tracker: UserActivityTracker) -> None:
    """Seal what pacing missed, whatever Redis says: this net does not hang on it."""
    while True:
        try:
            await tracker.seal_forgotten()
        except UnavailableError as exc:
            log.info("forgotten.waits", reason=exc.message)
        await asyncio.sleep(_FORGOTTEN_SECONDS)


async def _compare_clocks(skew: ClockSkew) -> None:
    while True:
        try:
            await skew.compare()
        except UnavailableError as exc:
            log.debug("clock.waits", reason=exc.message)
        await asyncio.sleep(_CLOCK_SECONDS)


async def _measure(context: ProcessContext) -> None:
    """Keep the queues' gauges current."""
    queues = QueueGauges(
        queues=QueueReader(connect=context.database.connection),
        wal=WalReader(redis=context.redis, stuck_seconds=context.config.drafting.wal_lease_seconds),
    )
    while True:
        try:
            await context.desk.measure()
            await context.quarantine.measure()
            await queues.measure()
        except UnavailableError as exc:
            log.debug("gauges.wait", reason=exc.message)
        await asyncio.sleep(_MEASURE_SECONDS)


async def _keep_silences(context: ProcessContext) -> None:
    """End what nobody decided about in time, and park what escaped a silence's beginning."""
    while True:
        try:
            await context.quarantine.enforce()
            await context.quarantine.expire()
        except UnavailableError as exc:
            log.info("quarantine.waits", reason=exc.message)
        await asyncio.sleep(_QUARANTINE_SECONDS)


async def _expire(context: ProcessContext) -> None:
    age = timedelta(hours=context.config.review.expire_after_hours)
    while True:
        try:
            await context.batches.expire(older_than=age)
            await recovery_retention.enforce(context.database)
            await alerting_retention.enforce(context.database)
        except UnavailableError as exc:
            log.info("expiry.waits", reason=exc.message)
        await asyncio.sleep(_EXPIRY_SECONDS)
