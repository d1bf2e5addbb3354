"""How often the status of a customer is known without a query, on the generated day of `benchmarks.day`.

Each message asks once, as intake does. A hundred customers are silenced as the day begins; through the day another
twenty are, and twenty silences are lifted, by another process. The process begins cold and is restarted at noon. The
database and Redis are real; the day's clock is the cache's, and a change is heard of before the next message.

Budget (DESIGN section 7): at least 95 % of the look-ups are answered without a query, within the memory's bound.
"""

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Final

import structlog

from benchmarks.day import DayEvent, DayShape, generate_day
from benchmarks.report import Figure, report
from nadia.constants import DAY_IN_SECONDS
from nadia.embedded.endpoints import Role
from nadia.metrics import REGISTRY
from nadia.postgres import schema
from nadia.quarantine.cache import ProtocolStatusCache
from nadia.quarantine.config import QuarantineSettings
from nadia.redis.source import RedisSource
from support.core import Core, open_core
from support.servers import short_folder, start_servers
from support.sleeping import SleepingClock

SILENCED: Final = 100
CHANGES: Final = 40

_CUSTOMERS = """
WITH person AS (
    INSERT INTO people (network, telegram_user_id, name)
    SELECT 'sandbox', number, 'Customer' FROM generate_series(1, %s) number RETURNING id, telegram_user_id
)
INSERT INTO conversations (telegram_account_id, chat_id, person_id, partition)
SELECT 'desk', telegram_user_id, id, 0 FROM person RETURNING id, person_id, chat_id
"""


async def main() -> None:
    """Live through a day."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    async with _core() as core:
        await _live_through(core, seed=1)


async def _live_through(core: Core, *, seed: int) -> None:
    shape, dice, settings = DayShape(), random.Random(seed), QuarantineSettings()
    rows = await core.execute(_CUSTOMERS, shape.customers)
    conversations = {row["chat_id"]: row["id"] for row in rows}
    people = {row["chat_id"]: row["person_id"] for row in rows}
    silenced = dice.sample(sorted(people), SILENCED)
    for customer in silenced:
        await core.quarantine.activate(people[customer], reason="benchmark", actor="system")
    messages = [event for event in generate_day(shape, seed=seed).events if event.kind == "message"]
    changing = set(dice.sample(range(len(messages)), CHANGES))
    clock, most_held, wrong = SleepingClock(0), 0, 0
    before = _answers()
    for half in _halves(messages):
        cache = ProtocolStatusCache(database=core.database, events=core.events, settings=settings, monotonic=clock)
        following = asyncio.create_task(cache.run())
        await cache.wait_until_it_hears()
        for number, event in half:
            clock.now = event.at
            if number in changing:
                heard = cache._changes
                await _change(core, people, silenced, dice)
                while cache._changes == heard:
                    await asyncio.sleep(0.001)
            found = await cache.is_silenced(conversations[event.customer])
            wrong += found is not (event.customer in silenced)
            most_held = max(most_held, int(REGISTRY.get_sample_value("nadia_quarantine_status_cached") or 0))
        following.cancel()
        with suppress(asyncio.CancelledError):
            await following
    asked = _answers() - before
    report(
        Figure(
            benchmark="protocol_status",
            name=f"look-ups answered without a query, seed {seed}",
            unit="ratio",
            values={"share": 1 - asked / len(messages), "most_held": most_held, "wrong": wrong},
            samples=len(messages),
            setup={"queries": asked, "silenced": SILENCED, "changes": CHANGES, "day": shape.described()},
            budget={"share": 0.95, "most_held": settings.status_cache_size},
        )
    )


async def _change(core: Core, people: dict[int, int], silenced: list[int], dice: random.Random) -> None:
    """Silence another customer, or lift a silence, in turn."""
    if len(silenced) > SILENCED:
        customer = silenced.pop(dice.randrange(len(silenced)))
        await core.quarantine.deactivate(people[customer], reason="benchmark", actor="system")
    else:
        silenced.append(dice.choice(sorted(set(people) - set(silenced))))
        await core.quarantine.activate(people[silenced[-1]], reason="benchmark", actor="system")


def _halves(messages: Sequence[DayEvent]) -> list[list[tuple[int, DayEvent]]]:
    numbered = list(enumerate(messages))
    return [
        [(number, event) for number, event in numbered if (event.at < DAY_IN_SECONDS / 2) is is_morning]
        for is_morning in (True, False)
    ]


def _answers() -> int:
    value = REGISTRY.get_sample_value("nadia_quarantine_status_lookups_total", {"answered_by": "database"})
    return int(value or 0)


@asynccontextmanager
async def _core() -> AsyncIterator[Core]:
    with short_folder() as base:
        servers = await start_servers(base)
        try:
            await schema.upgrade_apart(servers.dsn(Role.OWNER))
            async with open_core(servers.dsn(Role.APP), RedisSource(url=servers.redis.url)) as core:
                await core.own()
                yield core
        finally:
            await servers.stop()
