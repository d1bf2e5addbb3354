"""Everything is killed at random moments, and every message still ends in exactly one batch and one reply."""

import asyncio
import os
import random
import signal
from typing import Literal

import pytest

from support.conversing import SEED, converse
from support.servers import short_folder
from support.system import running_system

pytestmark = pytest.mark.e2e

Victim = Literal["worker", "bot", "redis", "postgres"]


async def test_sigkill_of_workers_redis_and_postgresql_loses_and_doubles_nothing() -> None:
    chance = random.Random(SEED)
    often: dict[Victim, int] = {"worker": 10, "bot": 5, "redis": 2, "postgres": 1}
    victims = [victim for victim, times in often.items() for _ in range(times)]
    moments = sorted((chance.uniform(1, 22), victim) for victim in victims)
    killed: list[Victim] = []
    with short_folder() as base:
        async with running_system(base) as system:

            async def kill() -> None:
                begun = asyncio.get_running_loop().time()
                for moment, victim in moments:
                    await asyncio.sleep(max(0.0, begun + moment - asyncio.get_running_loop().time()))
                    if victim == "redis" or victim == "postgres":
                        pid = system.servers.pid(victim)
                        if pid is not None:
                            os.kill(pid, signal.SIGKILL)
                    else:
                        await system.kill_and_restart(victim)
                    killed.append(victim)

            result = await converse(system, meanwhile=kill)

    assert killed.count("worker") == 10
    assert killed.count("redis") == 2
    assert killed.count("postgres") == 1
    assert result.problems == []
    assert result.counts["messages"] > 200
    assert result.bubbles > 60
