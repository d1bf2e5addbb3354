"""Intake goes on without Redis, as fast as with it, and everything catches up."""

import asyncio
import os
import signal
import statistics
import time

from nadia.embedded.servers import EmbeddedServers
from nadia.errors import UnavailableError
from nadia.redis.source import RedisSource
from support.core import Core, open_core, until
from support.servers import ClonedDatabase

NOWHERE = RedisSource(url="unix:///nonexistent/redis.sock")


async def timed(core: Core, messages: int) -> list[float]:
    """Seconds that each message took."""
    took = []
    for number in range(messages):
        began = time.perf_counter()
        await core.receive(7, str(number))
        took.append(time.perf_counter() - began)
    return took


async def test_nobody_listening_costs_intake_nothing(database: ClonedDatabase, core: Core) -> None:
    await timed(core, 20)
    with_redis = statistics.median(await timed(core, 100))
    async with open_core(database.app_dsn, NOWHERE, consumer="without") as without:
        await without.own()
        without._ids = core._ids
        took = await timed(without, 100)
    assert await core.value("SELECT count(*) FROM messages") == 220
    # A time-out for each message would be a hundred times that.
    assert statistics.median(took) < 5 * with_redis


async def test_a_redis_that_hangs_costs_intake_one_time_out(
    database: ClonedDatabase, redis_source: RedisSource, servers: EmbeddedServers
) -> None:
    pid = servers.pid("redis")
    assert pid is not None
    async with open_core(database.app_dsn, redis_source) as core:
        await core.own()
        await timed(core, 20)
        os.kill(pid, signal.SIGSTOP)
        try:
            # Longer than the cool-down and a probe of it.
            took: list[float] = []
            began = time.perf_counter()
            while time.perf_counter() - began < 2 * redis_source.timeout_seconds + 2:
                took += await timed(core, 10)
                await asyncio.sleep(0.01)
        finally:
            os.kill(pid, signal.SIGCONT)
        slow = [seconds for seconds in took if seconds > redis_source.timeout_seconds / 2]
        assert len(slow) == 1
        assert await core.value("SELECT count(*) FROM messages") == 20 + len(took)

        async def paced_again() -> bool:
            await core.receive(8, "after")
            try:
                return await core.bursts.waiting() > 0
            except UnavailableError:
                return False

        await until(paced_again, within=10)


async def test_what_came_in_without_redis_is_paced_when_it_is_back(database: ClonedDatabase, core: Core) -> None:
    async with open_core(database.app_dsn, NOWHERE, consumer="without") as without:
        await without.own()
        await without.receive(7, "nobody paced me")
    assert await core.bursts.waiting() == 0
    await core.sweep.run_once()
    assert await core.bursts.waiting() == 1
