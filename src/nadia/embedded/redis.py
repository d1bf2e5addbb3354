"""Redis for one machine: configure, start, probe and stop it, and set aside files that it cannot read."""

import asyncio
import signal
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import structlog

from nadia.embedded.binaries import RedisProgram, RedisVersion
from nadia.embedded.endpoints import redis_endpoint
from nadia.embedded.errors import ServerStartError
from nadia.embedded.home import Home
from nadia.embedded.leftovers import stop_leftovers
from nadia.embedded.place import Place
from nadia.embedded.process import ServerProcess, StopSteps
from nadia.embedded.reports import ServerName, StartResult
from nadia.embedded.server_log import ServerLog

log = structlog.get_logger(__name__)

STOP_STEPS: StopSteps = ((signal.SIGTERM, 10), (signal.SIGKILL, 5))

START_PATIENCE_SECONDS = 60
"""Time to load the append-only file; a server that exits is noticed at once."""

MAX_MEMORY = "200mb"

_PROBE_SECONDS = 0.02


class EmbeddedRedis:
    """One Redis in a place.

    Parameters
    ----------
    home : Home
        Keeps the password; its lock is held while this is used.
    place : Place
        Where its files live, and as whom it runs.
    found : RedisProgram
        The server, runnable by the place's user.
    durable : bool
        False leaves syncing to the system, for tests.
    """

    name: ServerName = "redis"

    def __init__(self, *, home: Home, place: Place, found: RedisProgram, durable: bool = True) -> None:
        self._place = place
        self._program = found.program.path
        self._version = found.version
        self._endpoint = redis_endpoint(home=home, place=place)
        self._durable = durable
        self.output = ServerLog(path=place.path / "log" / "redis.log")
        self._process: ServerProcess | None = None

    @property
    def pid(self) -> int | None:
        """Process id of the running server; None while there is none."""
        return self._process.pid if self._process and self._process.returncode is None else None

    async def start(self) -> StartResult:
        """Bring the server up.

        Redis holds nothing that cannot be rebuilt, so files that this server cannot read never block it: they are
        renamed, and it starts empty.

        Returns
        -------
        StartResult
            `set_aside` and `reason` when that happened.

        Raises
        ------
        ServerStartError
            It does not come up without earlier files either.
        """
        began = time.monotonic()
        self._place.log_folder()
        self._place.ensure_socket_folder()
        self._place.folder("redis", "data")
        programs = ["redis-server", "valkey-server", self._program.name]
        await stop_leftovers(programs=programs, folder=self._data, steps=STOP_STEPS)
        reason = self._why_unreadable()
        set_aside = self._set_aside(reason) if reason else None
        fresh = not any(self._data.iterdir())
        try:
            await self._launch()
        except ServerStartError as error:
            if fresh:
                raise
            reason = f"the server did not start with them: {error.message}"
            set_aside = await self._launch_without_data(reason)
            fresh = True
        return StartResult(
            server="redis", seconds=time.monotonic() - began, fresh=fresh, set_aside=set_aside, reason=reason
        )

    async def stop(self) -> None:
        """Shut the server down and wait until it is gone; does nothing when it does not run."""
        process, self._process = self._process, None
        if process is not None:
            await process.stop(STOP_STEPS)

    async def wait(self) -> int:
        """Wait until the running server exits; returns its status."""
        assert self._process is not None
        return await self._process.wait()

    @property
    def _data(self) -> Path:
        return self._place.path / "redis" / "data"

    @property
    def _written_by(self) -> Path:
        return self._place.path / "redis" / "written-by"

    def _why_unreadable(self) -> str | None:
        if not any(self._data.iterdir()) or not self._written_by.exists():
            return None
        text = self._written_by.read_text().strip()
        writer = RedisVersion.parse(text)
        if writer is not None and self._version.reads_files_of(writer):
            return None
        return f"they were written by {text}, and this is {self._version}"

    def _set_aside(self, reason: str) -> Path:
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
        target = self._data.with_name(f"data.set-aside-{stamp}")
        self._data.rename(target)
        self._place.folder("redis", "data")
        log.warning("embedded.redis.set_aside", folder=str(target), reason=reason)
        return target

    async def _launch_without_data(self, reason: str) -> Path:
        set_aside = self._set_aside(reason)
        try:
            await self._launch()
        except ServerStartError:
            # Then the files were not to blame.
            self._data.rmdir()
            set_aside.rename(self._data)
            raise
        return set_aside

    async def _launch(self) -> None:
        user = self._place.user
        configuration = self._data.with_name("redis.conf")
        user.write_private(configuration, self._configuration())
        user.write_private(self._written_by, f"{self._version}\n")
        try:
            self._process = await ServerProcess.spawn(
                name=self.name,
                command=[self._program, configuration],
                user=user,
                folder=self._data,
                output=self.output,
                death_signal=signal.SIGTERM,
            )
            await self._until_ready(self._process)
        except BaseException:
            await self.stop()
            raise

    def _configuration(self) -> str:
        lines = {
            "port": "0",
            "unixsocket": _quoted(str(self._endpoint.socket_path)),
            "unixsocketperm": "700",
            "requirepass": _quoted(self._endpoint.password),
            "dir": _quoted(str(self._data)),
            "daemonize": "no",
            "appendonly": "yes",
            "appendfsync": "everysec" if self._durable else "no",
            "aof-load-truncated": "yes",
            # The append-only file is the one that counts; snapshots beside it would only cost forks.
            "save": '""',
            "auto-aof-rewrite-min-size": "16mb",
            "maxmemory": MAX_MEMORY,
            "maxmemory-policy": "noeviction",
            # Otherwise a millisecond of every 100 goes to the hash tables of an idle server.
            "activerehashing": "no",
        }
        return "".join(f"{name} {value}\n" for name, value in lines.items())

    async def _until_ready(self, process: ServerProcess) -> None:
        deadline = time.monotonic() + START_PATIENCE_SECONDS
        while time.monotonic() < deadline:
            if process.returncode is not None:
                raise ServerStartError(f"Redis exited with status {process.returncode}:\n{self.output.tail()}")
            if await self._answers():
                return
            await asyncio.sleep(_PROBE_SECONDS)
        raise ServerStartError(f"Redis was not ready after {START_PATIENCE_SECONDS} s:\n{self.output.tail()}")

    async def _answers(self) -> bool:
        # Spoken by hand: redis-cli is not in every package, and would have to be given the password.
        try:
            async with asyncio.timeout(5):
                reader, writer = await asyncio.open_unix_connection(self._endpoint.socket_path)
                try:
                    writer.write(f"AUTH {self._endpoint.password}\r\nPING\r\n".encode())
                    return [await reader.readline(), await reader.readline()] == [b"+OK\r\n", b"+PONG\r\n"]
                finally:
                    writer.close()
                    with suppress(OSError):
                        await writer.wait_closed()
        except (OSError, TimeoutError):
            return False


def _quoted(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
