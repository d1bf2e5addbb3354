"""Both servers together: start, watch, restart after a crash, stop."""

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

import structlog

from nadia.embedded.binaries import find_postgres, find_redis
from nadia.embedded.binary_copies import within_reach
from nadia.embedded.endpoints import DATABASE, RedisEndpoint, Role, postgres_endpoint, redis_endpoint
from nadia.embedded.home import Home
from nadia.embedded.place import Place
from nadia.embedded.postgres import EmbeddedPostgres
from nadia.embedded.redis import EmbeddedRedis
from nadia.embedded.reports import Exited, Restarted, ServerEvent, ServerName, StartResult
from nadia.embedded.server_log import ServerLog
from nadia.embedded.service_user import ServiceUser
from nadia.errors import NadiaError

log = structlog.get_logger(__name__)

FIRST_BACKOFF_SECONDS = 0.1
LONGEST_BACKOFF_SECONDS = 10.0

SETTLED_SECONDS = 60.0
"""A server that has run this long gets the first back-off again."""

LOG_TRIM_SECONDS = 60.0


class _Server(Protocol):
    name: ServerName
    output: ServerLog

    @property
    def pid(self) -> int | None: ...
    async def start(self) -> StartResult: ...
    async def stop(self) -> None: ...
    async def wait(self) -> int: ...


class EmbeddedServers:
    """PostgreSQL and Redis of one home.

    Parameters
    ----------
    home : Home
        Whose servers; its lock is held from `start` to `stop`.
    wanted : sequence of {"postgres", "redis"}
        Which to run; the other is somewhere else.
    service_user : str, optional
        As root: whom the servers run as, ``nobody`` when not given.
    redis_binary : Path, optional
        Use this Redis and look for no other.
    durable : bool
        False gives up crash safety for speed, for tests.
    on_event : callable, optional
        Told when a server died and when it is back; must not block.
    """

    def __init__(
        self,
        *,
        home: Home,
        wanted: Sequence[ServerName] = ("postgres", "redis"),
        service_user: str | None = None,
        redis_binary: Path | None = None,
        durable: bool = True,
        on_event: Callable[[ServerEvent], None] | None = None,
    ) -> None:
        self._home = home
        self._wanted = tuple(wanted)
        self._service_user = service_user
        self._redis_binary = redis_binary
        self._durable = durable
        self._on_event = on_event
        self._held = ExitStack()
        self._running: dict[ServerName, _Server] = {}
        self._watches: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    @property
    def place(self) -> Place:
        """Where the servers' files are."""
        return Place.locate(home=self._home.ensure(), user=ServiceUser.resolve(self._service_user))

    @property
    def redis(self) -> RedisEndpoint:
        """Where Redis is reached; known also while it is down."""
        return redis_endpoint(home=self._home, place=self.place)

    def dsn(self, role: Role = Role.APP, *, database: str = DATABASE) -> str:
        """The URL by which a role reaches a database, password included; known also while the server is down."""
        return postgres_endpoint(home=self._home, place=self.place, role=role, database=database).dsn

    def pid(self, server: ServerName) -> int | None:
        """Process id of a server; None while it does not run."""
        found = self._running.get(server)
        return found.pid if found else None

    async def start(self) -> list[StartResult]:
        """Own the home, start both servers at once, and watch them.

        Returns
        -------
        list of StartResult
            How each came up, in the order of `wanted`. Redis with `set_aside` lost what it held.

        Raises
        ------
        HomeInUseError
            Another NADIA owns the home.
        HomeError
            The home or the servers' folder cannot be used.
        ServerBinaryMissingError
            A program is not installed.
        ServerStartError
            A server does not come up; neither is left running.
        """
        if self._running:
            raise RuntimeError("the embedded servers are started already")
        with ExitStack() as held:
            held.enter_context(self._home.lock())
            servers = await self._prepare()
            try:
                results = await _start_all(servers)
            except BaseException:
                await _stop_all(servers)
                raise
            self._held = held.pop_all()
        self._running = {server.name: server for server in servers}
        self._watches = [asyncio.create_task(self._watch(server), name=f"watch {server.name}") for server in servers]
        for result in results:
            log.info(
                "embedded.server.started",
                server=result.server,
                seconds=round(result.seconds, 3),
                fresh=result.fresh,
                pid=self.pid(result.server),
            )
        return results

    async def stop(self) -> None:
        """Stop both servers, wait until they are gone, and give the home back."""
        servers, self._running = list(self._running.values()), {}
        watches, self._watches = self._watches, []
        for watch in watches:
            watch.cancel()
        try:
            # A watch that is restarting a server stops it again when cancelled, so it ends first.
            await asyncio.gather(*watches, return_exceptions=True)
        finally:
            try:
                await _stop_all(servers)
            finally:
                self._held.close()
        if servers:
            log.info("embedded.servers.stopped")

    async def erase(self) -> None:
        """Delete all that the stopped servers hold, wherever it is: for homes that were made to be thrown away.

        Raises
        ------
        HomeInUseError
            Another NADIA owns the home.
        """
        if self._running:
            raise RuntimeError("the embedded servers must be stopped before their files are deleted")
        with self._home.lock():
            await asyncio.to_thread(self.place.erase)

    async def wait(self) -> None:
        """Wait until the servers are stopped; crashes in between are mended and do not end it.

        Raises
        ------
        Exception
            What broke the watching of a server, which is a defect.
        """
        if self._watches:
            ended, _ = await asyncio.wait(self._watches)
            for watch in ended:
                if not watch.cancelled():
                    watch.result()

    async def _prepare(self) -> list[_Server]:
        place = self.place
        place.ensure()
        prepare = {"postgres": self._prepare_postgres, "redis": self._prepare_redis}
        return list(await asyncio.gather(*(asyncio.to_thread(prepare[name], place) for name in self._wanted)))

    def _prepare_postgres(self, place: Place) -> _Server:
        program = within_reach(find_postgres(), user=place.user)
        return EmbeddedPostgres(home=self._home, place=place, program=program, durable=self._durable)

    def _prepare_redis(self, place: Place) -> _Server:
        found = find_redis(self._redis_binary)
        reachable = replace(found, program=within_reach(found.program, user=place.user))
        return EmbeddedRedis(home=self._home, place=place, found=reachable, durable=self._durable)

    async def _watch(self, server: _Server) -> None:
        backoff = FIRST_BACKOFF_SECONDS
        while True:
            since = time.monotonic()
            returncode = await _exit_of(server)
            log.error("embedded.server.exited", server=server.name, returncode=returncode, output=server.output.tail())
            self._report(Exited(server=server.name, returncode=returncode))
            if time.monotonic() - since >= SETTLED_SECONDS:
                backoff = FIRST_BACKOFF_SECONDS
            backoff, result = await _restart(server, backoff)
            log.warning(
                "embedded.server.restarted",
                server=server.name,
                seconds=round(result.seconds, 3),
                pid=server.pid,
                set_aside=str(result.set_aside) if result.set_aside else None,
            )
            self._report(Restarted(server=server.name, start=result))

    def _report(self, event: ServerEvent) -> None:
        if self._on_event is not None:
            try:
                self._on_event(event)
            except Exception:
                # The next crash must be mended all the same.
                log.exception("embedded.event.not_reported", server=event.server)


async def _start_all(servers: list[_Server]) -> list[StartResult]:
    try:
        async with asyncio.TaskGroup() as group:
            starts = [group.create_task(server.start()) for server in servers]
    except BaseExceptionGroup as failures:
        # One failure cancels the other start, so there is one cause, and callers expect its own type.
        raise failures.exceptions[0] from None
    return [start.result() for start in starts]


async def _stop_all(servers: list[_Server]) -> None:
    await asyncio.gather(*(server.stop() for server in servers))


async def _exit_of(server: _Server) -> int:
    exit_status = asyncio.ensure_future(server.wait())
    try:
        while True:
            done, _ = await asyncio.wait({exit_status}, timeout=LOG_TRIM_SECONDS)
            if done:
                return exit_status.result()
            server.output.trim()
    finally:
        exit_status.cancel()


async def _restart(server: _Server, backoff: float) -> tuple[float, StartResult]:
    while True:
        await asyncio.sleep(backoff)
        backoff = min(backoff * 2, LONGEST_BACKOFF_SECONDS)
        try:
            return backoff, await server.start()
        except (NadiaError, OSError) as error:
            log.exception("embedded.server.restart_failed", server=server.name, retry_seconds=backoff, exc_info=error)
