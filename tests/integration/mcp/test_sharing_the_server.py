"""Assistants share the server: long calls, and calls whose clients have left, keep nobody else from theirs."""

import asyncio

import httpx
import pytest

from nadia.accounts.models import Role
from support.assistants import TokenOf, over_http, read_json, words
from support.core import Core, until

LONG = {"sample_seconds": 60}
JSON = {"Accept": "application/json, text/event-stream", "Content-Type": "application/json"}
LIST = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}


async def call_for_a_minute(url: str, token: str, mode: str) -> None:
    async with over_http(url, token, mode=mode) as client:
        await client.call_tool("slow_api", LONG)


async def at_work(core: Core, workflows: int) -> None:
    """Wait until that many workflows are connected to PostgreSQL."""

    async def are_at_work() -> bool:
        found = await core.value(
            "SELECT count(*)::int FROM pg_stat_activity "
            "WHERE application_name = 'nadia-workflow' AND datname = current_database()"
        )
        return bool(found >= workflows if workflows else found == 0)

    await until(are_at_work, what=f"{workflows} workflows at work")


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_a_call_ends_when_its_client_leaves(http_url: str, token_of: TokenOf, core: Core, mode: str) -> None:
    token = await token_of(Role.VIEWER)
    calls = [asyncio.create_task(call_for_a_minute(http_url, token, mode)) for _ in range(4)]
    await at_work(core, 2)
    for call in calls:
        call.cancel()
    await asyncio.gather(*calls, return_exceptions=True)
    await at_work(core, 0)
    async with asyncio.timeout(10), over_http(http_url, token, mode=mode) as client:
        assert not (await client.call_tool("redis_health")).is_error


async def test_one_callers_long_calls_keep_nobody_waiting(http_url: str, token_of: TokenOf, core: Core) -> None:
    viewer, admin = await token_of(Role.VIEWER), await token_of(Role.ADMIN)
    calls = [asyncio.create_task(call_for_a_minute(http_url, viewer, "auto")) for _ in range(6)]
    try:
        await at_work(core, 2)
        async with asyncio.timeout(10):
            async with over_http(http_url, admin) as client:
                assert (await read_json(client, "nadia://alerts"))["firing"] == []
                result = await client.call_tool("redis_health")
                assert not result.is_error, words(result)
            async with over_http(http_url, viewer) as client:
                assert (await read_json(client, "nadia://alerts"))["firing"] == []
    finally:
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)


async def test_many_valid_requests_at_once_are_no_guesses(http_url: str, token_of: TokenOf, core: Core) -> None:
    headers = JSON | {"Authorization": f"Bearer {await token_of(Role.VIEWER)}"}
    async with httpx.AsyncClient(headers=headers, timeout=30) as http:
        answers = await asyncio.gather(*(http.post(http_url, json=LIST) for _ in range(60)))
    assert [answer.status_code for answer in answers] == [200] * 60
