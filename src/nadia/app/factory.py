"""Building a process from its settings."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

from pydantic import SecretStr

from nadia.accounts.service import AccountService
from nadia.app.context import ProcessContext
from nadia.app.endpoints import Endpoints, require_running
from nadia.app.health import health_checker
from nadia.app.process_name import installation_name, process_name
from nadia.app.texts import OperatorFiles
from nadia.conversations.batches import Batches
from nadia.conversations.memory import ConversationMemory
from nadia.conversations.messages import Messages
from nadia.conversations.pauses import Pauses
from nadia.conversations.wal import WalStream
from nadia.delivery.outbox import Outbox
from nadia.drafting.worker import DraftingWorker
from nadia.embedded.home import Home
from nadia.errors import UnavailableError
from nadia.health import metrics as health_metrics
from nadia.health.figure_recorder import FigureRecorder
from nadia.health.figures import FigureHistory
from nadia.inbound.intake import Intake
from nadia.llm.chain import ModelChain
from nadia.pacing.bursts import Bursts
from nadia.pacing.sweep import Sweep
from nadia.pacing.tracker import UserActivityTracker
from nadia.postgres import schema
from nadia.postgres.database import Database
from nadia.quarantine.cache import ProtocolStatusCache
from nadia.quarantine.gate import SilenceGate
from nadia.quarantine.reception import Reception
from nadia.quarantine.service import Quarantine
from nadia.recovery.store import RecoveryStore
from nadia.recovery.summaries import ChatSummaries
from nadia.redis.connection import RedisConnection
from nadia.redis.events import LiveEvents
from nadia.review.desk import ReviewDesk
from nadia.settings import Config
from nadia.telegram.ownership import Ownerships


@asynccontextmanager
async def open_context(config: Config, *, role: str, owns_home: bool = False) -> AsyncIterator[ProcessContext]:
    """Connect and build everything a process may need; close it in the end.

    Parameters
    ----------
    config : Config
        The settings.
    role : str
        Shown in ``pg_stat_activity``.
    owns_home : bool
        Whether this process holds the home's lock: then whoever of this home owned a Telegram account before is dead.

    Raises
    ------
    UnavailableError
        If PostgreSQL cannot be reached.
    SchemaBehindError
        If its schema is not this version's.
    ConfigurationError
        If a file of the operator's is wrong.
    """
    require_running(config)
    endpoints = Endpoints.of(config)
    database = Database(
        dsn=endpoints.postgres,
        application_name=f"nadia-{role}",
        pool_size=config.postgres.pool_size,
        statement_timeout_seconds=config.postgres.statement_timeout_seconds,
    )
    redis = RedisConnection(endpoints.redis)
    await database.open()
    try:
        await schema.require_current(database)
        context = build(config, endpoints, role=role, database=database, redis=redis, owns_home=owns_home)
        for text in (context.files.persona, context.files.disclosure):
            text()  # unusable at the start is an error; later, the last usable text goes on
        try:
            yield context
        finally:
            await context.models.close()
    finally:
        await redis.close()
        await database.close()


@asynccontextmanager
async def open_database(config: Config, *, name: str) -> AsyncIterator[Database]:
    """Connect to PostgreSQL only, for a command that needs nothing else.

    Raises
    ------
    UnavailableError
        If PostgreSQL cannot be reached.
    SchemaBehindError
        If its schema is not this version's.
    """
    require_running(config)
    database = Database(dsn=Endpoints.of(config).postgres, application_name=f"nadia-{name}", pool_size=2)
    try:
        await _open_at_once(config, database)
        await schema.require_current(database)
        yield database
    finally:
        await database.close()


async def _open_at_once(config: Config, database: Database) -> None:
    try:
        await database.open(at_once=True)
    except UnavailableError as exc:
        if config.postgres.url is not None:
            raise
        hint = f"the NADIA on {config.home} is starting or stopping: try again in a moment"
        raise UnavailableError(exc.message, hint=hint) from exc


@asynccontextmanager
async def open_pauses(config: Config) -> AsyncIterator[Pauses]:
    """Connect to what pausing needs; raises what `open_database` does."""
    redis = RedisConnection(Endpoints.of(config).redis)
    try:
        async with open_database(config, name="cli") as database:
            yield Pauses(database=database, events=LiveEvents(redis=redis))
    finally:
        await redis.close()


@asynccontextmanager
async def open_quarantine(config: Config) -> AsyncIterator[Quarantine]:
    """Connect to what deciding about silenced customers needs; raises what `open_database` does."""
    redis = RedisConnection(Endpoints.of(config).redis)
    try:
        async with open_database(config, name="cli") as database:
            outbox = Outbox(undo_seconds=config.delivery.undo_seconds)
            wal = WalStream(
                redis=redis, consumer="cli", lease_seconds=config.drafting.wal_lease_seconds
            )  # only adds to it
            yield Quarantine(
                database=database,
                batches=Batches(database=database, replies=outbox, silences=SilenceGate()),
                replies=outbox,
                wants_draft=lambda batch_id: wal.add([batch_id]),
                events=LiveEvents(redis=redis),
                settings=config.quarantine,
            )
    finally:
        await redis.close()


def build(
    config: Config, endpoints: Endpoints, *, role: str, database: Database, redis: RedisConnection, owns_home: bool
) -> ProcessContext:
    """Put the services together; connects nothing."""
    files = OperatorFiles.of(config)
    events = LiveEvents(redis=redis)
    messages = Messages(database=database)
    memory = ConversationMemory(redis=redis, messages=messages)
    outbox = Outbox(undo_seconds=config.delivery.undo_seconds)
    batches = Batches(database=database, replies=outbox, silences=SilenceGate())
    protocol_status = ProtocolStatusCache(database=database, events=events, settings=config.quarantine)
    holder = process_name(config, owns_home=owns_home)
    wal = WalStream(redis=redis, consumer=holder, lease_seconds=config.drafting.wal_lease_seconds)
    bursts = Bursts(redis=redis, settings=config.pacing)
    tracker = UserActivityTracker(bursts=bursts, batches=batches, wal=wal, events=events, settings=config.pacing)
    recovery = RecoveryStore(database=database, settings=config.recovery)
    models = ModelChain(registry=config.model_registry(), replies=files.saved_replies)
    return ProcessContext(
        config=config,
        endpoints=endpoints,
        database=database,
        redis=redis,
        events=events,
        files=files,
        models=models,
        messages=messages,
        memory=memory,
        outbox=outbox,
        batches=batches,
        pauses=Pauses(database=database, events=events),
        tracker=tracker,
        sweep=Sweep(redis=redis, bursts=bursts, batches=batches, wal=wal),
        intake=Intake(
            messages=messages,
            memory=memory,
            tracker=tracker,
            events=events,
            own_sends=outbox,
            losses=recovery,
            reception=Reception(database=database, status=protocol_status),
        ),
        drafting=DraftingWorker(
            database=database,
            batches=batches,
            wal=wal,
            memory=memory,
            drafter=models,
            persona=files.persona,
            profile=config.llm.profile,
            events=events,
            settings=config.drafting,
            recovered=ChatSummaries(database=database),
            answered_within=config.recovery.maximum_age,
        ),
        recovery=recovery,
        quarantine=Quarantine(
            database=database,
            batches=batches,
            replies=outbox,
            wants_draft=lambda batch_id: wal.add([batch_id]),
            events=events,
            settings=config.quarantine,
        ),
        protocol_status=protocol_status,
        ownerships=Ownerships(
            database=database,
            holder=holder,
            lease_seconds=config.telegram.lease_seconds,
            grace_seconds=config.telegram.lease_grace_seconds,
            succeeds=installation_name(config) if owns_home else "",
        ),
        desk=ReviewDesk(
            database=database,
            outbox=outbox,
            events=events,
            disclosure=files.disclosure,
            wants_draft=lambda batch_id: wal.add([batch_id]),
            settings=config.review,
        ),
        accounts=account_service(config, database),
        figures=FigureHistory(redis=redis),
        health=health_checker(config, endpoints, connect=database.connection, redis=redis, told=health_metrics.show),
        recorder=FigureRecorder(redis=redis, process=f"{role}/{holder}"),
    )


def account_service(config: Config, database: Database) -> AccountService:
    """Return the service for the people who log in."""
    return AccountService(
        database=database,
        secret_key=secret_key(config),
        session_idle=timedelta(seconds=config.web.session_idle_seconds),
        session_lifetime=timedelta(seconds=config.web.session_lifetime_seconds),
    )


def secret_key(config: Config) -> SecretStr:
    """Return the configured key, or the home's own."""
    return config.web.secret_key or SecretStr(Home(path=config.home).secret("web"))
