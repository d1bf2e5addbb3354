"""PostgreSQL or Redis away: the tools say so and what to do, and the server stays until they are back."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from urllib.parse import quote

import httpx
import pytest
from mcp.shared.exceptions import MCPError

from nadia.accounts.models import Role
from nadia.embedded.endpoints import PORT
from nadia.embedded.servers import EmbeddedServers
from nadia.errors import UnavailableError
from nadia.health.models import HealthReport, HealthStatus
from nadia.mcp_server import http_gate
from nadia.mcp_server.database import LazyDatabase
from nadia.mcp_server.serving import serving_http
from nadia.workflows.report import WorkflowReport
from support.assistants import TokenOf, config_of, in_memory, over_http, read_json, words
from support.breakable_link import BreakableLink
from support.core import Core, until
from support.servers import short_folder


@dataclass(frozen=True)
class Wires:
    """Between the assistant's server and PostgreSQL and Redis; the tests' own connections go past them."""

    postgres: BreakableLink
    redis: BreakableLink
    environ: dict[str, str]


@pytest.fixture
async def wires(servers: EmbeddedServers, environ: dict[str, str]) -> AsyncIterator[Wires]:
    place, socket = servers.place.socket_folder, f".s.PGSQL.{PORT}"
    with short_folder() as folder:
        postgres = BreakableLink(listens=folder / "pg" / socket, leads_to=place / socket)
        redis = BreakableLink(listens=folder / "re" / "redis.sock", leads_to=servers.redis.socket_path)
        through = environ | {
            "DATABASE_URL": environ["DATABASE_URL"].replace(quote(str(place), safe=""), quote(f"{folder}/pg", safe="")),
            "REDIS_URL": environ["REDIS_URL"].replace(
                quote(str(servers.redis.socket_path)), quote(f"{folder}/re/redis.sock")
            ),
        }
        assert through["DATABASE_URL"] != environ["DATABASE_URL"]
        assert through["REDIS_URL"] != environ["REDIS_URL"]
        await postgres.mend()
        await redis.mend()
        try:
            yield Wires(postgres, redis, through)
        finally:
            await postgres.cut()
            await redis.cut()


async def test_it_starts_without_postgres_and_finds_it_later(wires: Wires, core: Core) -> None:
    batch = await core.sealed(1001, "Hello")
    await wires.postgres.cut()
    async with in_memory(config_of(wires.environ), Role.ADMIN, actor="cli:test", allow_actions=True) as client:
        for tool, arguments in (
            ("db_stats", {}),
            ("debug_user", {"who": "1001"}),
            ("acknowledge_alert", {"fingerprint": "x"}),
            ("silence_alert", {"topic": "x", "hours": 1, "reason": "y"}),
        ):
            result = await client.call_tool(tool, arguments)
            assert "PostgreSQL" in words(result), tool
            assert result.is_error == (result.structured_content is None)
        for uri in ("nadia://alerts", f"nadia://conversations/{batch.conversation_id}"):
            with pytest.raises(MCPError, match="PostgreSQL cannot be reached"):
                await client.read_resource(uri)
        health = HealthReport.model_validate(await read_json(client, "nadia://health"))
        assert health.of("postgres-connection").status is HealthStatus.CRITICAL
        assert health.of("redis-connection").status is HealthStatus.HEALTHY

        await wires.postgres.mend()
        assert not (await client.call_tool("db_stats")).is_error
        assert (await read_json(client, "nadia://alerts"))["firing"] == []

        await wires.postgres.cut()
        with pytest.raises(MCPError, match="hint:"):
            await client.read_resource("nadia://alerts")
        await wires.postgres.mend()
        assert (await read_json(client, "nadia://alerts"))["firing"] == []


async def test_without_redis_the_answer_is_what_can_be_known(wires: Wires, core: Core) -> None:
    await wires.redis.cut()
    async with in_memory(config_of(wires.environ), Role.ADMIN, actor="cli:test", allow_actions=False) as client:
        about_redis = await client.call_tool("redis_health")
        assert "Redis" in words(about_redis)
        if not about_redis.is_error:
            assert WorkflowReport.model_validate(about_redis.structured_content).unreachable
        assert not (await client.call_tool("db_stats")).is_error
        assert (await read_json(client, "nadia://alerts"))["firing"] == []

        await wires.redis.mend()
        assert not (await client.call_tool("redis_health")).is_error


async def test_over_http_nobody_can_be_let_in_without_postgres(wires: Wires, token_of: TokenOf, core: Core) -> None:
    token = await token_of(Role.VIEWER)
    async with serving_http(config_of(wires.environ), allow_actions=False) as url, httpx.AsyncClient() as http:
        headers = {"Authorization": f"Bearer {token}", "Accept": "application/json"}
        await wires.postgres.cut()
        for _ in range(3):
            answer = await http.post(url, json={}, headers=headers)
            assert answer.status_code == 503
            assert "PostgreSQL" in answer.json()["error"]
        await wires.postgres.mend()
        async with over_http(url, token) as client:
            assert not (await client.call_tool("db_stats")).is_error


@pytest.mark.parametrize("connected", [True, False])
async def test_a_postgres_that_hangs_is_away(
    wires: Wires, token_of: TokenOf, core: Core, monkeypatch: pytest.MonkeyPatch, connected: bool
) -> None:
    monkeypatch.setattr(http_gate, "LOOK_UP_SECONDS", 0.3)
    headers = {"Authorization": f"Bearer {await token_of(Role.VIEWER)}", "Accept": "application/json"}
    async with (
        serving_http(config_of(wires.environ), allow_actions=False) as url,
        httpx.AsyncClient(headers=headers, timeout=5) as http,
    ):

        async def status() -> int:
            return (await http.post(url, json={})).status_code

        if connected:
            assert await status() == 400, "let in, and no request"
        wires.postgres.stall()
        assert set(await asyncio.gather(*(status() for _ in range(12)))) == {503}
        await wires.postgres.mend()

        async def is_back() -> bool:
            return await status() == 400

        await until(is_back, what="being let in")


async def test_all_share_one_attempt_to_connect(wires: Wires, core: Core) -> None:
    database = LazyDatabase(config_of(wires.environ))
    wires.postgres.stall()
    begun = time.monotonic()
    waiting = [asyncio.create_task(database.get()) for _ in range(6)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    failures = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(each) for each in failures] == [asyncio.CancelledError, *[UnavailableError] * 5]
    assert time.monotonic() - begun < 6, "one after another it took 3 s each"
    await wires.postgres.mend()
    assert await database.get() is await database.get()
    await database.close()
