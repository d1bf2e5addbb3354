"""Redis emptied, Redis away, PostgreSQL away, a worker frozen past its lease: what goes on goes on, nothing is lost."""

import asyncio
from collections import Counter

import httpx2
import pytest

from support.conversing import converse
from support.servers import redis_client, short_folder
from support.system import System, running_system

pytestmark = pytest.mark.e2e

_STAGES = """
SELECT DISTINCT coalesce(b.state, 'buffering') AS stage
FROM messages m LEFT JOIN batches b ON b.id = m.batch_id WHERE m.direction = 'in'
"""


async def test_an_emptied_redis_is_rebuilt_with_messages_in_every_stage() -> None:
    with short_folder() as base:
        async with running_system(base) as system:
            seen: Counter[str] = Counter()

            async def empty() -> None:
                async with redis_client(system.servers.redis) as redis, system.database() as database:
                    for _ in range(6):
                        await asyncio.sleep(2)
                        async with database.connection() as conn:
                            seen.update(row["stage"] for row in await (await conn.execute(_STAGES)).fetchall())
                        await redis.flushall()
                        await redis.script_flush()

            result = await converse(system, meanwhile=empty, spread_seconds=10)
            assert "redis.rebuilt" in system.log("worker")
            assert {"buffering", "in_review", "sending", "sent"} <= seen.keys(), "there were messages in every stage"

    assert result.problems == []


@pytest.mark.parametrize(
    "seconds", [pytest.param(20.0, id="20s"), pytest.param(600.0, id="10min", marks=pytest.mark.long)]
)
async def test_without_redis_everything_goes_on_and_catches_up(seconds: float) -> None:
    with short_folder() as base:
        async with running_system(base) as system:
            during = 0

            async def cut() -> None:
                nonlocal during
                await asyncio.sleep(3)
                await system.redis_link.cut()
                await asyncio.sleep(seconds / 4)
                before = await _answered(system)
                await asyncio.sleep(seconds * 3 / 4)
                during = await _answered(system) - before
                await system.redis_link.mend()

            result = await converse(system, meanwhile=cut, spread_seconds=seconds * 1.2)

    assert result.problems == []
    assert during > 5, "replies went out while Redis was away"


@pytest.mark.parametrize(
    "seconds", [pytest.param(10.0, id="10s"), pytest.param(60.0, id="1min", marks=pytest.mark.long)]
)
async def test_without_postgresql_reading_stops_pages_say_so_and_it_catches_up(seconds: float) -> None:
    with short_folder() as base:
        async with running_system(base) as system:
            said: list[tuple[int, str]] = []

            async def cut() -> None:
                await asyncio.sleep(3)
                await system.postgres_link.cut()
                await asyncio.sleep(seconds / 2)
                headers = {"Authorization": f"Bearer {system.token}", "Accept": "text/html"}
                async with httpx2.AsyncClient(
                    base_url=system.web_url(), headers=headers, timeout=15, trust_env=False
                ) as client:
                    for path in ("/readyz", "/desk"):
                        answer = await client.get(path)
                        said.append((answer.status_code, answer.text))
                await asyncio.sleep(seconds / 2)
                await system.postgres_link.mend()

            result = await converse(system, meanwhile=cut, spread_seconds=seconds)

    assert [status for status, _ in said] == [httpx2.codes.SERVICE_UNAVAILABLE] * 2
    assert "PostgreSQL cannot be reached" in said[1][1], "the page says what is wrong"
    assert result.problems == []


async def test_a_worker_and_a_bot_frozen_past_their_lease_double_nothing_when_they_go_on() -> None:
    with short_folder() as base:
        roles = (("api", 0), ("worker", 0), ("worker", 1), ("bot", 0), ("bot", 1))
        async with running_system(base, roles=roles) as system:

            async def freeze() -> None:
                for role in ("worker", "bot"):
                    for number in (0, 1):
                        await asyncio.sleep(1)
                        frozen = system.processes[role, number]
                        frozen.freeze()
                        await asyncio.sleep(6)  # the leases last 3 s, and a successor waits 1 s more
                        frozen.thaw()

            result = await converse(system, meanwhile=freeze, spread_seconds=25)

    assert result.problems == []


async def _answered(system: System) -> int:
    """Count what customers were sent, past the link that may be cut."""
    async with httpx2.AsyncClient(base_url=system.web_url(), trust_env=False) as client:
        answer = await client.get("/api/v1/desk/queue", headers={"Authorization": f"Bearer {system.token}"})
        assert answer.status_code == httpx2.codes.OK, "the desk reads without Redis"
    async with system.database() as database, database.connection() as conn:
        row = await (await conn.execute("SELECT count(*) AS sent FROM outbox WHERE state = 'sent'")).fetchone()
    assert row is not None
    return int(row["sent"])
