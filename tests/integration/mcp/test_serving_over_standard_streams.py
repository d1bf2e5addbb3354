"""`nadia mcp serve` as a client starts it: a child process, its standard streams, and nothing else on them."""

import asyncio
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
from mcp import Client

from support.assistants import child_of, read_json, words
from support.command_line import run_nadia
from support.core import Core

INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}},
}


async def started(environ: dict[str, str], folder: Path, *options: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "nadia",
        "mcp",
        "serve",
        *options,
        cwd=folder,
        env={"PATH": os.environ["PATH"], "HOME": str(folder), **environ},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def ask(child: asyncio.subprocess.Process, message: object) -> dict[str, Any]:
    assert child.stdin is not None
    assert child.stdout is not None
    child.stdin.write(json.dumps(message).encode() + b"\n")
    await child.stdin.drain()
    answer: dict[str, Any] = json.loads(await asyncio.wait_for(child.stdout.readline(), 30))
    return answer


async def test_the_sdks_client_starts_it_asks_and_leaves(environ: dict[str, str], core: Core, tmp_path: Path) -> None:
    batch = await core.sealed(1001, "Where is my parcel?")
    async with Client(child_of(environ, tmp_path), cache=None) as client:
        tools = {tool.name for tool in (await client.list_tools()).tools}
        assert "db_stats" in tools
        assert "silence_alert" not in tools, "it reads only unless told otherwise"
        result = await client.call_tool("db_stats")
        assert not result.is_error, words(result)
        told = await read_json(client, f"nadia://conversations/{batch.conversation_id}")
        assert told["messages"][0]["text"] == "«Where is my parcel?»"


async def test_with_leave_it_acts_as_the_operator_of_the_machine(
    environ: dict[str, str], core: Core, tmp_path: Path
) -> None:
    async with Client(child_of(environ, tmp_path, "--allow-actions"), cache=None) as client:
        result = await client.call_tool("silence_alert", {"topic": "x", "hours": 1, "reason": "known"})
        assert not result.is_error, words(result)
    actors = {row["actor"] for row in await core.execute("SELECT actor FROM audit_log WHERE action LIKE '%%silenced'")}
    assert len(actors) == 1
    assert actors.pop().startswith("cli:")


async def test_the_end_of_the_input_ends_it_and_only_the_protocol_is_on_the_output(
    environ: dict[str, str], core: Core, tmp_path: Path
) -> None:
    child = await started(environ | {"NADIA_LOGS_LEVEL": "debug"}, tmp_path)
    assert (await ask(child, INITIALIZE))["result"]["serverInfo"]["name"] == "nadia"
    assert child.stdin is not None
    child.stdin.close()
    out, err = await asyncio.wait_for(child.communicate(), 30)
    assert (child.returncode, out) == (0, b"")
    assert b"mcp.serving" in err


@pytest.mark.parametrize("received", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_ends_it_though_the_input_stays_open(
    environ: dict[str, str], core: Core, tmp_path: Path, received: signal.Signals
) -> None:
    child = await started(environ, tmp_path)
    await ask(child, INITIALIZE)
    child.send_signal(received)
    await asyncio.wait_for(child.wait(), 15)
    assert child.returncode in (0, 130, -received)


async def test_garbage_on_the_input_ends_nothing(environ: dict[str, str], core: Core, tmp_path: Path) -> None:
    child = await started(environ, tmp_path)
    assert child.stdin is not None
    child.stdin.write(b"{\n[[[[[[\n\xff\xfe\0\n" + b"x" * 100_000 + b"\n")
    await child.stdin.drain()
    answer = await ask(child, INITIALIZE)
    while answer.get("id") != 1:  # answers to the garbage, if any, come first
        assert child.stdout is not None
        answer = json.loads(await asyncio.wait_for(child.stdout.readline(), 30))
    assert answer["result"]["serverInfo"]["name"] == "nadia"
    child.stdin.close()
    await asyncio.wait_for(child.communicate(), 30)


def test_the_tools_are_printed_for_people_and_programs(tmp_path: Path) -> None:
    printed = run_nadia("mcp", "tools", cwd=tmp_path)
    assert printed.code == 0, printed.err
    assert "db_stats" in printed.out
    assert "silence_alert" not in printed.out
    listed = json.loads(run_nadia("mcp", "tools", "--json", "--allow-actions", cwd=tmp_path).out)
    acting = {tool["name"]: tool["role"] for tool in listed if not tool["reads_only"]}
    assert acting == {
        "acknowledge_alert": "reviewer",
        "silence_alert": "admin",
        "unsilence_alert": "admin",
        "run_check": "reviewer",
        "start_recovery": "admin",
    }
