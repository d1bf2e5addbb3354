"""The server on a real port: who is let in, and what a request may be."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from mcp.shared.exceptions import MCPError

from nadia.accounts.models import Account, Role
from nadia.accounts.service import AccountService
from nadia.errors import ConfigurationError
from nadia.mcp_server import http_gate
from nadia.mcp_server.http_gate import MOST_BYTES
from nadia.mcp_server.serving import serving_http
from nadia.settings import Config
from support.assistants import TokenOf, config_of, over_http, read_json, words
from support.core import Core

JSON = {"Accept": "application/json, text/event-stream", "Content-Type": "application/json"}


def call(tool: str, **arguments: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": tool, "arguments": arguments}}


LIST = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}


@pytest.fixture
async def http(http_url: str) -> AsyncIterator[httpx.AsyncClient]:
    """A plain client without a token."""
    async with httpx.AsyncClient(base_url=http_url.removesuffix("/mcp"), headers=JSON, timeout=30) as client:
        yield client


def bearing(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_a_client_with_a_token_lists_calls_and_reads(
    http_url: str, token_of: TokenOf, core: Core, mode: str
) -> None:
    async with over_http(http_url, await token_of(Role.ADMIN), mode=mode) as client:
        assert {"db_stats", "silence_alert"} <= {tool.name for tool in (await client.list_tools()).tools}
        result = await client.call_tool("db_stats")
        assert not result.is_error, words(result)
        assert result.structured_content["workflow"] == "db-stats"
        assert (await read_json(client, "nadia://alerts"))["firing"] == []


async def test_two_assistants_at_once_are_two_people(http_url: str, token_of: TokenOf, core: Core) -> None:
    viewer, admin = await token_of(Role.VIEWER), await token_of(Role.ADMIN)
    async with over_http(http_url, viewer) as one:
        low = {tool.name for tool in (await one.list_tools()).tools}
    async with over_http(http_url, admin) as two:
        high = {tool.name for tool in (await two.list_tools()).tools}
    assert low < high
    assert "silence_alert" in high - low


async def test_who_shows_no_valid_token_is_not_let_in(http: httpx.AsyncClient, core: Core) -> None:
    wrong = ("Bearer", "Basic bWFydGE6eA==", "Bearer nadia_wrong", "nadia_x", "Bearer " + "x" * 5_000)
    for headers in ({}, *({"Authorization": each} for each in wrong)):
        answer = await http.post("/mcp", json=LIST, headers=headers)
        assert answer.status_code == 401, headers
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")
        assert "hint" in answer.json()


async def test_a_revoked_token_ends_at_once(http: httpx.AsyncClient, accounts: AccountService, marta: Account) -> None:
    secret, token = await accounts.tokens.create(marta, name="lost", role=Role.VIEWER, actor="system")
    assert (await http.post("/mcp", json=LIST, headers=bearing(secret))).status_code == 200
    await accounts.tokens.revoke(marta, token.id, actor="system")
    refused = await http.post("/mcp", json=LIST, headers=bearing(secret))
    assert refused.status_code == 401
    assert 'error="invalid_token"' in refused.headers["WWW-Authenticate"]


@pytest.mark.parametrize("tool, needed", [("acknowledge_alert", "reviewer"), ("silence_alert", "admin")])
async def test_a_viewers_token_cannot_act(
    http: httpx.AsyncClient, token_of: TokenOf, core: Core, tool: str, needed: str
) -> None:
    token = await token_of(Role.VIEWER)
    answer = await http.post("/mcp", json=call(tool, fingerprint="x"), headers=bearing(token))
    assert answer.status_code == 403
    assert 'error="insufficient_scope"' in answer.headers["WWW-Authenticate"]
    assert f'scope="{needed}"' in answer.headers["WWW-Authenticate"]
    assert await core.execute("SELECT 1 FROM audit_log WHERE action = 'assistant.acted'") == []


async def test_the_sdks_client_is_told_that_a_viewer_cannot_act(http_url: str, token_of: TokenOf, core: Core) -> None:
    async with over_http(http_url, await token_of(Role.VIEWER)) as client:
        with pytest.raises(MCPError):
            await client.call_tool("start_recovery", {"account": "desk"})
        assert not (await client.call_tool("redis_health")).is_error


async def test_a_viewers_token_shows_no_customers_messages(
    http: httpx.AsyncClient, http_url: str, token_of: TokenOf, core: Core
) -> None:
    batch = await core.sealed(1001, "Where is my parcel?")
    uri = f"nadia://conversations/{batch.conversation_id}"
    read = {"jsonrpc": "2.0", "id": 1, "method": "resources/read", "params": {"uri": uri}}
    viewer, reviewer = await token_of(Role.VIEWER), await token_of(Role.REVIEWER)
    answer = await http.post("/mcp", json=read, headers=bearing(viewer))
    assert answer.status_code == 403
    assert 'scope="reviewer"' in answer.headers["WWW-Authenticate"]
    escaped = json.dumps(read).replace("nadia://", "\\u006eadia://")
    assert (await http.post("/mcp", content=escaped, headers=bearing(viewer))).status_code == 403
    async with over_http(http_url, reviewer) as client:
        assert (await read_json(client, uri))["messages"][0]["text"] == "«Where is my parcel?»"


async def test_calls_hidden_from_the_gate_are_refused_behind_it(
    http: httpx.AsyncClient, token_of: TokenOf, core: Core
) -> None:
    headers = bearing(await token_of(Role.VIEWER))
    asked = call("silence_alert", topic="x", hours=1, reason="y")
    twice = json.dumps(asked).replace('"method": "tools/call"', '"method": "tools/call", "method": "tools/call"')
    for body in (json.dumps([asked]), twice, json.dumps(asked).replace("silence_alert", "silence\\u005falert")):
        answer = await http.post("/mcp", content=body, headers=headers)
        assert "silenced" not in answer.text
    assert await core.execute("SELECT 1 FROM alert_silences") == []


async def test_requests_for_other_hosts_are_refused(http: httpx.AsyncClient, token_of: TokenOf) -> None:
    headers = bearing(await token_of(Role.ADMIN))
    for host in ("evil.example", "127.0.0.1.evil.example", "localhost@evil.example", ""):
        answer = await http.post("/mcp", json=LIST, headers=headers | {"Host": host})
        assert answer.status_code in (400, 421), host


async def test_pages_of_other_sites_are_refused(http: httpx.AsyncClient, token_of: TokenOf) -> None:
    headers = bearing(await token_of(Role.ADMIN))
    for origin in ("https://evil.example", "null", "http://localhost.evil.example", "http://", "http://[", "http://]"):
        assert (await http.post("/mcp", json=LIST, headers=headers | {"Origin": origin})).status_code == 403, origin
    own = await http.post("/mcp", json=LIST, headers=headers | {"Origin": "http://localhost:6274"})
    assert own.status_code == 200


async def test_a_request_may_not_be_huge(http: httpx.AsyncClient, token_of: TokenOf, core: Core) -> None:
    headers = bearing(await token_of(Role.VIEWER))

    just_too_large = await http.post("/mcp", content=b" " * (MOST_BYTES + 1), headers=headers)
    assert just_too_large.status_code == 413

    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b" " * 65_536

    with suppress(httpx.WriteError, httpx.ReadError):  # closed while we still wrote
        answer = await http.post("/mcp", content=endless(), headers=headers)
        assert answer.status_code == 413
    assert (await http.post("/mcp", json=LIST, headers=headers)).status_code == 200


async def test_a_request_may_not_take_for_ever_to_arrive(
    http_url: str, token_of: TokenOf, core: Core, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_gate, "MOST_SECONDS", 0.1)
    address = httpx.URL(http_url)
    reader, writer = await asyncio.open_connection(address.host, address.port)
    head = f"POST /mcp HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {await token_of(Role.VIEWER)}\r\n"
    writer.write(f"{head}Content-Length: 100\r\n\r\n{{".encode())
    assert b" 408 " in await asyncio.wait_for(reader.readline(), 15)
    writer.close()


async def test_what_is_no_request_is_answered_and_the_server_stays(
    http: httpx.AsyncClient, token_of: TokenOf, core: Core
) -> None:
    headers = bearing(await token_of(Role.VIEWER))
    no_call = b'{"method": "tools/call", "params": 3}'
    for body in (b"", b"{", b"[]", b"null", b"[" * 100_000, no_call, b"\xff"):
        answer = await http.post("/mcp", content=body, headers=headers)
        assert 400 <= answer.status_code < 500, body[:50]
        assert (await http.post("/mcp", json=LIST, headers=headers)).status_code == 200


async def test_only_the_protocols_way_of_asking_is_understood(http: httpx.AsyncClient, token_of: TokenOf) -> None:
    headers = bearing(await token_of(Role.ADMIN))
    for method in ("GET", "DELETE", "PUT", "OPTIONS"):
        answer = await http.request(method, "/mcp", headers=headers)
        assert (answer.status_code, answer.headers["Allow"]) == (405, "POST")
    assert (await http.post("/.env", json=LIST, headers=headers)).status_code == 404


async def test_whoever_guesses_tokens_is_slowed_down(http: httpx.AsyncClient, token_of: TokenOf) -> None:
    statuses = [(await http.post("/mcp", json=LIST, headers=bearing(f"nadia_{n}"))).status_code for n in range(32)]
    assert statuses[0] == 401
    assert statuses[-1] == 429
    later = await http.post("/mcp", json=LIST, headers=bearing("nadia_x"))
    assert int(later.headers["Retry-After"]) > 0


async def test_many_calls_at_once_are_all_answered(http_url: str, token_of: TokenOf, core: Core) -> None:
    async with over_http(http_url, await token_of(Role.VIEWER)) as client:
        results = await asyncio.gather(*(client.call_tool("redis_health") for _ in range(20)))
    assert not any(result.is_error for result in results)


async def test_elsewhere_than_on_loopback_a_secret_key_is_needed(environ: dict[str, str]) -> None:
    exposed = config_of(environ | {"NADIA_MCP_HOST": "0.0.0.0"})
    with pytest.raises(ConfigurationError, match="NADIA_WEB_SECRET_KEY"):
        async with serving_http(exposed, allow_actions=False):
            pass


async def test_a_port_that_is_taken_is_named(config: Config, environ: dict[str, str]) -> None:
    async with serving_http(config, allow_actions=False) as url:
        port = httpx.URL(url).port
        with pytest.raises(ConfigurationError, match=str(port)):
            async with serving_http(config_of(environ | {"NADIA_MCP_PORT": str(port)}), allow_actions=False):
                pass


async def test_allowed_hosts_are_answered(environ: dict[str, str], token_of: TokenOf) -> None:
    named = config_of(environ | {"NADIA_MCP_ALLOWED_HOSTS": '["nadia.example.org"]'})
    async with serving_http(named, allow_actions=False) as url, httpx.AsyncClient(headers=JSON) as http:
        headers = bearing(await token_of(Role.VIEWER)) | {"Host": "nadia.example.org"}
        assert (await http.post(url, json=LIST, headers=headers)).status_code == 200


async def test_the_command_says_where_it_is_and_ends_in_order(
    environ: dict[str, str], core: Core, tmp_path: Path
) -> None:
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "nadia", "mcp", "serve", "--http"),
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), **environ},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert child.stdout is not None
    said = (await asyncio.wait_for(child.stdout.readline(), 30)).decode()
    async with httpx.AsyncClient() as http:
        assert (await http.post(said.split()[-1], json=LIST)).status_code == 401
    child.terminate()
    _, err = await asyncio.wait_for(child.communicate(), 30)
    assert child.returncode == 0, err.decode()
