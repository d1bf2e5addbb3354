"""How much of the server one caller may have."""

import asyncio
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


async def nothing() -> None:
    pass


async def test_a_caller_has_some_places_and_others_have_theirs() -> None:
    share, leave = FairShare(at_once=2), asyncio.Event()
    held = [asyncio.create_task(share.run(ONE, leave.wait, seconds=60)) for _ in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(TimeoutError):
        await share.run(ONE, nothing, seconds=0.05)
    await share.run(OTHER, nothing, seconds=5)
    leave.set()
    await asyncio.gather(*held)
    await share.run(ONE, nothing, seconds=5)


async def test_who_has_very_many_calls_under_way_is_refused_more() -> None:
    share, leave = FairShare(at_once=1, in_line=2), asyncio.Event()
    under_way = [asyncio.create_task(share.run(ONE, leave.wait, seconds=60)) for _ in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(RefusedError, match="2 calls"):
        await share.run(ONE, nothing, seconds=5)
    leave.set()
    await asyncio.gather(*under_way)
    await share.run(ONE, nothing, seconds=5)


async def test_whoever_is_cancelled_again_and_again_still_tidies_up_and_holds_the_place_until_then() -> None:
    share, tidied = FairShare(at_once=1), asyncio.Event()

    async def work() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0.05)
            tidied.set()

    asking = asyncio.create_task(share.run(ONE, work, seconds=60))
    await asyncio.sleep(0.01)
    while not asking.done():
        asking.cancel()
        await asyncio.sleep(0)
    assert not tidied.is_set()
    await share.run(ONE, nothing, seconds=5)
    assert tidied.is_set()


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
