"""What figures over time take: memory of Redis for a day of full stretches and of a busy installation's, and reading.

Budget: part of the 200 MB that Redis has (DESIGN section 8); reading must not be felt on a page.
"""

import time
from datetime import UTC, datetime, timedelta

from prometheus_client import CollectorRegistry, Counter, Histogram

from benchmarks.report import Figure, report
from nadia.health.figure_recorder import MOST_SERIES, FigureRecorder
from nadia.health.figures import BUCKET_SECONDS, FigureHistory
from nadia.redis.commands import Command
from nadia.redis.connection import RedisConnection
from nadia.redis.source import RedisSource
from support.servers import empty_redis, short_folder, start_servers

STRETCHES = 24 * 3600 // BUCKET_SECONDS
BUSY_SERIES = 400
NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


async def main() -> None:
    """Fill a day, weigh it, read it."""
    with short_folder() as base:
        servers = await start_servers(base)
        redis = RedisConnection(RedisSource(url=servers.redis.url))
        try:
            for name, series in (("busy", BUSY_SERIES), ("full", MOST_SERIES)):
                await empty_redis(servers.redis)
                await _measure(redis, name, series)
        finally:
            await redis.close()
            await servers.stop()


async def _measure(redis: RedisConnection, name: str, series: int) -> None:
    registry = CollectorRegistry()
    waits = Histogram(
        "nadia_postgres_statement_seconds",
        "x",
        ["statement"],
        registry=registry,
        buckets=[0.001 * n for n in range(1, 9)],
    )
    calls = Counter("nadia_inbound_events", "x", ["event", "outcome"], registry=registry)
    now = NOW - timedelta(days=1)
    recorder = FigureRecorder(redis=redis, process="worker/host/1/x", clock=lambda: now, registry=registry)
    before, recording = await _used(redis), []
    for _ in range(STRETCHES):
        for number in range(series // 5):
            calls.labels("message", f"outcome {number}").inc()
            for milliseconds in (1, 2, 5):
                waits.labels(f"select some_table_{number}").observe(milliseconds / 1000)
        begun = time.perf_counter()
        await recorder.record()
        recording.append(time.perf_counter() - begun)
        now += timedelta(seconds=BUCKET_SECONDS)
    memory = await _used(redis) - before
    history = FigureHistory(redis=redis, clock=lambda: NOW)
    values = {"memory": memory / 1e6}
    report(
        Figure(
            benchmark="figures",
            name=f"memory of a {name} day",
            unit="MB",
            values=values,
            setup={"series in each stretch": series, "stretches": STRETCHES},
        )
    )
    seconds = {}
    for hours in (6, 24):
        begun = time.perf_counter()
        figures = await history.read(since=NOW - timedelta(hours=hours))
        seconds[f"read {hours} h"] = time.perf_counter() - begun
        begun = time.perf_counter()
        assert figures.distribution("nadia_postgres_statement_seconds").count
        seconds[f"one figure of {hours} h"] = time.perf_counter() - begun
    seconds["record, median"] = sorted(recording)[len(recording) // 2]
    report(Figure(benchmark="figures", name=f"reading a {name} day", unit="s", values=seconds))


async def _used(redis: RedisConnection) -> int:
    (info,) = await redis.send([Command(("INFO", "memory"))])
    assert isinstance(info, dict)
    return int(info["used_memory"])
