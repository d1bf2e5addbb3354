"""Intake and pacing, against a bare client loop with one INSERT and one EVALSHA for each message.

Both run in this process, against the same servers with the same durability, with the same number of messages under
way at once. In NADIA's turn each of these is a Telegram account, because an account's updates are handled one after
the other.

Budget (DESIGN section 7): at least 50 % of the bare loop's rate.
"""

import asyncio
import logging
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import psycopg
import structlog
from psycopg_pool import AsyncConnectionPool
from redis.asyncio import Redis

from benchmarks.report import Figure, report
from nadia.conversations.batches import Batches
from nadia.conversations.memory import ConversationMemory
from nadia.conversations.messages import Messages
from nadia.conversations.wal import WalStream
from nadia.delivery.outbox import Outbox
from nadia.embedded.endpoints import Role
from nadia.embedded.servers import EmbeddedServers
from nadia.inbound.intake import Intake
from nadia.pacing.bursts import Bursts
from nadia.pacing.config import PacingSettings
from nadia.pacing.tracker import UserActivityTracker
from nadia.postgres import schema
from nadia.postgres.database import Database
from nadia.quarantine.cache import ProtocolStatusCache
from nadia.quarantine.config import QuarantineSettings
from nadia.quarantine.gate import SilenceGate
from nadia.quarantine.reception import Reception
from nadia.recovery.config import RecoveryConfig
from nadia.recovery.store import RecoveryStore
from nadia.redis.connection import RedisConnection
from nadia.redis.events import LiveEvents
from nadia.redis.source import RedisSource
from nadia.telegram.gateway import IncomingMessage, Peer
from nadia.telegram.ownership import Ownership, Ownerships
from support.servers import short_folder, start_servers

CONCURRENCIES = (1, 8)
CHATS_EACH = 25
MESSAGES = 1_500
ROUNDS = 9
BUDGET = 0.5

_TEXT = "Hello, where is my order? It should have been here on Monday."
_FLOOR_TABLE = """
CREATE TABLE floor_messages (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account text NOT NULL, chat_id bigint NOT NULL, message_id bigint NOT NULL, text text NOT NULL,
    sent_at timestamptz NOT NULL, UNIQUE (account, chat_id, message_id)
)
"""
_FLOOR_INSERT = """
INSERT INTO floor_messages (account, chat_id, message_id, text, sent_at) VALUES (%s, %s, %s, %s, %s)
ON CONFLICT (account, chat_id, message_id) DO NOTHING
"""
_FLOOR_SCRIPT = """
redis.call('HINCRBY', KEYS[2], 'count', 1)
return redis.call('ZADD', KEYS[1], ARGV[1], ARGV[2])
"""

OneMessage = Callable[[int, int], Awaitable[None]]
"""Takes the number of the feeder and the number of its message."""


async def main() -> None:
    """Compare the two at several concurrencies, in turns, so that both meet the same machine."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    async with _servers() as servers:
        for concurrency in CONCURRENCIES:
            async with _floor(servers, concurrency) as bare, _nadia(servers, concurrency) as ours:
                await _rate(bare, concurrency, 200)
                await _rate(ours, concurrency, 200)
                floors, rates = [], []
                for _ in range(ROUNDS):
                    floors.append(await _rate(bare, concurrency, MESSAGES))
                    rates.append(await _rate(ours, concurrency, MESSAGES))
            _report(concurrency, floors, rates)


def _report(concurrency: int, floors: list[float], rates: list[float]) -> None:
    setup = {
        "at_once": concurrency,
        "rounds": ROUNDS,
        "processes": "one Python process; PostgreSQL and Redis beside it on unix sockets, syncing to disk",
    }
    # Each round is compared with the bare one right before it: what else the machine does concerns both.
    ratios = [rate / floor for rate, floor in zip(rates, floors, strict=True)]
    for name, unit, values, budget in (
        ("throughput", "1/s", {"nadia": statistics.median(rates), "floor": statistics.median(floors)}, None),
        (
            "throughput against the floor",
            "ratio",
            {"median": statistics.median(ratios), "lowest": min(ratios), "highest": max(ratios)},
            {"median": BUDGET},
        ),
    ):
        report(
            Figure(
                benchmark="intake",
                name=name,
                unit=unit,
                values=values,
                samples=ROUNDS * MESSAGES,
                setup=setup,
                budget=budget,
            )
        )


_numbers = iter(range(1, 1 << 60))


async def _rate(one_message: OneMessage, concurrency: int, messages: int) -> float:
    """Return messages per second with so many under way at once."""

    async def feed(feeder: int) -> None:
        for _ in range(messages // concurrency):
            await one_message(feeder, next(_numbers))

    began = time.perf_counter()
    await asyncio.gather(*(feed(feeder) for feeder in range(concurrency)))
    return messages // concurrency * concurrency / (time.perf_counter() - began)


@asynccontextmanager
async def _servers() -> AsyncIterator[EmbeddedServers]:
    with short_folder() as base:
        servers = await start_servers(base, durable=True)
        try:
            await schema.upgrade_apart(servers.dsn(Role.OWNER))
            async with await psycopg.AsyncConnection.connect(servers.dsn(Role.OWNER), autocommit=True) as owner:
                await owner.execute(_FLOOR_TABLE)
            yield servers
        finally:
            await servers.stop()


@asynccontextmanager
async def _floor(servers: EmbeddedServers, concurrency: int) -> AsyncIterator[OneMessage]:
    redis = Redis.from_url(servers.redis.url, decode_responses=True, protocol=2)
    pool = AsyncConnectionPool(
        servers.dsn(), min_size=concurrency, max_size=concurrency, open=False, kwargs={"autocommit": True}
    )
    digest = await redis.script_load(_FLOOR_SCRIPT)

    async def one_message(feeder: int, number: int) -> None:
        chat = number % CHATS_EACH
        async with pool.connection() as connection:
            await connection.execute(_FLOOR_INSERT, (f"floor{feeder}", chat, number, _TEXT, datetime.now(UTC)))
        await redis.evalsha(digest, 2, f"floor:{{{feeder}}}:due", f"floor:{{{feeder}}}:{chat}", time.time(), chat)

    await pool.open(wait=True)
    try:
        yield one_message
    finally:
        await pool.close()
        await redis.aclose()


@asynccontextmanager
async def _nadia(servers: EmbeddedServers, concurrency: int) -> AsyncIterator[OneMessage]:
    database = Database(dsn=servers.dsn(), pool_size=max(2, concurrency))
    await database.open()
    redis = RedisConnection(RedisSource(url=servers.redis.url))
    settings = PacingSettings(largest_batch=1_000)
    events = LiveEvents(redis=redis)
    messages = Messages(database=database)
    tracker = UserActivityTracker(
        bursts=Bursts(redis=redis, settings=settings),
        batches=Batches(database=database, replies=Outbox(undo_seconds=5), silences=SilenceGate()),
        wal=WalStream(redis=redis, consumer="benchmark", lease_seconds=30),
        events=events,
        settings=settings,
    )
    memory = ConversationMemory(redis=redis, messages=messages)
    outbox = Outbox(undo_seconds=5)
    intake = Intake(
        messages=messages,
        memory=memory,
        tracker=tracker,
        events=events,
        own_sends=outbox,
        reception=Reception(
            database=database,
            status=ProtocolStatusCache(database=database, events=events, settings=QuarantineSettings()),
        ),
        losses=RecoveryStore(database=database, settings=RecoveryConfig()),
    )
    owned = [await _own(database, f"c{concurrency}-{feeder}") for feeder in range(concurrency)]

    async def one_message(feeder: int, number: int) -> None:
        chat = 1 + number % CHATS_EACH
        message = IncomingMessage(
            chat_id=chat,
            message_id=number,
            peer=Peer(user_id=chat, name="Mina"),
            text=_TEXT,
            sent_at=datetime.now(UTC),
        )
        await intake.receive(message, ownership=owned[feeder], network="sandbox")

    try:
        yield one_message
    finally:
        await redis.close()
        await database.close()


async def _own(database: Database, account: str) -> Ownership:
    ownerships = Ownerships(database=database, holder="benchmark/1/a", lease_seconds=3_600, grace_seconds=0)
    await ownerships.register(account, "sandbox")
    ownership = await ownerships.acquire(account)
    assert ownership is not None
    return ownership
