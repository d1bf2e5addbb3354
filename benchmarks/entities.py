"""How often a peer is found without asking Telegram, on the generated day of `benchmarks.day`.

The process begins cold at midnight with what earlier days left on record, and is restarted at noon. Telegram's short
updates name no access hash: so half of all messages bring none along, newcomers' too. Each reply looks its peer up
twice, to show typing and to send. The store is a real PostgreSQL; Telegram is a dictionary that counts questions.

Budget (DESIGN section 7): at least 95 % of the look-ups are answered without a call, within the memory's bound.
"""

import logging
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import structlog

from benchmarks.day import DayShape, generate_day
from benchmarks.report import Figure, report
from nadia.constants import DAY_IN_SECONDS
from nadia.embedded.endpoints import Role
from nadia.metrics import REGISTRY
from nadia.postgres import schema
from nadia.postgres.database import Database
from nadia.telegram.entities import MEMORY_SIZE, EntityResolver, ResolvedPeer
from nadia.telegram.entity_store import EntityStore
from nadia.telegram.ownership import register
from support.servers import short_folder, start_servers
from support.sleeping import SleepingClock

NAMED: Final = 0.5
"""Share of messages that bring the sender's access hash along."""

SEEDS: Final = (1, 2, 3)


class Telegram:
    """Knows everybody; counts how often it is asked."""

    def __init__(self) -> None:
        self.questions = 0

    async def fetch(self, user_id: int) -> int | None:
        self.questions += 1
        return _peer(user_id).access_hash

    async def peers(self) -> AsyncIterator[ResolvedPeer]:
        self.questions += 1
        return
        yield


async def main() -> None:
    """Live through the days, with the record of earlier ones and as after a first log-in."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    async with _database() as database:
        for is_warm in (True, False):
            for seed in SEEDS:
                await _live_through(database, seed=seed, is_warm=is_warm)


async def _live_through(database: Database, *, seed: int, is_warm: bool) -> None:
    shape, clock, telegram, dice = DayShape(), SleepingClock(0), Telegram(), random.Random(seed)
    day = generate_day(shape, seed=seed)
    account = f"{'warm' if is_warm else 'cold'}-{seed}"
    async with database.connection() as conn:
        await register(conn, account_id=account, network="telegram")
    store = EntityStore(database=database)
    if is_warm:
        known = set(range(1, shape.customers + 1)) - day.newcomers
        await store.put(account, {customer: _peer(customer).access_hash for customer in known})

    def started() -> EntityResolver:
        resolver = EntityResolver(account_id=account, store=store, monotonic=clock, sleep=clock.sleep)
        resolver.attach(telegram)
        return resolver

    mornings, afternoons = (
        [event for event in day.events if (event.at < DAY_IN_SECONDS / 2) is is_morning] for is_morning in (True, False)
    )
    before = _answers()
    look_ups = most_held = 0
    for events in (mornings, afternoons):
        resolver = started()
        for event in events:
            clock.now = event.at
            if event.kind == "reply":
                look_ups += 2
                await resolver._resolve_entity_for_typing(event.customer)
                await resolver.ensure_entity_resolved(event.customer)
            elif dice.random() < NAMED:
                await resolver.remember([_peer(event.customer)])
            most_held = max(most_held, _held(account))
    answers = {result: count - before[result] for result, count in _answers().items()}
    report(
        Figure(
            benchmark="entities",
            name=f"look-ups answered without a call, record {'warm' if is_warm else 'empty at midnight'}, seed {seed}",
            unit="ratio",
            values={
                "share": 1 - telegram.questions / look_ups,
                "from_memory": answers["memory"] / look_ups,
                "from_postgresql": answers["store"] / look_ups,
                "most_held": most_held,
            },
            samples=look_ups,
            setup={"questions": telegram.questions, "messages_that_name_the_sender": NAMED, "day": shape.described()},
            budget={"share": 0.95, "most_held": MEMORY_SIZE} if is_warm else None,
        )
    )


def _peer(customer: int) -> ResolvedPeer:
    return ResolvedPeer(customer, customer * 7_919)


def _answers() -> dict[str, float]:
    name = "nadia_telegram_entity_lookups_total"
    return {result: REGISTRY.get_sample_value(name, {"result": result}) or 0.0 for result in ("memory", "store")}


def _held(account: str) -> int:
    return int(REGISTRY.get_sample_value("nadia_telegram_entities_in_memory", {"account": account}) or 0)


@asynccontextmanager
async def _database() -> AsyncIterator[Database]:
    with short_folder() as base:
        servers = await start_servers(base)
        try:
            await schema.upgrade_apart(servers.dsn(Role.OWNER))
            database = Database(dsn=servers.dsn())
            await database.open()
            try:
                yield database
            finally:
                await database.close()
        finally:
            await servers.stop()
