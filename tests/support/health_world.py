"""Every probe over real servers on which all is well, until a test breaks one thing."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from prometheus_client import CollectorRegistry, Gauge

from nadia.health.account_reading import AccountReader
from nadia.health.checker import HealthChecker
from nadia.health.config import HealthSettings
from nadia.health.figure_recorder import FigureRecorder
from nadia.health.figures import FigureHistory
from nadia.health.models import HealthReport, HealthStatus, ProbeResult
from nadia.health.postgres_reading import Connect, PostgresReader
from nadia.health.probe import Probe
from nadia.health.probes.conversation_memory import ConversationMemoryProbe
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
from nadia.llm.registry import Link, load_registry
from nadia.recovery.probe import RecoveryProbe
from nadia.redis.commands import SurveysServers
from support.core import ACCOUNT, Core
from support.recovery_records import checker as recovery_checker

HEALTHY, UNKNOWN, WARNING, CRITICAL = HealthStatus

NEEDS: Final[Mapping[str, frozenset[str]]] = {
    "postgres-connection": frozenset({"postgres"}),
    "postgres-connections": frozenset({"postgres"}),
    "postgres-replication": frozenset({"postgres"}),
    "postgres-schema": frozenset({"postgres"}),
    "postgres-transactions": frozenset({"postgres"}),
    "redis-connection": frozenset({"redis"}),
    "redis-memory": frozenset({"redis"}),
    "wal-entries": frozenset({"redis"}),
    "wal-oldest": frozenset({"postgres"}),
    "wal-stuck": frozenset({"redis"}),
    "parked-items": frozenset({"postgres"}),
    "review-queue": frozenset({"postgres"}),
    "review-wait": frozenset({"postgres"}),
    "outbox-age": frozenset({"postgres"}),
    "quarantine": frozenset({"postgres"}),
    "conversation-memory": frozenset({"postgres", "redis"}),
    "telegram-owner": frozenset({"postgres"}),
    "telegram-sessions": frozenset(),  # in the sandbox
    "telegram-link": frozenset({"postgres", "redis"}),
    "recovery": frozenset({"postgres"}),
    "model-chain": frozenset(),
    "model-circuits": frozenset({"redis"}),
    "model-errors": frozenset({"redis"}),
}
"""What each probe cannot judge without."""


@dataclass
class HealthWorld:
    """One installation, and a check of it.

    ``connect`` may be put between the probes and PostgreSQL; ``redis`` is the probes' own connection, so that another
    can be put there as well.
    """

    core: Core
    connect: Connect
    redis: SurveysServers
    settings: HealthSettings = field(default_factory=HealthSettings)
    network: str = "sandbox"
    account: str = ACCOUNT
    chain: Callable[[], Sequence[Link]] = lambda: load_registry(None, environment={}).chain("default")
    wal_stuck_seconds: float = 100.0

    def probes(self) -> Sequence[Probe]:
        """Every probe of what NADIA depends on."""
        settings, connect = self.settings, self.connect
        patience = 0.75 * settings.probe_timeout_seconds
        server, redis = PostgresReader(connect=connect), RedisReader(redis=self.redis)
        queues, figures = QueueReader(connect=connect), FigureHistory(redis=self.redis)
        accounts = AccountReader(connect=connect, network=self.network, sandbox_account=self.account)
        wal = WalReader(redis=self.redis, stuck_seconds=self.wal_stuck_seconds)
        return (
            PostgresConnectionProbe(server=server, patience_seconds=patience),
            PostgresConnectionsProbe(server=server, percent=settings.postgres_connections_percent),
            PostgresReplicationProbe(server=server, lag_seconds=settings.postgres_replication_lag_seconds),
            PostgresSchemaProbe(connect=connect),
            PostgresTransactionsProbe(server=server, seconds=settings.postgres_transaction_seconds),
            RedisConnectionProbe(server=redis, patience_seconds=patience),
            RedisMemoryProbe(server=redis, megabytes=settings.redis_memory_megabytes),
            WalEntriesProbe(wal=wal, queues=queues, entries=settings.wal_entries),
            WalOldestProbe(queues=queues, seconds=settings.wal_oldest_seconds),
            WalStuckProbe(wal=wal),
            ParkedItemsProbe(queues=queues),
            ReviewQueueProbe(queues=queues, items=settings.review_items),
            ReviewWaitProbe(queues=queues, seconds=settings.review_oldest_seconds),
            OutboxAgeProbe(queues=queues, seconds=settings.outbox_oldest_seconds),
            QuarantineProbe(connect=connect, seconds_left=settings.quarantine_left_hours * 3600),
            ConversationMemoryProbe(redis=self.redis, connect=connect, sample=settings.memory_sample),
            TelegramOwnerProbe(accounts=accounts),
            TelegramSessionsProbe(accounts=accounts),
            TelegramLinkProbe(accounts=accounts, figures=figures),
            RecoveryProbe(checker=recovery_checker(connect, network=self.network)),
            ModelChainProbe(chain=self.chain),
            ModelCircuitsProbe(chain=self.chain, figures=figures),
            ModelErrorsProbe(figures=figures, rate=settings.model_error_rate),
        )

    async def report(self, *only: str) -> HealthReport:
        """Check, within the time that a check may take."""
        limit = self.settings.probe_timeout_seconds
        async with asyncio.timeout(limit + 1):
            return await HealthChecker(probes=self.probes(), timeout_seconds=limit).report(only)

    async def turned(self) -> dict[str, HealthStatus]:
        """Check, and return every probe that is not healthy: what a test compares with what it broke."""
        return {result.id: result.status for result in (await self.report()).probes if result.status is not HEALTHY}

    async def of(self, probe_id: str) -> ProbeResult:
        """What one probe finds."""
        return (await self.report(probe_id)).of(probe_id)

    async def link(self, value: float, account_id: str = ACCOUNT, *, process: str = "bot") -> None:
        """Say, as the bot that acts for the account does, whether it is connected."""
        registry = CollectorRegistry()
        Gauge("nadia_app_account_linked", "…", ["account"], registry=registry).labels(account_id).set(value)
        await FigureRecorder(redis=self.core.redis, process=process, registry=registry).record()


def without(server: str, *, itself: HealthStatus = CRITICAL) -> dict[str, HealthStatus]:
    """What a check finds while a server is away: itself critical, and unknown all that cannot be judged without it."""
    unknown = {probe: UNKNOWN for probe, needed in NEEDS.items() if server in needed}
    return unknown | {f"{server}-connection": itself}
