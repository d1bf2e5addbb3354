"""What Redis says of itself, of every server that holds keys: one, or the primaries of a cluster."""

import re
import time
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, TypeVar, cast

from redis.asyncio import RedisCluster
from redis.exceptions import ResponseError

from nadia.errors import UnavailableError
from nadia.redis.commands import Command
from nadia.redis.connection import RedisClient, RedisConnection

OTHER: Final = "(not NADIA's)"
_PAGE: Final = 500
_SLOW_ENTRIES: Final = 32
_PINGS: Final = 5
_KEY: Final = re.compile(r"nadia:(?:\{p(?P<partition>\d{1,2})\}:)?(?P<family>[a-z-]{1,40})(?::|$)")

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class SlowCommand:
    """One entry of a slow log, without its arguments: they may hold what a customer wrote."""

    at: datetime
    seconds: float
    command: str
    family: str


@dataclass(frozen=True, slots=True)
class RedisServer:
    """One server that holds keys.

    Parameters
    ----------
    name : str
        Host and port in a cluster, ``Redis`` alone.
    info : mapping
        What INFO answered.
    cluster : mapping
        What CLUSTER INFO answered; empty outside a cluster.
    latency_seconds : float
        How long the fastest of a few answers took: that this machine was busy for a moment is not Redis's fault.
    slow : sequence of SlowCommand, optional
        The latest slow commands; None where this user may not ask.
    """

    name: str
    info: Mapping[str, Any]
    cluster: Mapping[str, Any]
    latency_seconds: float
    slow: Sequence[SlowCommand] | None

    def number(self, name: str) -> float:
        """Return a figure of INFO's; 0 where this version of Redis has none."""
        return float(self.info.get(name) or 0)


@dataclass(slots=True)
class KeyFamily:
    """Keys of one kind."""

    keys: int = 0
    size_bytes: int = 0
    largest_bytes: int = 0
    lasting: int = 0
    """Of these, those that never expire."""


@dataclass(slots=True)
class KeySample:
    """What was found among the keys that were looked at."""

    total: int = 0
    looked_at: int = 0
    families: dict[str, KeyFamily] = field(default_factory=dict)
    partitions: dict[int, KeyFamily] = field(default_factory=dict)

    def add(self, key: str, *, size_bytes: int, expires: bool) -> None:
        """Count one key."""
        match = _KEY.match(key)
        self.looked_at += 1
        counted = [self.families.setdefault(match["family"] if match else OTHER, KeyFamily())]
        if match and match["partition"]:
            counted.append(self.partitions.setdefault(int(match["partition"]), KeyFamily()))
        for one in counted:
            one.keys += 1
            one.size_bytes += size_bytes
            one.largest_bytes = max(one.largest_bytes, size_bytes)
            one.lasting += not expires


async def read_servers(redis: RedisConnection) -> list[RedisServer]:
    """Ask every server; raises UnavailableError if one does not answer."""
    async with redis.use() as client:
        return [
            await _read_server(client, node)
            for node in (client.get_primaries() if isinstance(client, RedisCluster) else [None])
        ]


async def sample_keys(redis: RedisConnection, *, limit: int) -> KeySample | None:
    """Weigh keys, most of them or all; None where this user may not.

    Parameters
    ----------
    redis : RedisConnection
        Where they are.
    limit : int
        Most keys to look at. They come in no order, so that some of them stand for all.

    Raises
    ------
    UnavailableError
        If Redis is away.
    """
    return await _if_allowed(_sample_keys(redis, limit))


async def _sample_keys(redis: RedisConnection, limit: int) -> KeySample:
    sample = KeySample()
    async with redis.use() as client:
        nodes = client.get_primaries() if isinstance(client, RedisCluster) else [None]
        for node in nodes:
            sample.total += int(await _ask(client, node, "DBSIZE"))
    for node in nodes:
        cursor, wanted = 0, -(-limit // len(nodes))
        while wanted > 0:
            async with redis.use() as client:
                answer = await _ask(client, node, "SCAN", cursor, "COUNT", _PAGE, NEVER_DECODE=True)
            keys = answer[1][:wanted]
            await _weigh(redis, keys, sample)
            wanted -= len(keys)
            cursor = next(iter(answer[0].values())) if isinstance(answer[0], dict) else answer[0]
            if not cursor:
                break
    return sample


async def _weigh(redis: RedisConnection, found: Sequence[bytes], sample: KeySample) -> None:
    keys = []
    for name in found:
        try:
            keys.append(name.decode())
        except UnicodeDecodeError:
            sample.add("", size_bytes=0, expires=True)
    answers = await redis.send(
        [command for key in keys for command in (Command(("MEMORY", "USAGE", key)), Command(("PTTL", key)))]
    )
    for position, key in enumerate(keys):
        size, milliseconds = answers[2 * position : 2 * position + 2]
        if size is not None:  # gone since the scan
            sample.add(key, size_bytes=cast("int", size), expires=cast("int", milliseconds) >= 0)


async def _read_server(client: RedisClient, node: Any) -> RedisServer:
    info = await _ask(client, node, "INFO", "everything")
    latencies = []
    for _ in range(_PINGS):
        begun = time.monotonic()
        await _ask(client, node, "PING")
        latencies.append(time.monotonic() - begun)
    slow = await _if_allowed(_ask(client, node, "SLOWLOG GET", _SLOW_ENTRIES, NEVER_DECODE=True))
    return RedisServer(
        name="Redis" if node is None else node.name,
        info=info,
        cluster={} if node is None else await _ask(client, node, "CLUSTER INFO"),
        latency_seconds=min(latencies),
        slow=None if slow is None else [_slow(entry) for entry in slow],
    )


async def _ask(client: RedisClient, node: Any, *words: str | int, **options: bool) -> Any:
    """Send a command to one server; the driver of a single one knows no nodes.

    With NEVER_DECODE the driver leaves names as they are: those of other programs' keys may be no text.
    """
    if node is None:
        return await client.execute_command(*words, **options)
    return await client.execute_command(*words, target_nodes=node, **options)


async def _if_allowed(asking: Awaitable[T]) -> T | None:
    """Return the answer, or None where Redis answers that it gives none: managed ones refuse a lot."""
    try:
        return await asking
    except ResponseError:
        return None
    except UnavailableError as exc:
        if isinstance(exc.__cause__, ResponseError):
            return None
        raise


def _slow(entry: Mapping[str, Any]) -> SlowCommand:
    words = entry["command"].decode("utf-8", "replace").split(" ")
    match = next((found for word in words[1:] if (found := _KEY.match(word))), None)
    return SlowCommand(
        at=datetime.fromtimestamp(int(entry["start_time"]), UTC),
        seconds=int(entry["duration"]) / 1_000_000,
        command=words[0].upper()[:20],
        family=match["family"] if match else "",
    )
