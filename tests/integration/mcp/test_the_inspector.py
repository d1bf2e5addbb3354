"""The protocol's own inspector lists and calls the tools, over both transports."""

import json
import sys
from pathlib import Path

import pytest

from nadia.accounts.models import Role
from support.assistants import TokenOf
from support.core import Core
from support.inspector import Inspector, require_inspector

pytestmark = pytest.mark.inspector


@pytest.fixture(autouse=True)
def installed() -> None:
    require_inspector()


@pytest.fixture
def over_streams(environ: dict[str, str], tmp_path: Path) -> Inspector:
    settings = [option for name, value in environ.items() for option in ("-e", f"{name}={value}")]
    return Inspector(tmp_path, sys.executable, "-m", "nadia", "mcp", "serve", options=tuple(settings))


async def test_over_standard_streams_it_lists_calls_and_reads(over_streams: Inspector, core: Core) -> None:
    listed = await over_streams.json("tools/list", "--strict")
    assert {tool["name"] for tool in listed["tools"]} >= {"health_check", "db_stats", "debug_user"}

    answer = await over_streams.json("tools/call", "--tool-name", "db_stats")
    assert not answer.get("isError")
    assert answer["structuredContent"]["workflow"] == "db-stats"

    resources = await over_streams.json("resources/list")
    assert {resource["uri"] for resource in resources["resources"]} >= {"nadia://alerts"}
    read = await over_streams.json("resources/read", "--uri", "nadia://alerts")
    assert json.loads(read["contents"][0]["text"])["firing"] == []


async def test_over_http_it_needs_a_token(http_url: str, token_of: TokenOf, core: Core, tmp_path: Path) -> None:
    code, out, _ = await Inspector(tmp_path, http_url, options=("--transport", "http"))("tools/list")
    assert code != 0
    assert "db_stats" not in out

    header = ("--transport", "http", "--header", f"Authorization: Bearer {await token_of(Role.ADMIN)}")
    inspector = Inspector(tmp_path, http_url, options=header)
    listed = await inspector.json("tools/list", "--strict")
    assert {tool["name"] for tool in listed["tools"]} >= {"db_stats", "silence_alert"}
    answer = await inspector.json(
        "tools/call",
        *("--tool-name", "silence_alert", "--tool-arg", "topic=x", "--tool-arg", "hours=1"),
        *("--tool-arg", "reason=known"),
    )
    assert not answer.get("isError"), answer
    assert len(await core.execute("SELECT 1 FROM alert_silences")) == 1
