"""Tells of messages whose way has ended; begun in every worker, done by one at a time."""

import asyncio
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

import structlog

from nadia.errors import UnavailableError
from nadia.postgres.database import Connection, Database
from nadia.redis import keys
from nadia.redis.commands import Command
from nadia.redis.connection import RedisConnection
from nadia.tracing import metrics, store
from nadia.tracing.collector import Collector, TracesRefusedError
from nadia.tracing.config import TracingSettings
from nadia.tracing.journey import Journey, Span, spans_of, trace_id_of
from nadia.tracing.store import Position

log = structlog.get_logger(__name__)

SETTLED: Final = timedelta(seconds=20)
"""A batch is told of so long after its end: by then whatever ended before it is visible too."""

_FIRST_LOOK: Final = timedelta(hours=1)
_LONGEST_LOOK: Final = timedelta(hours=24)
"""What the collector was away for longer than this is not told."""

_PAGE: Final = 50
_SPANS_AT_ONCE: Final = 1_000
_LOOK_SECONDS: Final = 10.0
_LONGEST_WAIT_SECONDS: Final = 300.0
_TURN_SECONDS: Final = 60

_NOW = "SELECT clock_timestamp() AS now"


class MessageTraces:
    """Sends one trace per message.

    How far it came stands in Redis. If that is lost, or two workers tell at once, some is told again, as the same
    traces.

    Parameters
    ----------
    database : Database
        Where the record is.
    redis : RedisConnection
        Where the position is.
    settings : TracingSettings
        What to send where.
    """

    def __init__(self, *, database: Database, redis: RedisConnection, settings: TracingSettings) -> None:
        self._database = database
        self._redis = redis
        self._ratio = settings.sample_ratio
        self._collector = Collector(settings)

    async def run(self) -> None:
        """Tell of what ends, until cancelled."""
        wait = _LOOK_SECONDS
        try:
            while True:
                try:
                    await self.look()
                    wait = _LOOK_SECONDS
                except UnavailableError as exc:
                    if wait == _LOOK_SECONDS:
                        log.warning("tracing.waits", reason=exc.message, hint=exc.hint)
                    wait = min(2 * wait, _LONGEST_WAIT_SECONDS)
                await asyncio.sleep(wait)
        finally:
            await self._collector.close()

    async def look(self) -> int:
        """Tell of what has ended since the last look, unless another worker does; returns how many batches.

        Raises
        ------
        UnavailableError
            If PostgreSQL, Redis or the collector is away; the next look goes on from there.
        """
        (taken,) = await self._redis.send(
            [Command(("SET", keys.TRACING_TURN, "1", "NX", "EX", _TURN_SECONDS))],
        )
        if not taken:
            return 0
        try:
            told = 0
            while page := await self._tell_page():
                told += page
            return told
        finally:
            await self._redis.send([Command(("DEL", keys.TRACING_TURN))])

    async def _tell_page(self) -> int:
        async with self._database.connection() as conn:
            journeys = await store.ended_after(conn, await self._position(conn), settled=SETTLED, limit=_PAGE)
        if not journeys:
            return 0
        spans: list[Span] = []
        for journey in journeys:
            spans += self._spans(journey)
            if len(spans) >= _SPANS_AT_ONCE:
                await self._send(spans)
                spans = []
        await self._send(spans)
        last = journeys[-1]
        position = f"{last.ended_at.isoformat()} {last.batch_id}"
        await self._redis.send(
            [
                Command(("SET", keys.TRACED_UP_TO, position)),
                Command(("EXPIRE", keys.TRACING_TURN, _TURN_SECONDS)),
            ]
        )
        return len(journeys)

    async def _position(self, conn: Connection) -> Position:
        """Return the last batch that was told of, by the database's clock not too long ago."""
        (answer,) = await self._redis.send([Command(("GET", keys.TRACED_UP_TO))])
        row = await (await conn.execute(_NOW)).fetchone()
        assert row is not None, "it has one row"
        now: datetime = row["now"]
        try:
            moment, _, batch_id = str(answer).partition(" ")
            known = Position(at=datetime.fromisoformat(moment).astimezone(UTC), batch_id=int(batch_id))
        except (ValueError, OverflowError):
            return Position(at=now - _FIRST_LOOK, batch_id=0)
        return max(known, Position(at=now - _LONGEST_LOOK, batch_id=0), key=lambda position: position.at)

    def _spans(self, journey: Journey) -> Iterator[Span]:
        for message in journey.messages:
            # As OpenTelemetry's ratio sampler decides, by the trace's id: told again, it is decided alike.
            if int.from_bytes(trace_id_of(message)[8:], "big") < self._ratio * 2**64:
                yield from spans_of(journey, message)
            else:
                metrics.TRACES.labels("not_sampled").inc()

    async def _send(self, spans: Sequence[Span]) -> None:
        if not spans:
            return
        outcome = "sent"
        try:
            await self._collector.send(spans)
        except TracesRefusedError as exc:
            log.warning("tracing.refused", reason=exc.message, spans=len(spans))
            outcome = "refused"
        metrics.TRACES.labels(outcome).inc(sum(not span.parent_id for span in spans))
