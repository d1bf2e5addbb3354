"""PostgreSQL for one machine: make the cluster, start, probe and stop it."""

import asyncio
import os
import secrets
import shutil
import signal
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import structlog

from nadia.embedded import postgres_setup as setup
from nadia.embedded.binaries import POSTGRES_MAJOR, Program
from nadia.embedded.endpoints import PORT, Role
from nadia.embedded.errors import ServerStartError
from nadia.embedded.home import Home
from nadia.embedded.leftovers import stop_leftovers
from nadia.embedded.place import Place
from nadia.embedded.process import ServerProcess, StopSteps, run_program
from nadia.embedded.reports import ServerName, StartResult
from nadia.embedded.server_log import ServerLog

log = structlog.get_logger(__name__)

# PostgreSQL's fast shutdown, its immediate one, and what no process can refuse.
STOP_STEPS: StopSteps = ((signal.SIGINT, 20), (signal.SIGQUIT, 5), (signal.SIGKILL, 5))
KILL_STEPS: StopSteps = ((signal.SIGKILL, 5),)

START_PATIENCE_SECONDS = 120
"""Long, because a start after a crash replays the log first; a server that exits is noticed at once."""

_PROBE_SECONDS = 0.05


class EmbeddedPostgres:
    """One cluster in a place.

    Parameters
    ----------
    home : Home
        Keeps the passwords; its lock is held while this is used.
    place : Place
        Where the cluster lives, and as whom.
    program : Program
        The ``postgres`` executable, runnable by the place's user; its siblings are beside it.
    durable : bool
        False gives up crash safety for speed, for tests.
    """

    name: ServerName = "postgres"

    def __init__(self, *, home: Home, place: Place, program: Program, durable: bool = True) -> None:
        self._home = home
        self._place = place
        self._bin = program.path.parent
        self._durable = durable
        self.output = ServerLog(path=place.path / "log" / "postgres.log")
        self._process: ServerProcess | None = None

    @property
    def pid(self) -> int | None:
        """Process id of the running server; None while there is none."""
        return self._process.pid if self._process and self._process.returncode is None else None

    async def start(self) -> StartResult:
        """Bring the server up, making or completing the cluster where needed.

        Returns
        -------
        StartResult
            `fresh` when the cluster was made now.

        Raises
        ------
        ServerStartError
            It does not come up; the message ends with its log.
        """
        began = time.monotonic()
        self._place.log_folder()
        self._place.ensure_socket_folder()
        self._place.folder("postgres")
        await self._stop_leftover()
        fresh = not self._data.exists()
        if fresh:
            await self._create_cluster()
        self._check_cluster()
        self._write_configuration()
        complete = self._is_set_up()
        if not complete and not fresh:
            await self._reset_superuser()
        try:
            self._process = await self._spawn()
            await self._until_ready(self._process)
            if not complete:
                await self._set_up()
        except BaseException:
            await self.stop()
            raise
        return StartResult(server="postgres", seconds=time.monotonic() - began, fresh=fresh)

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
        return self._place.path / "postgres" / "data"

    @property
    def _set_up_note(self) -> Path:
        return self._place.path / "postgres" / "set-up"

    def _password(self, role: Role) -> str:
        return self._home.secret(role.secret_name)

    def _passwords(self) -> dict[Role, str]:
        return {role: self._password(role) for role in Role}

    async def _stop_leftover(self) -> None:
        if self._data.exists():
            # Only the postmaster understands these signals as a wish to stop; its children follow it by themselves.
            leader = _postmaster_pid(self._data)
            await stop_leftovers(programs=["postgres"], folder=self._data, steps=STOP_STEPS, leader=leader)
            self._remove_stale_pid_files()

    def _remove_stale_pid_files(self) -> None:
        # No server runs here now. The pid in these files may since belong to another process of the same user, for
        # which PostgreSQL would refuse to start.
        for stale in (self._data / "postmaster.pid", self._place.socket_folder / f".s.PGSQL.{PORT}.lock"):
            stale.unlink(missing_ok=True)

    async def _create_cluster(self) -> None:
        parent = self._data.parent
        await _remove_half_made(list(parent.glob("new-*")), parent=parent)
        draft = parent / f"new-{secrets.token_hex(4)}"
        password_file = parent / "initial-password"
        self._place.user.write_private(password_file, self._password(Role.SUPERUSER))
        options: list[str | Path] = ["-D", draft]
        options += ["--auth=scram-sha-256", f"--username={Role.SUPERUSER}", f"--pwfile={password_file}"]
        # The built-in provider sorts and folds alike on every system and after every update of the C library.
        options += ["--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        options += ["--no-instructions", *([] if self._durable else ["--no-sync"])]
        try:
            await run_program([self._bin / "initdb", *options], folder=parent, user=self._place.user)
        finally:
            password_file.unlink()
        # The name `data` therefore only ever means a whole cluster.
        draft.rename(self._data)
        _sync_folder(parent)

    def _check_cluster(self) -> None:
        try:
            major = (self._data / "PG_VERSION").read_text().strip()
        except FileNotFoundError:
            raise ServerStartError(
                f"{self._data} is not a PostgreSQL cluster: it has no PG_VERSION",
                hint="restore it from a backup, or move it away to start empty",
            ) from None
        if major != str(POSTGRES_MAJOR):
            raise ServerStartError(
                f"{self._data} was made by PostgreSQL {major}, and this is {POSTGRES_MAJOR}",
                hint="restore a backup into a new home, or move the folder away to start empty",
            )

    def _write_configuration(self) -> None:
        user = self._place.user
        text = setup.configuration(socket_folder=self._place.socket_folder, durable=self._durable)
        user.write_private(self._data / "postgresql.conf", text)
        user.write_private(self._data / "pg_hba.conf", setup.ACCESS_RULES)

    def _is_set_up(self) -> bool:
        with suppress(FileNotFoundError):
            return self._set_up_note.read_text() == setup.set_up_fingerprint(self._passwords())
        return False

    async def _reset_superuser(self) -> None:
        # Killed between initdb and here, or the secrets were lost: single-user mode asks for no password.
        statement = setup.superuser_reset(self._password(Role.SUPERUSER))
        await run_program(
            [self._bin / "postgres", "--single", "-D", self._data, "-c", "exit_on_error=on", "postgres"],
            folder=self._data,
            user=self._place.user,
            text=statement,
            timeout_seconds=START_PATIENCE_SECONDS,
        )

    async def _spawn(self) -> ServerProcess:
        return await ServerProcess.spawn(
            name=self.name,
            command=[self._bin / "postgres", "-D", self._data],
            user=self._place.user,
            folder=self._data,
            output=self.output,
            death_signal=signal.SIGINT,
        )

    async def _until_ready(self, process: ServerProcess) -> None:
        deadline = time.monotonic() + START_PATIENCE_SECONDS
        while time.monotonic() < deadline:
            if process.returncode is not None:
                raise ServerStartError(f"PostgreSQL exited with status {process.returncode}:\n{self.output.tail()}")
            if await self._accepts_connections():
                return
            await asyncio.sleep(_PROBE_SECONDS)
        raise ServerStartError(f"PostgreSQL was not ready after {START_PATIENCE_SECONDS} s:\n{self.output.tail()}")

    async def _accepts_connections(self) -> bool:
        try:
            await run_program([self._bin / "pg_isready", *self._connection()], folder=self._place.path)
        except ServerStartError:
            return False
        return True

    async def _set_up(self) -> None:
        passwords = self._passwords()
        await run_program(
            [self._bin / "psql", "--no-psqlrc", "--quiet", "--no-password", *self._connection(), "--file=-"],
            folder=self._place.path,
            environ={"PGPASSWORD": passwords[Role.SUPERUSER]},
            text=setup.set_up_script(passwords),
        )
        self._place.user.write_private(self._set_up_note, setup.set_up_fingerprint(passwords))

    def _connection(self) -> list[str]:
        host = f"--host={self._place.socket_folder}"
        return [host, f"--port={PORT}", f"--username={Role.SUPERUSER}", "--dbname=postgres"]


async def _remove_half_made(drafts: Sequence[Path], *, parent: Path) -> None:
    if drafts:
        # initdb died with its NADIA; the postgres that it had at work in the draft may not have noticed yet.
        for folder in (parent, *drafts):
            await stop_leftovers(programs=["initdb", "postgres"], folder=folder, steps=KILL_STEPS)
    for draft in drafts:
        log.warning("embedded.cluster.half_made", folder=str(draft))
        await asyncio.to_thread(shutil.rmtree, draft, ignore_errors=True)


def _postmaster_pid(data: Path) -> int:
    with suppress(FileNotFoundError, ValueError, IndexError):
        return int((data / "postmaster.pid").read_text().splitlines()[0])
    return -1


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
