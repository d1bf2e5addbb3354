"""What the daemon role takes, alone and with a full history: memory at its peak and over time, and CPU when idle.

Budget (DESIGN section 7): 60 MB, flat. Jobs run in processes of their own and are not counted.
"""

import asyncio
import time

import psutil

from benchmarks.report import Figure, report
from nadia.redis.connection import RedisConnection
from nadia.redis.source import RedisSource
from nadia.workflows.run_history import RunHistory, RunOutcome, RunRecord
from support.answers import RAN_AT
from support.answers import report as answer
from support.servers import short_folder
from support.system import System, running_system

RUNS = 24
IDLE_SECONDS = 60
MEGABYTES = 60.0

_RECORDS = {"health-check": 100, "redis-health": 50, "security-check": 50, "perf-baseline": 50}
_BUSY = {
    "NADIA_DAEMON_HEALTH_SECONDS": "10",
    "NADIA_DAEMON_REDIS_SECONDS": "10",
    "NADIA_DAEMON_JITTER_SECONDS": "0",
    "NADIA_DAEMON_SETTLE_SECONDS": "0",
}


async def main() -> None:
    """Fill the history, let jobs run as fast as the schedule can be set, then let it rest."""
    with short_folder() as base:
        async with running_system(base, roles=(), settings=_BUSY) as system:
            await _fill_history(system)
            await _memory(system)
    with short_folder() as base:
        async with running_system(
            base, roles=(("daemon", 0),), settings={"NADIA_DAEMON_SETTLE_SECONDS": "600"}
        ) as system:
            await _idle(system)


async def _fill_history(system: System) -> None:
    redis = RedisConnection(RedisSource(url=system.servers.redis.url))
    try:
        history = RunHistory(redis=redis)
        for job, count in _RECORDS.items():
            found = answer(job)
            for _ in range(count):
                record = RunRecord(
                    job=job,
                    due_at=RAN_AT,
                    started_at=RAN_AT,
                    seconds=1.0,
                    outcome=RunOutcome.DONE,
                    status=found.status,
                    summary=found.answer,
                    by="benchmark/1/a",
                    report=found,
                )
                await history.add(record, keep=count)
    finally:
        await redis.close()


async def _memory(system: System) -> None:
    process = psutil.Process((await system.start("daemon")).child.pid)
    sizes: list[float] = []
    for _ in range(RUNS):
        await asyncio.sleep(5)
        sizes.append(process.memory_info().rss / 1e6)
    settled = sizes[len(sizes) // 4]
    report(
        Figure(
            benchmark="daemon",
            name="memory of the daemon role, full history, jobs every ten seconds",
            unit="MB",
            values={"peak": max(sizes), "growth": sizes[-1] - settled},
            samples=len(sizes),
            setup={"seconds": 5 * RUNS, "records": sum(_RECORDS.values())},
            budget={"peak": MEGABYTES},
        )
    )


async def _idle(system: System) -> None:
    process = psutil.Process(system.processes["daemon", 0].child.pid)
    await asyncio.sleep(5)
    before, begun = sum(process.cpu_times()[:2]), time.monotonic()
    await asyncio.sleep(IDLE_SECONDS)
    share = (sum(process.cpu_times()[:2]) - before) / (time.monotonic() - begun)
    report(
        Figure(
            benchmark="daemon",
            name="CPU of the daemon role between jobs, share of one core",
            unit="ratio",
            values={"mean": share},
            setup={"seconds": IDLE_SECONDS},
        )
    )
