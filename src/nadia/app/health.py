"""The health check, put together from the settings: all domains' probes, over light connections or a process's own."""

import asyncio
import functools
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Final, ParamSpec, TypeVar

from nadia.app.endpoints import Endpoints, servers_place
from nadia.app.recovery_health import recovery_health_checker
from nadia.embedded.endpoints import PORT
from nadia.embedded.home import Home
from nadia.health.account_reading import AccountReader
from nadia.health.checker import HealthChecker
from nadia.health.control_group import ControlGroup
from nadia.health.figures import FigureHistory
from nadia.health.models import HealthReport
from nadia.health.postgres_reading import PostgresReader
from nadia.health.probe import Probe
from nadia.health.probes.caches import CachesProbe
from nadia.health.probes.certificate import CertificateProbe
from nadia.health.probes.clock_skew import ClockSkewProbe
from nadia.health.probes.conversation_memory import ConversationMemoryProbe
from nadia.health.probes.cpu import CountsInFile, CountsInMemory, CpuCounts, CpuProbe
from nadia.health.probes.disk import DiskProbe
from nadia.health.probes.embedded_servers import EmbeddedServersProbe
from nadia.health.probes.main_memory import MainMemoryProbe
from nadia.health.probes.model_chain import ModelChainProbe
from nadia.health.probes.model_circuits import ModelCircuitsProbe
from nadia.health.probes.model_errors import ModelErrorsProbe
from nadia.health.probes.outbox_age import OutboxAgeProbe
from nadia.health.probes.parked_items import ParkedItemsProbe
from nadia.health.probes.postgres_connection import PostgresConnectionProbe
from nadia.health.probes.postgres_connections import PostgresConnectionsProbe
from nadia.health.probes.postgres_replication import PostgresReplicationProbe
from nadia.health.probes.postgres_schema import PostgresSchemaProbe
from nadia.health.probes.postgres_transactions import PostgresTransactionsProbe
from nadia.health.probes.quarantine import QuarantineProbe
from nadia.health.probes.redis_connection import RedisConnectionProbe
from nadia.health.probes.redis_memory import RedisMemoryProbe
from nadia.health.probes.review_queue import ReviewQueueProbe
from nadia.health.probes.review_wait import ReviewWaitProbe
from nadia.health.probes.telegram_link import TelegramLinkProbe
from nadia.health.probes.telegram_owner import TelegramOwnerProbe
from nadia.health.probes.telegram_sessions import TelegramSessionsProbe
from nadia.health.probes.wal_entries import WalEntriesProbe
from nadia.health.probes.wal_oldest import WalOldestProbe
from nadia.health.probes.wal_stuck import WalStuckProbe
from nadia.health.queue_reading import QueueReader
from nadia.health.redis_reading import RedisReader
from nadia.health.wal_reading import WalReader
from nadia.postgres.brief_use import MOST, BriefUse
from nadia.postgres.failures import Connection
from nadia.recovery.probe import RecoveryProbe
from nadia.redis.bare import BareRedis
from nadia.redis.commands import SurveysServers
from nadia.settings import Config
from nadia.workflows.probe import ScheduledJobsProbe
from nadia.workflows.schedule_state import latest_state, state_file

if TYPE_CHECKING:
    from nadia.llm.registry import Link
    from nadia.redis.connection import RedisConnection

Connect = Callable[[], AbstractAsyncContextManager[Connection]]

CPU_FILE: Final = "cpu-counts.json"
"""In the home: what the kernel had counted at the last checks."""

_PATIENCE: Final = 0.75
"""Of a probe's time-out: what is asked gives up sooner than the checker, which knows less of why."""

_STUCK_MARGIN_SECONDS: Final = 30.0
"""For other workers to take over what a worker has left, after its lease."""

P = ParamSpec("P")
T = TypeVar("T")


@asynccontextmanager
async def open_health_checker(config: Config) -> AsyncIterator[HealthChecker]:
    """Put the health check together for a command, over a few connections of its own, made when a probe asks.

    Whatever hangs is left behind: neither a server that does not answer nor a name that does not resolve keeps the
    process.
    """
    asyncio.get_running_loop().set_default_executor(_Unawaited())
    endpoints = Endpoints.of(config)
    patience = _PATIENCE * config.health.probe_timeout_seconds
    postgres = BriefUse(dsn=endpoints.postgres, application_name="nadia-health", statement_timeout_seconds=patience)
    redis = _redis(endpoints)
    try:
        yield HealthChecker(
            probes=probes(
                config,
                endpoints,
                connect=postgres.connection,
                redis=redis,
                counts=CountsInFile(config.home / CPU_FILE),
            ),
            timeout_seconds=config.health.probe_timeout_seconds,
        )
    finally:
        postgres.close()
        await redis.close()


def health_checker(
    config: Config,
    endpoints: Endpoints,
    *,
    connect: Connect,
    redis: SurveysServers,
    told: Callable[[HealthReport], None],
) -> HealthChecker:
    """Return the health check of a process that goes on, over its own connections.

    Parameters
    ----------
    config : Config
        The settings.
    endpoints : Endpoints
        Where the servers are.
    connect : callable
        `Database.connection`.
    redis : SurveysServers
        Its `RedisConnection`.
    told : callable
        Is handed each report.
    """
    return HealthChecker(
        probes=probes(config, endpoints, connect=_in_turns(connect), redis=redis, counts=CountsInMemory()),
        timeout_seconds=config.health.probe_timeout_seconds,
        told=told,
    )


def _in_turns(connect: Connect) -> Connect:
    """Let a few probes at a time have a connection: the pool is there for the process's own work."""
    turns = asyncio.Semaphore(MOST)

    @asynccontextmanager
    async def connection() -> AsyncIterator[Connection]:
        async with turns, connect() as conn:
            yield conn

    return connection


def probes(
    config: Config, endpoints: Endpoints, *, connect: Connect, redis: SurveysServers, counts: CpuCounts
) -> list[Probe]:
    """Return every probe; those that need the same reading share it."""
    figures = FigureHistory(redis=redis)
    server = PostgresReader(connect=connect)
    return [
        *_of_postgres(config, server, connect),
        *_of_redis(config, redis),
        *_of_queues(config, connect, redis),
        ConversationMemoryProbe(redis=redis, connect=connect, sample=config.health.memory_sample),
        *_of_telegram(config, connect, figures),
        *_of_models(config, figures),
        *_of_system(config, counts),
        *_of_installation(config, endpoints, server),
        CachesProbe(figures=figures, percent=config.health.cache_hit_percent),
        ScheduledJobsProbe(read=lambda: latest_state(redis, state_file(config.home)), expected=config.daemon.enabled),
    ]


def _of_postgres(config: Config, server: PostgresReader, connect: Connect) -> list[Probe]:
    bounds = config.health
    return [
        PostgresConnectionProbe(server=server, patience_seconds=_PATIENCE * bounds.probe_timeout_seconds),
        PostgresConnectionsProbe(server=server, percent=bounds.postgres_connections_percent),
        PostgresReplicationProbe(server=server, lag_seconds=bounds.postgres_replication_lag_seconds),
        PostgresSchemaProbe(connect=connect),
        PostgresTransactionsProbe(server=server, seconds=bounds.postgres_transaction_seconds),
    ]


def _of_redis(config: Config, redis: SurveysServers) -> list[Probe]:
    bounds, server = config.health, RedisReader(redis=redis)
    return [
        RedisConnectionProbe(server=server, patience_seconds=_PATIENCE * bounds.probe_timeout_seconds),
        RedisMemoryProbe(server=server, megabytes=bounds.redis_memory_megabytes),
    ]


def _of_queues(config: Config, connect: Connect, redis: SurveysServers) -> list[Probe]:
    bounds, queues = config.health, QueueReader(connect=connect)
    wal = WalReader(redis=redis, stuck_seconds=config.drafting.wal_lease_seconds + _STUCK_MARGIN_SECONDS)
    return [
        WalEntriesProbe(wal=wal, queues=queues, entries=bounds.wal_entries),
        WalOldestProbe(queues=queues, seconds=bounds.wal_oldest_seconds),
        WalStuckProbe(wal=wal),
        ParkedItemsProbe(queues=queues),
        ReviewQueueProbe(queues=queues, items=bounds.review_items),
        ReviewWaitProbe(queues=queues, seconds=bounds.review_oldest_seconds),
        OutboxAgeProbe(queues=queues, seconds=bounds.outbox_oldest_seconds),
        QuarantineProbe(connect=connect, seconds_left=bounds.quarantine_left_hours * 3600),
    ]


def _of_telegram(config: Config, connect: Connect, figures: FigureHistory) -> list[Probe]:
    accounts = AccountReader(
        connect=connect,
        network="sandbox" if config.telegram.gateway == "sandbox" else "telegram",
        sandbox_account=config.telegram.account,
    )
    return [
        TelegramOwnerProbe(accounts=accounts),
        TelegramSessionsProbe(accounts=accounts),
        TelegramLinkProbe(accounts=accounts, figures=figures),
        RecoveryProbe(checker=recovery_health_checker(config, connect)),
    ]


def _of_models(config: Config, figures: FigureHistory) -> list[Probe]:
    @functools.cache
    def chain() -> "Sequence[Link]":
        return config.model_registry().chain(config.llm.profile)

    return [
        ModelChainProbe(chain=chain),
        ModelCircuitsProbe(chain=chain, figures=figures),
        ModelErrorsProbe(figures=figures, rate=config.health.model_error_rate),
    ]


def _of_system(config: Config, counts: CpuCounts) -> list[Probe]:
    bounds, limits = config.health, ControlGroup()
    return [
        CpuProbe(percent=bounds.cpu_percent, counts=counts, limits=limits),
        MainMemoryProbe(percent=bounds.memory_percent, limits=limits),
        DiskProbe(
            id="system-disk",
            title="System disk",
            group="system",
            folders=(Path("/"),),
            percent=bounds.disk_percent,
            hint="`du -xh --max-depth=2 / | sort -h | tail` shows what fills it",
        ),
    ]


def _of_installation(config: Config, endpoints: Endpoints, server: PostgresReader) -> list[Probe]:
    bounds, home, folders, sockets = config.health, Home(path=config.home), [config.home], {}
    if endpoints.embedded:
        place = servers_place(home)
        folders.append(place.path)
        known = {
            "postgres": ("PostgreSQL", place.socket_folder / f".s.PGSQL.{PORT}"),
            "redis": ("Redis", place.socket_folder / "redis.sock"),
        }
        sockets = dict(known[name] for name in endpoints.embedded)
    return [
        EmbeddedServersProbe(sockets=sockets, owner=home.owner_pid),
        DiskProbe(
            id="home-disk",
            title="Disk of the home",
            group="installation",
            folders=folders,
            percent=bounds.disk_percent,
            hint=f"`du -h --max-depth=2 {config.home} | sort -h | tail` shows what fills it: full, it stops PostgreSQL",
        ),
        ClockSkewProbe(server=server, seconds=bounds.clock_skew_seconds),
        CertificateProbe(url=config.web.public_url, days=bounds.expiry_days),
    ]


def _redis(endpoints: Endpoints) -> "BareRedis | RedisConnection":
    if BareRedis.suits(endpoints.redis):
        return BareRedis(endpoints.redis)
    from nadia.redis.connection import RedisConnection

    return RedisConnection(endpoints.redis)


class _Unawaited(ThreadPoolExecutor):
    """Threads that the interpreter does not wait for in the end: one may hang in a name's resolution, or in a disk."""

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Run a function in a thread of its own."""
        future: Future[T] = Future()

        def work() -> None:
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(fn(*args, **kwargs))
                except BaseException as exc:
                    future.set_exception(exc)

        Thread(target=work, name="nadia-unawaited", daemon=True).start()
        return future
