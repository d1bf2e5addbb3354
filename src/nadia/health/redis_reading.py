"""What the probes of Redis know: one INFO, which those that ask at the same moment share."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from nadia.redis.commands import Command, SurveysServers, info_of
from nadia.shared_calls import SharedCalls


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisServer:
    """One server that takes writes, or should.

    Parameters
    ----------
    version : str
        As it calls itself.
    used_bytes, most_bytes : int
        Memory in use, and the most it may use; 0 for no limit.
    is_primary : bool
        Whether it takes writes.
    is_loading : bool
        Whether it still reads its files and answers nothing else.
    writes_files : bool
        Whether the last attempts to write its append-only file and its snapshot went well.
    """

    version: str
    used_bytes: int
    most_bytes: int
    is_primary: bool
    is_loading: bool
    writes_files: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisReading:
    """How Redis is: one server, or each primary of a cluster.

    Parameters
    ----------
    latency_seconds : float
        How long the answer took.
    servers : sequence of RedisServer
        At least one.
    """

    latency_seconds: float
    servers: Sequence[RedisServer]


class RedisReader:
    """Reads how Redis is.

    Parameters
    ----------
    redis : SurveysServers
        Where it is.
    stopwatch : callable
        Seconds that only go forward.
    """

    def __init__(self, *, redis: SurveysServers, stopwatch: Callable[[], float] = time.monotonic) -> None:
        self._redis = redis
        self._stopwatch = stopwatch
        self._calls: SharedCalls[str, RedisReading] = SharedCalls()

    async def read(self) -> RedisReading:
        """Return how it is; those who ask at the same moment get the same reading.

        Raises
        ------
        UnavailableError
            If it cannot be reached.
        """
        return await self._calls.run("redis", self._read)

    async def _read(self) -> RedisReading:
        begun = self._stopwatch()
        servers = [
            _server(info_of(answer))
            for server in await self._redis.servers()
            for answer in await server.send([Command(("INFO",))])
        ]
        return RedisReading(latency_seconds=self._stopwatch() - begun, servers=servers)


def _server(info: Mapping[str, str]) -> RedisServer:
    return RedisServer(
        version=info.get("redis_version", ""),
        used_bytes=int(info.get("used_memory", 0)),
        most_bytes=int(info.get("maxmemory", 0)),
        is_primary=info.get("role", "master") == "master",
        is_loading=info.get("loading", "0") != "0",
        writes_files=all(info.get(name, "ok") == "ok" for name in ("aof_last_write_status", "rdb_last_bgsave_status")),
    )
