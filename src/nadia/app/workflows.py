"""Workflows, put together from the settings: each connects to what it needs, and to nothing before it asks.

To add one: its class in `nadia.workflows.registry`, and an opener here.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias, TypeVar
from urllib.parse import urlsplit

from nadia.app.address import address_of
from nadia.app.endpoints import Endpoints, require_running
from nadia.errors import UnavailableError
from nadia.postgres import schema
from nadia.postgres.database import Connection, Database
from nadia.redis.connection import RedisConnection
from nadia.settings import Config
from nadia.workflows.registry import AnyWorkflow, workflow_class

if TYPE_CHECKING:
    from nadia.workflows.change_sources import WatchedFile

_POOL_SIZE: Final = 4

T = TypeVar("T")


class Links:
    """The connections of one workflow, made when it first uses them and closed with it.

    Parameters
    ----------
    config : Config
        The settings.
    actor : str
        Who asks, as the audit log names them.
    at_terminal : bool
        Whether that is somebody at this machine's terminal.
    """

    def __init__(self, config: Config, *, actor: str, at_terminal: bool = False) -> None:
        self.config = config
        self.actor = actor
        self.at_terminal = at_terminal
        self._stack = AsyncExitStack()
        self._database: Database | None = None

    def redis(self) -> RedisConnection:
        """Return Redis; it connects with the first command."""
        redis = RedisConnection(Endpoints.of(self.config).redis)
        self._stack.push_async_callback(redis.close)
        return redis

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[Connection]:
        """Yield a connection to PostgreSQL whose statements are transactions of their own.

        Raises
        ------
        UnavailableError
            If PostgreSQL cannot be reached.
        SchemaBehindError
            If its schema is not this version's.
        """
        async with (await self.database()).connection() as conn:
            yield conn

    async def database(self) -> Database:
        """Return PostgreSQL, connected; raises what `connect` does."""
        if self._database is None:
            require_running(self.config)
            database = Database(
                dsn=Endpoints.of(self.config).postgres,
                application_name="nadia-workflow",
                pool_size=_POOL_SIZE,
                statement_timeout_seconds=self.config.postgres.statement_timeout_seconds,
            )
            self._stack.push_async_callback(database.close)
            await database.open(at_once=True)
            await schema.require_current(database)
            self._database = database
        return self._database

    async def enter(self, context: AbstractAsyncContextManager[T]) -> T:
        """Open something else for the workflow, to be closed with it."""
        return await self._stack.enter_async_context(context)

    async def close(self) -> None:
        """Close what was opened."""
        await self._stack.aclose()


Opener: TypeAlias = Callable[[Links], Awaitable[AnyWorkflow]]
"""Puts one workflow together."""


@asynccontextmanager
async def open_workflow(
    config: Config, name: str, *, actor: str, at_terminal: bool = False
) -> AsyncIterator[AnyWorkflow]:
    """Put a workflow together for one run or several; close what it connected to in the end.

    Parameters
    ----------
    config : Config
        The settings.
    name : str
        Such as ``db-stats``; `nadia.workflows.registry.WORKFLOWS` lists them.
    actor : str
        Who asks, as the audit log names them: ``cli:…``, ``account:…``, ``system``.
    at_terminal : bool
        Whether that is somebody at this machine's terminal, who may name files to be read.

    Raises
    ------
    NotFoundError
        If there is no such workflow.
    """
    workflow_class(name)  # refuses a name that there is none of
    links = Links(config, actor=actor, at_terminal=at_terminal)
    try:
        yield await OPENERS[name](links)
    finally:
        await links.close()


async def _health_check(links: Links) -> AnyWorkflow:
    from nadia.app.health import open_health_checker
    from nadia.workflows.health_check import HealthCheck

    return HealthCheck(checker=await links.enter(open_health_checker(links.config)))


async def _redis_health(links: Links) -> AnyWorkflow:
    from nadia.workflows.redis_health import RedisHealth

    health = links.config.health
    return RedisHealth(redis=links.redis(), megabytes=health.redis_memory_megabytes, waiting=health.wal_entries)


async def _db_stats(links: Links) -> AnyWorkflow:
    from nadia.workflows.db_stats import DbStats

    health = links.config.health
    return DbStats(
        connect=links.connect,
        connections_percent=health.postgres_connections_percent,
        transaction_seconds=health.postgres_transaction_seconds,
    )


async def _security_check(links: Links) -> AnyWorkflow:
    from nadia.app.security_check import security_check

    return security_check(links.config, connect=links.connect)


async def _perf_baseline(links: Links) -> AnyWorkflow:
    from nadia.health.figures import FigureHistory
    from nadia.workflows.perf_baseline import PerfBaseline

    redis = links.redis()
    return PerfBaseline(
        connect=links.connect,
        redis=redis,
        figures=FigureHistory(redis=redis),
        home=links.config.home,
        web=_pages(links.config),
        actor=links.actor,
    )


async def _debug_user(links: Links) -> AnyWorkflow:
    from nadia.workflows.debug_user import DebugUser

    return DebugUser(connect=links.connect, redis=links.redis())


async def _slow_api(links: Links) -> AnyWorkflow:
    from nadia.health.figures import FigureHistory
    from nadia.workflows.slow_api import SlowApi

    redis, config = links.redis(), links.config
    return SlowApi(
        connect=links.connect,
        redis=redis,
        figures=FigureHistory(redis=redis),
        disk=config.home if config.postgres.url is None else None,
    )


async def _find_error(links: Links) -> AnyWorkflow:
    from nadia.workflows.find_error import FindError

    home = links.config.home
    return FindError(
        connect=links.connect,
        logs=lambda: [*(home / "logs").glob("*.jsonl*"), *(home / "servers" / "log").glob("*.log*")],
        may_name_files=links.at_terminal,
    )


async def _recent_changes(links: Links) -> AnyWorkflow:
    import nadia
    from nadia.health.figures import FigureHistory
    from nadia.workflows.recent_changes import RecentChanges

    return RecentChanges(
        connect=links.connect,
        figures=FigureHistory(redis=links.redis()),
        files=_operator_files(links.config),
        package=Path(nadia.__file__).parent,
    )


def _pages(config: Config) -> tuple[str, int] | None:
    """Return where pages are served on this machine, as far as is known."""
    if config.web.public_url:
        return (config.web.host, config.web.port) if config.web.port else None
    with suppress(UnavailableError):
        place = urlsplit(address_of(config))
        return place.hostname or config.web.host, place.port or config.web.port
    return None


def _operator_files(config: Config) -> "list[WatchedFile]":
    from nadia.app.texts import folder
    from nadia.workflows.change_sources import WatchedFile

    own = folder(config)
    return [
        WatchedFile(Path(".env").absolute(), "settings"),
        *([WatchedFile(config.llm.models_file, "model registry")] if config.llm.models_file else []),
        WatchedFile(config.drafting.persona_file or own / "persona.txt", "persona"),
        WatchedFile(config.drafting.disclosure_file or own / "disclosure.txt", "disclosure"),
        WatchedFile(config.llm.saved_replies_file or own / "saved_replies.txt", "saved replies"),
        *(
            WatchedFile(path, f"secret {path.name}")
            for path in sorted((config.home / "secrets").glob("*"))
            if not path.is_symlink()
        ),
    ]


OPENERS: Final[Mapping[str, Opener]] = {
    "health-check": _health_check,
    "redis-health": _redis_health,
    "db-stats": _db_stats,
    "security-check": _security_check,
    "perf-baseline": _perf_baseline,
    "debug-user": _debug_user,
    "slow-api": _slow_api,
    "find-error": _find_error,
    "recent-changes": _recent_changes,
}
