"""A check stays as cheap however much is on record: what has ended is not read."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import DictRow

from nadia.app.endpoints import Endpoints
from nadia.app.health import health_checker
from nadia.postgres.database import Connection, Database
from nadia.settings import Config
from support.health_world import HealthWorld
from support.servers import ClonedDatabase

CONVERSATIONS, BATCHES_EACH = 1_000, 20

_FILL = f"""
WITH person AS (
    INSERT INTO people (network, telegram_user_id, name)
    SELECT 'sandbox', 10000 + n, 'customer' FROM generate_series(1, {CONVERSATIONS}) n RETURNING id, telegram_user_id
), conversation AS (
    INSERT INTO conversations (telegram_account_id, chat_id, person_id, partition)
    SELECT 'desk', telegram_user_id, id, id % 64 FROM person RETURNING id, chat_id
), batch AS (
    INSERT INTO batches (conversation_id, state, conversation_revision)
    SELECT id, 'sent', n FROM conversation, generate_series(1, {BATCHES_EACH}) n RETURNING id, conversation_id
), message AS (
    INSERT INTO messages (conversation_id, telegram_account_id, chat_id, telegram_message_id, direction, author, kind,
                          text, sent_at, batch_id)
    SELECT batch.conversation_id, 'desk', conversation.chat_id, batch.id + 1000, 'in', 'customer', 'text', 'Hello',
           now(), batch.id
    FROM batch JOIN conversation ON conversation.id = batch.conversation_id
), who AS (
    INSERT INTO accounts (name, role) VALUES ('Jonas', 'reviewer') RETURNING id
), decided AS (
    INSERT INTO review_decisions (batch_id, account_id, decision, bubbles, conversation_revision)
    SELECT batch.id, who.id, 'approve', '{{Yes}}', 1 FROM batch, who RETURNING id, batch_id
)
INSERT INTO outbox (decision_id, batch_id, conversation_id, telegram_account_id, position, text, random_id,
                    conversation_revision, send_after, state, telegram_message_id, sent_at)
SELECT decided.id, decided.batch_id, batch.conversation_id, 'desk', 0, 'Yes', decided.id, 1, now(), 'sent', decided.id,
       now()
FROM decided JOIN batch ON batch.id = decided.batch_id
"""


class Listener:
    """Connections of a world on which every statement is noted."""

    def __init__(self, world: HealthWorld) -> None:
        self._connect = world.connect
        asked: list[tuple[Any, Any]] = []

        class Listening(psycopg.AsyncCursor[DictRow]):
            async def execute(self, query: Any, params: Any = None, **more: Any) -> "Listening":
                asked.append((query, params))
                await super().execute(query, params, **more)
                return self

        self.asked = asked
        self._cursor = Listening

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[Connection]:
        """A connection that refuses to write."""
        async with self._connect() as conn:
            await conn.execute("SET default_transaction_read_only = on")
            before, conn.cursor_factory = conn.cursor_factory, self._cursor
            try:
                yield conn
            finally:
                conn.cursor_factory = before
                await conn.execute("SET default_transaction_read_only = off")


async def test_a_whole_check_is_twelve_statements_that_change_nothing(world: HealthWorld) -> None:
    listener = Listener(world)

    assert await replace(world, connect=listener.connect).turned() == {}
    assert len(listener.asked) <= 12


async def test_a_check_of_a_process_that_goes_on_takes_three_connections_at_a_time(
    world: HealthWorld, tmp_path: Path
) -> None:
    asked, most = 0, 0

    @asynccontextmanager
    async def connect() -> AsyncIterator[Connection]:
        nonlocal asked, most
        asked += 1
        most = max(most, asked)
        try:
            async with world.connect() as conn:
                yield conn
        finally:
            asked -= 1

    config = Config.from_env({"NADIA_HOME": str(tmp_path / "home")}, dotenv=None)
    checker = health_checker(config, Endpoints.of(config), connect=connect, redis=world.redis, told=lambda _: None)
    report = await checker.report()

    assert most == 3
    assert "postgres-connection" not in {probe.id for probe in report.probes if probe.status != "healthy"}


async def test_a_whole_check_is_few_round_trips_to_redis(world: HealthWorld) -> None:
    trips = 0
    send = world.redis.send

    async def counting(commands: Any) -> list[object]:
        nonlocal trips
        trips += 1
        return await send(commands)

    world.redis.send = counting  # type: ignore[method-assign]  # only counts

    assert await world.turned() == {}
    assert trips <= 10


async def test_what_has_ended_is_not_read(world: HealthWorld, database: ClonedDatabase) -> None:
    owner = Database(dsn=database.owner_dsn, pool_size=2, statement_timeout_seconds=120)
    await owner.open()
    async with owner.connection() as conn:
        await conn.execute(_FILL)
        await conn.execute("ANALYZE")
    await owner.close()
    listener = Listener(world)
    assert await replace(world, connect=listener.connect).turned() == {}

    async with world.connect() as conn:
        for query, params in listener.asked:
            plan = [row["QUERY PLAN"] for row in await (await conn.execute("EXPLAIN " + query, params)).fetchall()]
            for table in ("batches", "outbox", "review_decisions", "messages"):
                assert not any(f"Seq Scan on {table}" in line for line in plan), "\n".join(plan)
