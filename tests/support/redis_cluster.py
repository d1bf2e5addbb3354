"""A Redis Cluster of three nodes on loopback, from the same program that the product runs."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from nadia.embedded.binaries import find_redis
from nadia.redis.source import RedisSource
from support.ports import free_ports
from support.servers import short_folder

_SLOTS = 16_384
_BUS_OFFSET = 10_000
"""Nodes talk to each other on a port so much above the clients' one."""

_PATIENCE_SECONDS = 30.0
PASSWORD = "cluster-of-the-tests"


@dataclass
class ClusterNode:
    """One server of the cluster; can be killed and started again with its data."""

    port: int
    folder: Path
    program: Path
    process: asyncio.subprocess.Process | None = field(default=None, repr=False)

    async def start(self) -> None:
        """Start it and wait until it answers."""
        options = {
            "port": self.port,
            "bind": "127.0.0.1",
            "dir": self.folder,
            "cluster-enabled": "yes",
            "cluster-config-file": "nodes.conf",
            # A stalled test machine is no reason to vote a node out.
            "cluster-node-timeout": 15_000,
            "appendonly": "yes",
            "save": "",
            "maxmemory-policy": "noeviction",
            "requirepass": PASSWORD,
            "masterauth": PASSWORD,
        }
        words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
        self.process = await asyncio.create_subprocess_exec(
            str(self.program),
            *words,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            cwd=self.folder,
        )
        async with asyncio.timeout(_PATIENCE_SECONDS), self.client() as client:
            while True:
                try:
                    await client.ping()
                except RedisConnectionError:
                    assert self.process.returncode is None, "a node of the Redis Cluster did not start"
                    await asyncio.sleep(0.02)
                else:
                    return

    async def kill(self) -> None:
        """Kill it as a crash would, and wait until it is gone."""
        if self.process is not None and self.process.returncode is None:
            self.process.kill()
            await self.process.wait()

    async def kill_and_restart(self) -> None:
        """Crash it and start it anew, with its data and its port."""
        await self.kill()
        await self.start()

    @asynccontextmanager
    async def client(self) -> AsyncIterator[Redis]:
        """A client of this node alone."""
        client = Redis(host="127.0.0.1", port=self.port, password=PASSWORD, decode_responses=True, protocol=2)
        try:
            yield client
        finally:
            await client.aclose()


@dataclass(frozen=True)
class RunningCluster:
    """Three nodes that have found each other and share the slots."""

    nodes: Sequence[ClusterNode]

    @property
    def url(self) -> str:
        """Of any node: clients find the others."""
        return f"redis://:{PASSWORD}@127.0.0.1:{self.nodes[0].port}"

    @property
    def source(self) -> RedisSource:
        return RedisSource(url=self.url, mode="cluster")

    async def empty(self) -> None:
        """Remove every key and script, as a cluster that was lost would come back."""
        for node in self.nodes:
            async with node.client() as client:
                await client.flushall()
                await client.script_flush()

    async def ready(self) -> None:
        """Wait until every node sees the whole cluster."""
        async with asyncio.timeout(_PATIENCE_SECONDS):
            for node in self.nodes:
                async with node.client() as client:
                    while not await _sees_all(client, len(self.nodes)):
                        await asyncio.sleep(0.05)


@asynccontextmanager
async def redis_cluster(size: int = 3) -> AsyncIterator[RunningCluster]:
    """Start a cluster, and leave neither a process nor a file of it behind."""
    program = (await asyncio.to_thread(find_redis)).program.path
    with short_folder() as base:
        async with AsyncExitStack() as stack:
            nodes = []
            for number, port in enumerate(free_ports(size, with_offset=_BUS_OFFSET)):
                folder = base / str(number)
                folder.mkdir()
                node = ClusterNode(port=port, folder=folder, program=program)
                stack.push_async_callback(node.kill)
                await node.start()
                nodes.append(node)
            await _join(nodes)
            cluster = RunningCluster(nodes=nodes)
            await cluster.ready()
            yield cluster


async def _join(nodes: Sequence[ClusterNode]) -> None:
    for number, node in enumerate(nodes):
        begin, end = (_SLOTS * edge // len(nodes) for edge in (number, number + 1))
        async with node.client() as client:
            await client.cluster("SET-CONFIG-EPOCH", number + 1)
            await client.cluster("ADDSLOTS", *range(begin, end))
            for other in nodes[:number]:
                await client.cluster("MEET", "127.0.0.1", other.port)


async def _sees_all(client: Redis, size: int) -> bool:
    info = await client.cluster("INFO")
    return (info["cluster_state"], info["cluster_known_nodes"], info["cluster_slots_ok"]) == (
        "ok",
        str(size),
        str(_SLOTS),
    )
