"""How much of the server one caller may have."""

import asyncio
from contextlib import AsyncExitStack
from typing import Any

import pytest
from mcp import Client
from pydantic import BaseModel

from nadia.accounts.models import Role
from nadia.errors import RefusedError
from nadia.mcp_server import server
from nadia.mcp_server.answers import Answer
from nadia.mcp_server.caller import Caller
from nadia.mcp_server.fair_share import MOST_AT_ONCE, FairShare
from nadia.mcp_server.serving import Assistance
from nadia.mcp_server.tools import OperatorTool
from nadia.settings import Config
from nadia.workflows.workflow import Arguments
from support.assistants import words

ONE = Caller(actor="account:1", role=Role.VIEWER, token="one")
OTHER = Caller(actor="account:1", role=Role.VIEWER, token="other")


async def test_a_caller_has_some_places_and_others_have_theirs() -> None:
    share = FairShare(at_once=2)
    async with AsyncExitStack() as held:
        await held.enter_async_context(share.of(ONE))
        await held.enter_async_context(share.of(ONE))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05), share.of(ONE):
                pass
        async with asyncio.timeout(5), share.of(OTHER):
            pass
    async with asyncio.timeout(5), share.of(ONE):
        pass


async def test_who_has_very_many_calls_under_way_is_refused_more() -> None:
    share = FairShare(at_once=1, in_line=2)

    async def wait() -> None:
        async with share.of(ONE):
            pass

    async with share.of(ONE):
        waiting = asyncio.create_task(wait())
        await asyncio.sleep(0)
        with pytest.raises(RefusedError, match="2 calls"):
            await wait()
    await waiting
    await wait()


async def test_waiting_for_a_place_counts_as_time(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "TOOL_SECONDS", 0.2)
    begun = 0

    async def hang(_: BaseModel, __: Caller) -> Answer:
        nonlocal begun
        begun += 1
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            await asyncio.sleep(0.5)  # as a driver that gives up slowly
            raise
        raise AssertionError

    assistance = Assistance(Config.from_env({"NADIA_HOME": str(tmp_path)}, dotenv=None), allow_actions=False)
    assistance.tools = [
        OperatorTool(
            name="hang",
            description="Hangs.",
            arguments=Arguments,
            answers=Arguments,
            role=Role.VIEWER,
            reads_only=True,
            run=hang,
        )
    ]
    async with Client(assistance.server(lambda _: ONE), cache=None) as client, asyncio.timeout(10):
        results = await asyncio.gather(*(client.call_tool("hang") for _ in range(MOST_AT_ONCE + 3)))
    assert all("took longer" in words(result) for result in results)
    assert begun == MOST_AT_ONCE, "those that waited were stopped while they did"
