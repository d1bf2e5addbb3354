"""NADIA as it runs in earnest: servers, a Telegram of its own, and roles as processes that can be killed."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, urlsplit

from nadia.accounts.models import Role
from nadia.app.factory import account_service, open_database
from nadia.clock import Clock, utc_now
from nadia.embedded.endpoints import Role as PostgresRole
from nadia.embedded.servers import EmbeddedServers
from nadia.postgres import schema
from nadia.postgres.database import Database
from nadia.settings import Config
from nadia.telegram.sandbox.address import parse_address
from nadia.telegram.sandbox.server import SandboxServer
from support.breakable_link import BreakableLink
from support.leaks import handed_out, leaked_in
from support.ports import free_ports
from support.servers import start_servers

ACCOUNT = "sandbox"


@dataclass
class Process:
    """One role, as its own process."""

    role: str
    number: int
    child: asyncio.subprocess.Process

    def kill(self) -> None:
        """SIGKILL it."""
        with suppress(ProcessLookupError):
            self.child.kill()

    def freeze(self) -> None:
        """SIGSTOP it: it holds whatever it holds, and does nothing."""
        self.child.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT it."""
        self.child.send_signal(signal.SIGCONT)


@dataclass
class System:
    """A running installation whose parts a test may hurt."""

    base: Path
    config: Config
    servers: EmbeddedServers
    sandbox: SandboxServer
    environment: Mapping[str, str]
    postgres_link: BreakableLink
    redis_link: BreakableLink
    token: str = ""
    admin_token: str = ""
    processes: dict[tuple[str, int], Process] = field(default_factory=dict)

    def web_url(self, number: int = 0) -> str:
        """The address of a web process."""
        return f"http://127.0.0.1:{self.config.web.port + number}"

    @asynccontextmanager
    async def database(self) -> AsyncIterator[Database]:
        """PostgreSQL, past the link that may be cut."""
        database = Database(dsn=self.servers.dsn(PostgresRole.APP), pool_size=2)
        await database.open()
        try:
            yield database
        finally:
            await database.close()

    def log(self, role: str, number: int = 0) -> str:
        """What a role has logged, over all its lives."""
        return (self.base / f"{role}-{number}.log").read_text(errors="replace")

    async def start(self, role: str, number: int = 0) -> Process:
        """Start a role and wait until it says that it is ready."""
        with (self.base / f"{role}-{number}.log").open("ab") as log:
            child = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "nadia",
                "run",
                role,
                env={**self.environment, "NADIA_WEB_PORT": str(self.config.web.port + number)},
                cwd=self.base,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
            )
        assert child.stdout is not None
        said = await asyncio.wait_for(child.stdout.readline(), 60)
        assert b"is ready" in said, f"{role} did not start: {self.log(role, number)[-2000:]}"
        process = Process(role=role, number=number, child=child)
        self.processes[role, number] = process
        return process

    async def kill_and_restart(self, role: str, number: int = 0) -> None:
        """SIGKILL a role at whatever it is doing, and start it anew."""
        process = self.processes[role, number]
        process.kill()
        await process.child.wait()
        await self.start(role, number)

    async def stop(self) -> None:
        """End all roles in order; none may need more than its grace."""
        for process in self.processes.values():
            with suppress(ProcessLookupError):
                process.thaw()
                process.child.terminate()
        for process in self.processes.values():
            try:
                await asyncio.wait_for(process.child.wait(), 15)
            except TimeoutError:
                process.kill()
                raise AssertionError(f"{process.role} did not stop on SIGTERM") from None


@asynccontextmanager
async def running_system(
    base: Path,
    *,
    roles: Sequence[tuple[str, int]] = (("api", 0), ("worker", 0), ("bot", 0)),
    settings: Mapping[str, str] | None = None,
    redis_url: str | None = None,
    durable: bool = False,
    clock: Clock = utc_now,
) -> AsyncIterator[System]:
    """Start everything below a folder; stop it in the end.

    Parameters
    ----------
    base : Path
        With a short name.
    roles : sequence
        Role and number of each process to start.
    settings : mapping, optional
        Further settings of the processes.
    redis_url : str, optional
        Another Redis than the embedded one.
    durable : bool
        Whether PostgreSQL syncs to disk, as in earnest; off, tests are quicker and survive every kill of a process.
    clock : callable
        Tells the sandbox's time, and nothing else's.
    """
    servers = await start_servers(base, durable=durable)
    for url in (servers.dsn(PostgresRole.APP), servers.dsn(PostgresRole.OWNER), servers.redis.url):
        handed_out(urlsplit(url).password or "")
    postgres_link = BreakableLink(
        listens=base / "pg" / ".s.PGSQL.5432", leads_to=servers.place.socket_folder / ".s.PGSQL.5432"
    )
    redis_link = BreakableLink(listens=base / "re" / "redis.sock", leads_to=servers.redis.socket_path)
    await postgres_link.mend()
    await redis_link.mend()
    sandbox_address = str(base / "sandbox" / "telegram.sock")
    sandbox = SandboxServer(
        address=parse_address(sandbox_address),
        database=base / "sandbox" / "telegram.sqlite",
        accounts=(ACCOUNT,),
        clock=clock,
    )
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(base),
        "NADIA_HOME": str(base / "role-home"),
        "DATABASE_URL": _through(servers.dsn(PostgresRole.APP), servers.place.socket_folder, base / "pg"),
        "NADIA_POSTGRES_OWNER_URL": servers.dsn(PostgresRole.OWNER),
        "REDIS_URL": redis_url or _through(servers.redis.url, servers.redis.socket_path.parent, base / "re"),
        "NADIA_TELEGRAM_ADDRESS": sandbox_address,
        "NADIA_TELEGRAM_LEASE_SECONDS": "3",
        "NADIA_TELEGRAM_LEASE_GRACE_SECONDS": "1",
        "NADIA_PACING_WINDOW_SECONDS": "0.4",
        "NADIA_PACING_LEASE_SECONDS": "3",
        "NADIA_DRAFTING_TIMEOUT_SECONDS": "3",
        "NADIA_DELIVERY_UNDO_SECONDS": "0.2",
        "NADIA_DELIVERY_SPEED": "200",
        "NADIA_DELIVERY_SETTLE_SECONDS": "1",
        "NADIA_WEB_PORT": str(free_ports(1, with_offset=1)[0]),
        **(settings or {}),
    }
    (base / "role-home").mkdir(mode=0o700, exist_ok=True)
    config = Config.from_env(environment, dotenv=None)
    schema.upgrade(servers.dsn(PostgresRole.OWNER))
    system = System(
        base=base,
        config=config,
        servers=servers,
        sandbox=sandbox,
        environment=environment,
        postgres_link=postgres_link,
        redis_link=redis_link,
    )
    try:
        await sandbox.start()
        try:
            async with open_database(config, name="test") as database:
                accounts = account_service(config, database)
                admin = await accounts.create_first_admin("admin", actor="test")
                system.admin_token, _ = await accounts.tokens.create(admin, name="all", role=Role.ADMIN, actor="test")
                system.token, _ = await accounts.tokens.create(admin, name="test", role=Role.REVIEWER, actor="test")
                handed_out(system.admin_token)
                handed_out(system.token)
            async with asyncio.TaskGroup() as group:
                for role, number in roles:
                    group.create_task(system.start(role, number))
            yield system
            await system.stop()
            assert leaked_in(path.read_text(errors="replace") for path in base.glob("*.log")) == []
        finally:
            for process in system.processes.values():
                process.kill()
            await sandbox.close()
    finally:
        await postgres_link.cut()
        await redis_link.cut()
        await servers.stop()


def _through(url: str, folder: Path, link: Path) -> str:
    """Lead a URL through a link's folder instead of the server's own."""
    for written in (quote(str(folder), safe=""), quote(str(folder))):
        url = url.replace(written, quote(str(link), safe="" if "%2F" in written else "/"))
    return url
