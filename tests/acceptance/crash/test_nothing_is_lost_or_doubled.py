"""Everything is killed at random moments, and every message still ends in exactly one batch and one reply."""

import asyncio
import os
import random
import signal
from collections.abc import Callable
from typing import Literal

import pytest

from support.conversing import SEED, converse
from support.redis_cluster import redis_cluster
from support.servers import short_folder
from support.system import System, running_system

pytestmark = pytest.mark.e2e

Victim = Literal["worker", "bot", "redis", "postgres"]
OFTEN: dict[Victim, int] = {"worker": 10, "bot": 5, "redis": 2, "postgres": 1}

KillServer = Callable[[Literal["redis", "postgres"]], None]


async def kill_at_random_moments(
    system: System, *, chance: random.Random, kill_server: KillServer, of_each_role: int = 1
) -> list[Victim]:
    """SIGKILL roles and servers over 22 s; returns whom."""
    victims = [victim for victim, times in OFTEN.items() for _ in range(times)]
    moments = sorted((chance.uniform(1, 22), victim, chance.randrange(of_each_role)) for victim in victims)
    begun = asyncio.get_running_loop().time()
    for moment, victim, number in moments:
        await asyncio.sleep(max(0.0, begun + moment - asyncio.get_running_loop().time()))
        if victim == "redis" or victim == "postgres":
            kill_server(victim)
        else:
            await system.kill_and_restart(victim, number)
    return [victim for _, victim, _ in moments]


async def test_sigkill_of_workers_redis_and_postgresql_loses_and_doubles_nothing() -> None:
    chance, killed = random.Random(SEED), list[Victim]()
    with short_folder() as base:
        async with running_system(base) as system:

            def kill_server(name: Literal["redis", "postgres"]) -> None:
                if pid := system.servers.pid(name):
                    os.kill(pid, signal.SIGKILL)

            async def kill() -> None:
                killed.extend(await kill_at_random_moments(system, chance=chance, kill_server=kill_server))

            result = await converse(system, meanwhile=kill)

    assert {victim: killed.count(victim) for victim in OFTEN} == OFTEN
    assert result.problems == []
    assert result.counts["messages"] > 200
    assert result.bubbles > 60


async def test_the_same_on_a_redis_cluster_with_two_of_each_role() -> None:
    chance, killed = random.Random(SEED + 1), list[Victim]()
    roles = [(role, number) for role in ("api", "worker", "bot") for number in (0, 1)]
    with short_folder() as base:
        async with (
            redis_cluster() as cluster,
            running_system(
                base, roles=roles, redis_url=cluster.source.url, settings={"NADIA_REDIS_MODE": "cluster"}
            ) as system,
        ):
            restarts: list[asyncio.Task[None]] = []

            def kill_server(name: Literal["redis", "postgres"]) -> None:
                if name == "postgres":
                    if pid := system.servers.pid(name):
                        os.kill(pid, signal.SIGKILL)
                else:
                    node = chance.choice(cluster.nodes)
                    restarts.append(asyncio.create_task(node.kill_and_restart()))

            async def kill() -> None:
                killed.extend(
                    await kill_at_random_moments(system, chance=chance, kill_server=kill_server, of_each_role=2)
                )

            result = await converse(system, meanwhile=kill, webs=2)
            await asyncio.gather(*restarts)

    assert {victim: killed.count(victim) for victim in OFTEN} == OFTEN
    assert result.problems == []
    assert result.counts["messages"] > 200
