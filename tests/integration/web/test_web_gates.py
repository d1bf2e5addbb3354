"""What never reaches a handler: other hosts, other sites, too much, no text."""

import asyncio
import json
from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import FastAPI
from starlette.types import Message, Scope

from nadia.accounts.models import Account, Role
from nadia.accounts.service import AccountService
from nadia.web.bodies import BodyGate
from support.account_fixtures import PASSWORD
from support.web_fixtures import ORIGIN, Visitor, token_of


def error_of(answer: httpx.Response) -> dict[str, str]:
    error: dict[str, str] = answer.json()["error"]
    assert set(error) == {"code", "message", "field", "hint"}
    return error


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "127.0.0.1:8420@evil.example", ""])
async def test_requests_for_other_hosts_are_refused(visitor: Visitor, host: str) -> None:
    assert (await visitor().get("/login", headers={"Host": host})).status_code == 421


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8420", "localhost.", "[::1]:8420"])
async def test_requests_for_this_machine_are_answered(visitor: Visitor, host: str) -> None:
    assert (await visitor().get("/login", headers={"Host": host})).status_code == 200


async def test_probes_may_use_any_host(visitor: Visitor) -> None:
    for path in ("/livez", "/readyz"):
        assert (await visitor().get(path, headers={"Host": "10.1.2.3:8420"})).text == "ok"


async def test_probes_may_ask_for_the_head_only(visitor: Visitor) -> None:
    for path in ("/livez", "/readyz"):
        answer = await visitor().head(path)
        assert (answer.status_code, answer.content) == (200, b"")


async def test_every_answer_tells_browsers_to_be_strict(visitor: Visitor) -> None:
    for path in ("/login", "/livez", "/nowhere", "/api/v1/me", "/broken"):
        headers = (await visitor().get(path)).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cache-control"] == "no-store"


async def test_a_change_without_the_sessions_token_is_refused(as_reviewer: httpx.AsyncClient) -> None:
    for stale in (b"", b"0" * 64, "ünïcode".encode("latin-1")):
        answer = await as_reviewer.delete("/api/v1/me/sessions", headers={b"X-CSRF-Token": stale})
        assert answer.status_code == 403
        assert error_of(answer)["code"] == "csrf"
    assert (await as_reviewer.delete("/api/v1/me/sessions")).status_code == 200


async def test_one_sessions_token_is_no_good_for_another(
    as_reviewer: httpx.AsyncClient, as_admin: httpx.AsyncClient
) -> None:
    answer = await as_admin.delete("/api/v1/me/sessions", headers={"X-CSRF-Token": as_reviewer.headers["X-CSRF-Token"]})
    assert error_of(answer)["code"] == "csrf"


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:9999"},
        {"Origin": "http://[bad"},
    ],
)
async def test_another_sites_page_cannot_even_log_in(
    visitor: Visitor, reviewer: Account, headers: dict[str, str]
) -> None:
    answer = await visitor().post(
        "/api/v1/session", json={"name": reviewer.name, "password": PASSWORD}, headers=headers
    )
    assert answer.status_code == 403
    assert error_of(answer)["code"] == "cross_site"


async def test_our_own_pages_origin_is_let_through(visitor: Visitor, reviewer: Account) -> None:
    for headers in ({"Origin": ORIGIN}, {"Sec-Fetch-Site": "same-origin", "Origin": ORIGIN}):
        answer = await visitor().post(
            "/api/v1/session", json={"name": reviewer.name, "password": PASSWORD}, headers=headers
        )
        assert answer.status_code == 200


async def test_a_bearer_token_needs_no_page(visitor: Visitor, accounts: AccountService, reviewer: Account) -> None:
    token = await token_of(accounts, reviewer, Role.REVIEWER)
    answer = await visitor(Authorization=f"Bearer {token}").post("/api/v1/echo", json={})
    assert answer.json() == {"length": 2}


@pytest.mark.parametrize("authorization", ["Bearer x", "bearer nadia_wrong"])
async def test_a_bearer_header_does_not_open_the_way_to_the_cookie(
    as_reviewer: httpx.AsyncClient, authorization: str
) -> None:
    headers = {"Authorization": authorization, "X-CSRF-Token": ""}
    for more in ({}, {"Sec-Fetch-Site": "cross-site"}):
        answer = await as_reviewer.delete("/api/v1/session", headers={**headers, **more})
        assert answer.status_code == 403
    assert (await as_reviewer.get("/api/v1/me")).status_code == 200


async def test_a_wrong_bearer_token_is_not_saved_by_a_good_cookie(as_reviewer: httpx.AsyncClient) -> None:
    answer = await as_reviewer.get("/api/v1/me", headers={"Authorization": "Bearer nadia_wrong"})
    assert answer.status_code == 401


async def test_a_body_of_256_kb_is_taken_and_a_larger_one_is_not(as_reviewer: httpx.AsyncClient) -> None:
    fitting = json.dumps("x" * (256 * 1024 - 2)).encode()
    headers = {"Content-Type": "application/json"}
    assert (await as_reviewer.post("/api/v1/echo", content=fitting, headers=headers)).json() == {"length": 256 * 1024}
    answer = await as_reviewer.post("/api/v1/echo", content=fitting + b" ", headers=headers)
    assert answer.status_code == 413
    assert error_of(answer)["code"] == "request_too_large"


async def test_a_body_that_does_not_arrive_in_time_is_given_up_before_anyone_is_asked_who_they_are(
    app: FastAPI,
) -> None:
    async def never() -> Message:
        await asyncio.Event().wait()
        raise AssertionError

    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    headers = [(b"host", b"127.0.0.1"), (b"content-length", b"100"), (b"content-type", b"application/json")]
    scope: Scope = {
        "type": "http",
        "method": "POST",
        "path": "/api/v1/session",
        "raw_path": b"/api/v1/session",
        "query_string": b"",
        "headers": headers,
        "app": app,
    }
    async with asyncio.timeout(10):
        await BodyGate(app, most_seconds=0.05)(scope, never, send)
    assert sent[0]["status"] == 408
    assert (b"connection", b"close") in sent[0]["headers"]
    assert json.loads(sent[1]["body"])["error"]["code"] == "request_timed_out"


async def test_a_body_that_does_not_say_its_size_is_stopped_at_the_limit(as_reviewer: httpx.AsyncClient) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while sent < 100:
            sent += 1
            yield b"x" * 64 * 1024

    answer = await as_reviewer.post("/api/v1/echo", content=endless())
    assert answer.status_code == 413
    assert sent == 5


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b'{"name": "a\\u0000b", "password": "x"}', "name"),
        (b'{"name": "a", "password": "\\ud800"}', "password"),
        (b'{"\\u0000": 1}', "body"),
        (b'{"name": NaN}', "body"),
        (b'{"name": 1e999}', "name"),
        (b'{"name": ' + b"9" * 5000 + b"}", "body"),
        (b'{"name": ' + b"[" * 30 + b"]" * 30 + b"}", "body"),
        (b"[" * 100_000, "body"),
        (b"{", "body"),
        (b"\xff\xfe", "body"),
    ],
)
async def test_json_that_is_no_usable_text_is_refused_and_names_the_field(
    visitor: Visitor, body: bytes, field: str
) -> None:
    answer = await visitor().post("/api/v1/session", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 422
    assert error_of(answer)["field"] == field


@pytest.mark.parametrize("path", ["/api/v1/accounts/%00", "/login?next=%00", "/static/x/%00.js"])
async def test_nul_in_an_address_is_refused(as_admin: httpx.AsyncClient, path: str) -> None:
    assert (await as_admin.get(path)).status_code == 422


@pytest.mark.parametrize("number", ["0", "-1", str(2**63), "1.5", "x", "%F0%9F%98%80"])
async def test_an_id_that_cannot_be_one_is_refused(as_admin: httpx.AsyncClient, number: str) -> None:
    answer = await as_admin.get(f"/api/v1/accounts/{number}/tokens")
    assert answer.status_code == 422
    assert error_of(answer)["field"] == "account_id"


async def test_unexpected_errors_show_a_number_and_nothing_else(visitor: Visitor) -> None:
    answer = await visitor().get("/broken")
    assert answer.status_code == 500
    assert "incident" in str(error_of(answer)["hint"])
    assert "ingredient" not in answer.text


async def test_wrong_input_is_not_repeated_in_the_answer(visitor: Visitor) -> None:
    answer = await visitor().post("/api/v1/session", json={"name": "marta", "password": ["my secret"]})
    assert answer.status_code == 422
    assert "my secret" not in answer.text
    assert error_of(answer)["field"] == "password"


async def test_an_unknown_method_is_told_every_known_one(as_admin: httpx.AsyncClient) -> None:
    answer = await as_admin.put("/api/v1/accounts")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, POST")
