"""One machine: the embedded servers, the schema, the sandbox Telegram, and the first person who logs in."""

import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import structlog

from nadia.accounts.service import AccountService
from nadia.app import texts
from nadia.app.endpoints import Endpoints
from nadia.conversations import audit
from nadia.embedded.home import Home
from nadia.embedded.reports import StartResult
from nadia.embedded.servers import EmbeddedServers
from nadia.postgres import schema
from nadia.postgres.database import Database
from nadia.postgres.revisions import heads, lacking
from nadia.settings import Config
from nadia.telegram.sandbox.server import SandboxServer

log = structlog.get_logger(__name__)

FIRST_ADMIN = "admin"

# Old sessions are removed in time; that somebody logged in once remains in the audit log.
_FIRST_ADMIN_WAITS = """
SELECT EXISTS (SELECT 1 FROM accounts WHERE lower(name) = lower(%(name)s) AND disabled_at IS NULL)
   AND NOT EXISTS (SELECT 1 FROM accounts WHERE password_hash IS NOT NULL)
   AND NOT EXISTS (SELECT 1 FROM account_sessions)
   AND NOT EXISTS (SELECT 1 FROM audit_log WHERE action = 'account.logged_in') AS waits
"""


@dataclass(frozen=True, slots=True)
class Installation:
    """What was started for this machine, and how long it took.

    Parameters
    ----------
    endpoints : Endpoints
        Where everything is.
    servers : tuple of StartResult
        The embedded servers, none where they are configured.
    migrated : bool
        Whether the schema had to be brought up to date.
    sandbox : bool
        Whether the sandbox Telegram runs in this process.
    seconds : float
        From nothing to ready.
    """

    endpoints: Endpoints
    servers: tuple[StartResult, ...]
    migrated: bool
    sandbox: bool
    seconds: float


@asynccontextmanager
async def running_installation(config: Config) -> AsyncIterator[Installation]:
    """Own the home, start what is not configured elsewhere, bring the schema up to date; stop it in the end.

    Raises
    ------
    HomeInUseError
        If another process owns the home.
    NadiaError
        If something does not start; what was started is stopped.
    """
    begun = time.monotonic()
    async with AsyncExitStack() as stack:
        home = Home(path=config.home)
        stack.enter_context(home.lock())
        texts.lay_out(config)
        endpoints = Endpoints.of(config)
        started: tuple[StartResult, ...] = ()
        if endpoints.embedded:
            servers = EmbeddedServers(home=home, wanted=endpoints.embedded)
            started = tuple(await servers.start())
            stack.push_async_callback(servers.stop)
        migrated = await bring_up_to_date(endpoints)
        if config.telegram.runs_sandbox:
            await stack.enter_async_context(sandbox_server(config, endpoints))
        yield Installation(
            endpoints=endpoints,
            servers=started,
            migrated=migrated,
            sandbox=config.telegram.runs_sandbox,
            seconds=time.monotonic() - begun,
        )
        log.info("installation.stopping")


@asynccontextmanager
async def reachable_servers(config: Config) -> AsyncIterator[Endpoints]:
    """Yield where the servers are; embedded ones that nobody runs are started for the block, and stopped after it.

    Raises
    ------
    ServerStartError
        If they do not start.
    """
    home = Home(path=config.home)
    endpoints = Endpoints.of(config)
    async with AsyncExitStack() as stack:
        if endpoints.embedded and home.owner_pid() is None:
            servers = EmbeddedServers(home=home, wanted=endpoints.embedded)
            await servers.start()
            stack.push_async_callback(servers.stop)
        yield endpoints


def sandbox_server(config: Config, endpoints: Endpoints) -> SandboxServer:
    """Return the sandbox Telegram of this home, not started yet."""
    return SandboxServer(
        address=endpoints.sandbox,
        database=config.home / "sandbox" / "telegram.sqlite",
        accounts=(config.telegram.account,),
    )


async def bring_up_to_date(endpoints: Endpoints) -> bool:
    """Apply the migrations that are missing; False if there were none.

    Raises
    ------
    UnavailableError
        If PostgreSQL cannot be reached.
    """
    database = Database(dsn=endpoints.postgres_owner, application_name="nadia-migrations", pool_size=2)
    await database.open()
    try:
        current = not lacking(await schema.applied(database))
    finally:
        await database.close()
    if not current:
        await schema.upgrade_apart(endpoints.postgres_owner)
        log.info("schema.upgraded", revisions=heads())
    return not current


async def first_login_path(accounts: AccountService, database: Database) -> str | None:
    """Return a one-time link for the first admin, as a path; None once somebody has logged in."""
    if not await accounts.exist():
        admin = await accounts.create_first_admin(FIRST_ADMIN, actor=audit.SYSTEM)
    else:
        async with database.connection() as conn:
            row = await (await conn.execute(_FIRST_ADMIN_WAITS, {"name": FIRST_ADMIN})).fetchone()
        if row is None or not row["waits"]:
            return None
        admin = await accounts.by_name(FIRST_ADMIN)
    return (await accounts.login_link(admin, actor=audit.SYSTEM)).path
