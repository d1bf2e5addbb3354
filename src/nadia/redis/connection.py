"""Connections to one Redis, a cluster, or what Sentinel points at, behind one type."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Final, TypeAlias, TypedDict
from urllib.parse import unquote, urlsplit

import structlog
from redis.asyncio import Redis, RedisCluster
from redis.asyncio.cluster import ClusterNode
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoScriptError, RedisClusterException, RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from nadia.errors import ConfigurationError, UnavailableError
from nadia.redis import metrics
from nadia.redis.commands import Argument, Command, Script, SendsCommands, pack
from nadia.redis.source import RedisSource
from nadia.resilience import BreakerState, CircuitBreaker, CircuitOpenError

log = structlog.get_logger(__name__)

RedisClient: TypeAlias = "Redis | RedisCluster"

_AWAY: Final = (RedisConnectionError, RedisTimeoutError, RedisClusterException, TimeoutError, OSError)
"""What the drivers raise when nobody answers; everything else is an answer."""

_FAILURES_TO_OPEN: Final = 1
"""The driver has tried a fresh connection by then; another try would cost the next caller a whole time-out."""

_COOLDOWN_SECONDS: Final = 1.0
_SENTINEL_PORT: Final = 26379


class RedisConnection:
    """A client that is made when first asked for, and left alone while nobody answers.

    When a command finds Redis away, all users are told so at once, without waiting for a time-out of their own, until a
    probe in the background got an answer. Intake is as fast without Redis as with it.

    Parameters
    ----------
    source : RedisSource
        Where Redis is.
    """

    def __init__(self, source: RedisSource) -> None:
        self._source = source
        self._client: RedisClient | None = None
        self._breaker = CircuitBreaker(
            name="Redis", failures=_FAILURES_TO_OPEN, cooldown=_COOLDOWN_SECONDS, counts=_AWAY
        )
        self._probing: asyncio.Task[None] | None = None

    async def get(self) -> RedisClient:
        """Return the client, connected or about to connect with its first command."""
        if self._client is None:
            self._client = _make_client(self._source)
        return self._client

    @asynccontextmanager
    async def use(self) -> AsyncIterator[RedisClient]:
        """Yield the client for some commands, whose failures become NADIA's.

        Raises
        ------
        UnavailableError
            If Redis cannot be reached, is too slow or refuses a command; at once while it is known to be away.
        """
        if self._breaker.state is not BreakerState.CLOSED:
            raise CircuitOpenError(self._breaker.name, retry_after=self._breaker.retry_after)
        try:
            with redis_errors():
                async with self._breaker, asyncio.timeout(self._source.timeout_seconds):
                    yield await self.get()
        finally:
            if self._breaker.state is not BreakerState.CLOSED:
                self._probe()

    async def run(self, script: Script, *, keys: Sequence[str], args: Sequence[Argument]) -> object:
        """Run a script and return its answer.

        Raises
        ------
        UnavailableError
            If Redis is away or refuses it.
        """
        return (await self.send([script.call(keys=keys, args=args)]))[0]

    async def send(self, commands: Sequence[Command]) -> list[object]:
        """Send commands in one round trip, each for itself, and return their answers.

        Raises
        ------
        UnavailableError
            If Redis is away or refused one of them; the others were carried out nevertheless.
        """
        if not commands:
            return []
        begun = time.perf_counter()
        async with self.use() as client:
            answers = await (
                _send_to_cluster(client, commands)
                if isinstance(client, RedisCluster)
                else _send_to_one(client, commands)
            )
            for position, answer in enumerate(answers):
                if isinstance(answer, NoScriptError):
                    answers[position] = await client.execute_command(*commands[position].with_text)
            metrics.ROUND_TRIP_SECONDS.observe(time.perf_counter() - begun)
            for answer in answers:
                if isinstance(answer, Exception):
                    raise answer
            return answers

    async def servers(self) -> Sequence[SendsCommands]:
        """Return each server that takes writes: one, or the primaries of a cluster.

        Raises
        ------
        UnavailableError
            If a cluster is away.
        """
        async with self.use() as client:
            if not isinstance(client, RedisCluster):
                return [self]
            await client.initialize()
            return [_OneOfCluster(self, node) for node in client.get_primaries()]

    async def close(self) -> None:
        """Close the client; the next `get` makes a new one."""
        probing, self._probing = self._probing, None
        if probing is not None:
            probing.cancel()
            await asyncio.gather(probing, return_exceptions=True)
        client, self._client = self._client, None
        if client is not None:
            with suppress(*_AWAY):
                await client.aclose()

    def _probe(self) -> None:
        if self._probing is None or self._probing.done():
            self._probing = asyncio.create_task(self._until_it_answers(), name="redis.probe")

    async def _until_it_answers(self) -> None:
        while self._breaker.state is not BreakerState.CLOSED:
            await asyncio.sleep(self._breaker.retry_after)
            with suppress(UnavailableError), redis_errors():
                async with self._breaker, asyncio.timeout(self._source.timeout_seconds):
                    await _ping(await self.get())


class _OneOfCluster:
    """One server of a cluster, for commands about the server itself."""

    def __init__(self, connection: RedisConnection, node: ClusterNode) -> None:
        self._connection = connection
        self._node = node

    async def send(self, commands: Sequence[Command]) -> list[object]:
        async with self._connection.use() as client:
            return [await client.execute_command(*command.words, target_nodes=self._node) for command in commands]


@contextmanager
def redis_errors() -> Iterator[None]:
    """Turn the driver's exceptions into NADIA's.

    Raises
    ------
    UnavailableError
        If Redis cannot be reached, is too slow or refuses a command.
    """
    try:
        yield
    except ResponseError as exc:
        # Only the kind: the text may repeat the command, and with it what a customer wrote.
        raise UnavailableError(
            f"Redis refused a command ({type(exc).__name__})", hint="see its log, its memory and its access rules"
        ) from exc
    except (*_AWAY, RedisError) as exc:
        raise UnavailableError(
            f"Redis cannot be reached ({type(exc).__name__})",
            hint="is the server up? REDIS_URL says where it is looked for",
        ) from exc


async def _send_to_cluster(client: RedisCluster, commands: Sequence[Command]) -> list[object]:
    pipe = client.pipeline(transaction=False)
    for command in commands:
        pipe.execute_command(*command.words)
    answers: list[object] = await pipe.execute(raise_on_error=False)
    return answers


async def _send_to_one(client: Redis, commands: Sequence[Command]) -> list[object]:
    """Do what the driver's pipeline does at less than two thirds of its cost, which is most of intake's."""
    packed = [pack(commands)]
    for is_last_try in (False, True):
        connection = await client.connection_pool.get_connection()  # type: ignore[no-untyped-call]  # for its decorator
        try:
            await connection.send_packed_command(packed)
            return [await _read_answer(client, connection, command) for command in commands]
        except RedisConnectionError:  # a pooled connection that broke; a fresh one is worth one try
            if is_last_try:
                raise
        finally:
            await client.connection_pool.release(connection)
    raise AssertionError("the last try returns or raises")


async def _read_answer(client: Redis, connection: AbstractConnection, command: Command) -> object:
    """Read one answer as the driver gives it; a refusal is one too, with others behind it."""
    try:
        answer: object = await connection.read_response()
    except ResponseError as refused:
        return refused
    translate = client.response_callbacks.get(str(command.words[0]))
    return answer if translate is None else translate(answer)


async def _ping(client: RedisClient) -> None:
    if isinstance(client, RedisCluster):
        await client.ping(target_nodes=RedisCluster.PRIMARIES)
    else:
        await client.ping()


class _Options(TypedDict, total=False):
    username: str
    password: str
    socket_timeout: None
    socket_connect_timeout: None
    decode_responses: bool
    encoding_errors: str
    client_name: str
    protocol: int


def _make_client(source: RedisSource) -> RedisClient:
    options: _Options = {
        # `RedisConnection` watches over the whole of what is done at once; the driver would over each part of it.
        "socket_timeout": None,
        "socket_connect_timeout": None,
        "decode_responses": True,
        # Bytes that somebody else damaged are no reason to fail: who reads them finds out.
        "encoding_errors": "replace",
        "client_name": "nadia",
        # The newer protocol gives some answers another shape, depending on the driver's version.
        "protocol": 2,
    }
    if source.username is not None:
        options["username"] = source.username
    if source.password is not None:
        options["password"] = source.password
    # Callers decide what to do when Redis is away: a driver that goes on trying would hold up intake. One new try is
    # for a pooled connection that broke, none for an answer that does not come.
    retry = Retry(NoBackoff(), 1, supported_errors=(RedisConnectionError,))
    if source.mode == "cluster":
        return RedisCluster.from_url(source.url, retry=retry, **options)
    if source.mode == "sentinel":
        return _primary_of_sentinel(source, options, retry)
    return Redis.from_url(source.url, retry=retry, **options)


def _primary_of_sentinel(source: RedisSource, options: _Options, retry: Retry) -> Redis:
    place = urlsplit(source.url)
    of_sentinels: dict[str, object] = {
        # Within the time that the whole command has, so that a sentinel that hangs leaves some for the next.
        "socket_timeout": source.timeout_seconds / 4,
        "socket_connect_timeout": source.timeout_seconds / 4,
        "retry": Retry(NoBackoff(), 0),
        "protocol": 2,
    }
    if place.username:
        of_sentinels["username"] = unquote(place.username)
    if place.password:
        of_sentinels["password"] = unquote(place.password)
    sentinel = Sentinel(  # type: ignore[no-untyped-call]  # the driver leaves its constructor untyped
        _hosts(place.netloc.rpartition("@")[2]), sentinel_kwargs=of_sentinels
    )
    primary: Redis = sentinel.master_for(source.sentinel_service, retry=retry, **options)
    return primary


def _hosts(places: str) -> list[tuple[str, int]]:
    found = []
    for place in places.split(","):
        one = urlsplit(f"//{place}")
        try:
            found.append((one.hostname or "localhost", one.port or _SENTINEL_PORT))
        except ValueError as exc:
            raise ConfigurationError(
                f"REDIS_URL names a sentinel with an impossible port: {place!r}", hint="write redis://host:26379"
            ) from exc
    return found
