"""PostgreSQL and Redis killed for real: what a check says then, and that all is well when they are back."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

import psutil

from nadia.embedded.endpoints import Role
from nadia.embedded.servers import EmbeddedServers
from nadia.errors import NadiaError
from nadia.postgres import schema
from nadia.redis.source import RedisSource
from support import embedded_owner
from support.core import open_core, until
from support.health_world import HealthWorld, without
from support.servers import open_home, short_folder


@dataclass
class Mortal:
    """A PostgreSQL and a Redis with their keeper, which starts again what died unless it is held still."""

    keeper: psutil.Process
    postgres: int
    redis: int
    dsn: str
    redis_url: str

    def kill(self, pid: int) -> None:
        """Kill a server with all its processes, as the kernel does when memory runs out."""
        server = psutil.Process(pid)
        for process in [server, *server.children(recursive=True)]:
            with suppress(psutil.NoSuchProcess):
                process.kill()


@asynccontextmanager
async def mortal_servers() -> AsyncIterator[Mortal]:
    with short_folder() as base:
        home = open_home(base)
        async with EmbeddedServers(home=home) as servers:
            await asyncio.to_thread(schema.upgrade, servers.dsn(Role.OWNER))
        child = await asyncio.create_subprocess_exec(
            sys.executable,
            embedded_owner.__file__,
            str(home.path),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        assert child.stdout is not None
        try:
            ready = json.loads(await child.stdout.readline())
            yield Mortal(
                keeper=psutil.Process(child.pid),
                postgres=ready["postgres"],
                redis=ready["redis"],
                dsn=servers.dsn(Role.APP),
                redis_url=servers.redis.url,
            )
        finally:
            family = psutil.Process(child.pid).children(recursive=True)
            child.kill()
            await child.communicate()
            await asyncio.to_thread(psutil.wait_procs, family, timeout=15)


async def test_killed_servers_are_critical_and_what_needs_them_unknown_until_they_are_back() -> None:
    async with (
        mortal_servers() as servers,
        open_core(servers.dsn, RedisSource(url=servers.redis_url)) as core,
    ):
        await core.own()
        await core.receive(chat_id=7)
        await core.memory.recall(await core.customer(chat_id=7))
        world = HealthWorld(core=core, connect=core.database.connection, redis=core.redis)
        await world.link(1)
        assert await world.turned() == {}
        servers.keeper.suspend()

        servers.kill(servers.postgres)
        assert await world.turned() == without("postgres")
        servers.kill(servers.redis)
        assert await world.turned() == without("postgres") | without("redis")

        servers.keeper.resume()

        async def is_well() -> bool:
            with suppress(NadiaError):
                await world.link(1)
            return not await world.turned()

        await until(is_well, within=30, what="everything is back")
