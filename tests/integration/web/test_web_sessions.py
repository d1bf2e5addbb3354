"""Logging in and out through the web, and who may do what there."""

import httpx
import pyotp
import pytest
from fastapi import FastAPI
from pydantic import SecretStr

from nadia.accounts.models import Account, Role
from nadia.accounts.service import AccountService
from nadia.postgres.database import Database
from nadia.settings.web import WebSettings
from nadia.web.app import create_app
from support.account_fixtures import PASSWORD, SECRET_KEY, ManualClock, audit_actions
from support.web_fixtures import Visitor, always_ready, logged_in, token_of

HTML = {"Accept": "text/html"}


async def test_logging_in_sets_a_cookie_that_scripts_and_other_sites_do_not_get(
    visitor: Visitor, reviewer: Account
) -> None:
    answer = await visitor().post("/api/v1/session", json={"name": "jonas", "password": PASSWORD})
    cookie = answer.headers["set-cookie"].lower()
    assert cookie.startswith("nadia-session=")
    for attribute in ("httponly", "samesite=strict", "path=/", "max-age=604800"):
        assert attribute in cookie


async def test_behind_https_the_cookie_is_tied_to_it(accounts: AccountService, reviewer: Account) -> None:
    app = create_app(
        settings=WebSettings(public_url="https://nadia.example.org"),
        accounts=accounts,
        secret_key=SECRET_KEY,
        ready=always_ready,
    )
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="https://nadia.example.org") as client:
        answer = await client.post("/api/v1/session", json={"name": "jonas", "password": PASSWORD})
        assert answer.headers["set-cookie"].startswith("__Host-nadia-session=")
        assert "secure" in answer.headers["set-cookie"].lower()
        assert "max-age" in answer.headers["strict-transport-security"]
        assert (await client.get("/api/v1/me")).status_code == 200


async def test_logging_out_ends_the_session_for_good(as_reviewer: httpx.AsyncClient) -> None:
    cookie = as_reviewer.cookies["nadia-session"]
    assert (await as_reviewer.delete("/api/v1/session")).status_code == 204
    assert "nadia-session" not in as_reviewer.cookies
    answer = await as_reviewer.get("/api/v1/me", headers={"Cookie": f"nadia-session={cookie}"})
    assert answer.status_code == 401


async def test_a_login_link_is_used_by_post_and_only_once(
    visitor: Visitor, accounts: AccountService, reviewer: Account
) -> None:
    link = await accounts.login_link(reviewer, actor="system")
    client = visitor()
    assert (await client.get("/login")).status_code == 200  # looking uses nothing up
    assert (await client.post("/api/v1/session/link", json={"token": link.secret})).json()["name"] == "jonas"
    assert (await client.get("/api/v1/me")).json()["name"] == "jonas"
    answer = await visitor().post("/api/v1/session/link", json={"token": link.secret})
    assert answer.status_code == 401


async def test_an_old_cookie_does_not_hinder_logging_in(visitor: Visitor, reviewer: Account) -> None:
    client = visitor()
    client.cookies.set("nadia-session", "something old", domain="127.0.0.1", path="/")
    answer = await client.post("/api/v1/session", json={"name": "jonas", "password": PASSWORD})
    assert answer.status_code == 200


async def test_the_second_factor_is_asked_for_after_the_password(
    as_reviewer: httpx.AsyncClient, visitor: Visitor, clock: ManualClock
) -> None:
    enrolment = (await as_reviewer.post("/api/v1/me/second-factor", json={"password": PASSWORD})).json()
    totp = pyotp.parse_uri(enrolment["uri"])
    assert isinstance(totp, pyotp.TOTP)
    confirmed = await as_reviewer.put("/api/v1/me/second-factor", json={"code": totp.at(clock())})
    assert len(confirmed.json()["codes"]) == 10
    clock.forward(minutes=1)

    client, proof = visitor(), {"name": "jonas", "password": PASSWORD}
    first = await client.post("/api/v1/session", json=proof)
    assert (first.status_code, first.json()["error"]["code"]) == (401, "second_factor_required")
    second = await client.post("/api/v1/session", json={**proof, "code": totp.at(clock())})
    assert second.status_code == 200


async def test_people_are_sent_to_log_in_and_back_and_programs_get_401(visitor: Visitor) -> None:
    page = await visitor().get("/accounts?x=1&y=2", headers=HTML)
    assert page.status_code == 303
    assert page.headers["location"] == "/login?next=%2Faccounts%3Fx%3D1%26y%3D2"
    api = await visitor().get("/api/v1/accounts", headers=HTML)
    assert api.status_code == 401
    assert api.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("target", ["//evil.example", "/\\evil.example", "https://evil.example", "javascript:alert(1)"])
async def test_logging_in_leads_to_no_other_site(as_reviewer: httpx.AsyncClient, target: str) -> None:
    answer = await as_reviewer.get("/login", params={"next": target})
    assert answer.headers["location"] == "/"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/v1/accounts"),
        ("POST", "/api/v1/accounts"),
        ("PATCH", "/api/v1/accounts/1"),
        ("POST", "/api/v1/accounts/1/reset"),
        ("DELETE", "/api/v1/accounts/1/sessions"),
        ("DELETE", "/api/v1/accounts/1/second-factor"),
        ("GET", "/api/v1/accounts/1/tokens"),
        ("DELETE", "/api/v1/accounts/1/tokens/1"),
        ("GET", "/accounts"),
    ],
)
async def test_only_admins_manage_accounts(as_reviewer: httpx.AsyncClient, method: str, path: str) -> None:
    body = {"name": "eve", "role": "admin"} if path == "/api/v1/accounts" else {"role": "admin"}
    answer = await as_reviewer.request(method, path, json=body if method in ("POST", "PATCH") else None)
    assert answer.status_code == 403
    assert "admin" in answer.json()["error"]["message"]


async def test_a_role_taken_away_counts_at_once(
    as_reviewer: httpx.AsyncClient, accounts: AccountService, reviewer: Account
) -> None:
    assert (await as_reviewer.get("/work")).json() == {"name": "jonas"}
    await accounts.change_role(reviewer, Role.VIEWER, actor="system")
    assert (await as_reviewer.get("/work")).status_code == 403


async def test_a_token_cannot_change_who_someone_is(visitor: Visitor, accounts: AccountService, admin: Account) -> None:
    client = visitor(Authorization=f"Bearer {await token_of(accounts, admin, Role.ADMIN)}")
    assert (await client.get("/api/v1/accounts")).status_code == 200
    for method, path, body in (
        ("PUT", "/api/v1/me/password", {"new_password": "eleven silent harbours"}),
        ("POST", "/api/v1/me/tokens", {"name": "another", "role": "admin"}),
        ("POST", "/api/v1/me/second-factor", {"password": ""}),
        ("POST", "/api/v1/accounts", {"name": "eve", "role": "admin"}),
        ("PATCH", f"/api/v1/accounts/{admin.id}", {"role": "admin"}),
        ("POST", f"/api/v1/accounts/{admin.id}/reset", None),
        ("DELETE", f"/api/v1/accounts/{admin.id}/second-factor", None),
        ("DELETE", f"/api/v1/accounts/{admin.id}/sessions", None),
    ):
        answer = await client.request(method, path, json=body)
        assert answer.status_code == 403, path
        assert (await client.get("/api/v1/me")).json()["csrf_token"] is None


async def test_an_admin_invites_and_the_invited_chooses_a_password(
    as_admin: httpx.AsyncClient, visitor: Visitor
) -> None:
    link = (await as_admin.post("/api/v1/accounts", json={"name": "priya", "role": "viewer"})).json()
    assert link["url"].startswith("http://127.0.0.1:8420/welcome#token=")
    secret = link["url"].partition("#token=")[2]
    client = visitor()
    weak = await client.post("/api/v1/session/password", json={"token": secret, "password": "priya priya priya"})
    assert (weak.status_code, weak.json()["error"]["field"]) == (422, "password")
    chosen = await client.post("/api/v1/session/password", json={"token": secret, "password": PASSWORD})
    assert chosen.json() == {"name": "priya", "logged_in": True}
    assert (await client.get("/api/v1/me")).json()["role"] == "viewer"


async def test_changing_an_account_says_what_is_wrong(as_admin: httpx.AsyncClient, admin: Account) -> None:
    path = f"/api/v1/accounts/{admin.id}"
    assert (await as_admin.patch(path, json={})).json()["role"] == "admin"
    assert (await as_admin.patch(path, json={"rolle": "admin"})).json()["error"]["field"] == "rolle"
    last = await as_admin.patch(path, json={"active": False})
    assert (last.status_code, last.json()["error"]["code"]) == (409, "conflict")
    assert (await as_admin.patch("/api/v1/accounts/999", json={"active": True})).status_code == 404


async def test_a_change_that_is_refused_in_part_changes_nothing(
    as_admin: httpx.AsyncClient, admin: Account, reviewer: Account, account_database: Database
) -> None:
    refused = await as_admin.patch(f"/api/v1/accounts/{admin.id}", json={"role": "admin", "active": False})
    assert refused.status_code == 409
    assert "account.role_changed" not in await audit_actions(account_database)
    both = await as_admin.patch(f"/api/v1/accounts/{reviewer.id}", json={"role": "viewer", "active": False})
    assert (both.json()["role"], both.json()["active"]) == ("viewer", False)
    assert (await audit_actions(account_database))[-2:] == ["account.role_changed", "account.disabled"]


async def test_pages_show_markup_in_names_as_text(as_admin: httpx.AsyncClient) -> None:
    label = "<img src=x onerror=alert(1)>"
    await as_admin.post("/api/v1/me/tokens", json={"name": label, "role": "viewer"})
    text = (await as_admin.get("/me", headers=HTML)).text
    assert label not in text
    assert "&lt;img src=x onerror=alert(1)&gt;" in text
    assert "Sending is &lt;paused&gt;" in text


async def test_strangers_do_not_see_what_goes_on_inside(visitor: Visitor) -> None:
    assert "paused" not in (await visitor().get("/login", headers=HTML)).text


async def test_an_error_page_keeps_who_is_logged_in(as_reviewer: httpx.AsyncClient, visitor: Visitor) -> None:
    page = await as_reviewer.get("/nowhere", headers=HTML)
    assert page.status_code == 404
    assert "jonas" in page.text
    assert (await visitor().get("/nowhere", headers=HTML)).status_code == 404


async def test_pages_hold_no_script_or_style_of_their_own(as_admin: httpx.AsyncClient) -> None:
    for path in ("/login", "/welcome", "/accounts", "/me", "/nowhere"):
        text = (await as_admin.get(path, headers=HTML)).text
        assert " style=" not in text
        assert " onclick=" not in text
        assert text.count("<script") == text.count("<script src=") + text.count('<script type="module" src=')
        assert "://" not in text.replace("http://127.0.0.1:8420", "").replace("http://www.w3.org", "")


async def test_metrics_are_for_this_machine_and_for_tokens(
    visitor: Visitor, accounts: AccountService, reviewer: Account
) -> None:
    assert b"nadia_web_requests_total" in (await visitor().get("/metrics")).content
    assert (await visitor(address="203.0.113.9").get("/metrics")).status_code == 401
    # a proxy on this machine speaks for others
    assert (await visitor(X_Forwarded_For="203.0.113.9").get("/metrics")).status_code == 401
    token = await token_of(accounts, reviewer, Role.VIEWER)
    assert (await visitor(address="203.0.113.9", Authorization=f"Bearer {token}").get("/metrics")).status_code == 200


@pytest.mark.parametrize(
    "header", ["Via", "Forwarded", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-For", "X-Real-IP"]
)
async def test_whatever_a_proxy_adds_says_that_somebody_else_asks(visitor: Visitor, header: str) -> None:
    assert (await visitor().get("/metrics", headers={header: "x"})).status_code == 401


@pytest.mark.parametrize(
    "settings",
    [WebSettings(public_url="http://nadia.example.org"), WebSettings(trusted_proxies=("10.0.0.7",))],
    ids=["public_url", "trusted_proxies"],
)
async def test_behind_a_proxy_nobody_is_local(accounts: AccountService, settings: WebSettings) -> None:
    app = create_app(settings=settings, accounts=accounts, secret_key=SECRET_KEY, ready=always_ready)
    transport = httpx.ASGITransport(app=app, client=("127.0.0.1", 50000))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8420") as client:
        assert (await client.get("/metrics")).status_code == 401


async def test_requests_are_counted_from_zero(visitor: Visitor) -> None:
    text = (await visitor().get("/metrics")).text
    assert 'nadia_web_requests_total{kind="api",status="5xx"}' in text


async def test_readiness_says_no_without_saying_why(accounts: AccountService) -> None:
    async def not_ready() -> bool:
        return False

    app = create_app(settings=WebSettings(), accounts=accounts, secret_key=SECRET_KEY, ready=not_ready)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://localhost") as client:
        answer = await client.get("/readyz")
    assert (answer.status_code, answer.text) == (503, "not ready")


async def test_the_api_is_described_to_those_who_may_use_it(visitor: Visitor, as_reviewer: httpx.AsyncClient) -> None:
    assert (await visitor().get("/api/openapi.json")).status_code == 401
    paths = (await as_reviewer.get("/api/openapi.json")).json()["paths"]
    assert {"/api/v1/session", "/api/v1/me", "/api/v1/accounts/{account_id}"} <= set(paths)
    for path in ("/docs", "/redoc", "/openapi.json"):
        assert (await as_reviewer.get(path)).status_code == 404


async def test_static_files_are_kept_for_good_under_their_digest_only(visitor: Visitor, app: FastAPI) -> None:
    client = visitor()
    page = (await client.get("/login")).text
    address = page.partition('src="')[2].partition('"')[0]
    now = await client.get(address)
    assert "immutable" in now.headers["cache-control"]
    assert now.headers["content-type"].startswith("text/javascript")
    old = await client.get(address.replace(address.split("/")[2], "0" * 12))
    assert (old.status_code, old.headers["cache-control"]) == (200, "no-store")
    assert (await client.get("/static/x/../config.py")).status_code == 404
    assert (await client.get("/static/x/..%2f..%2fconfig.py")).status_code == 404


async def test_sessions_under_another_secret_key_keep_their_cookie_but_not_their_page(
    accounts: AccountService, as_reviewer: httpx.AsyncClient
) -> None:
    other = create_app(
        settings=WebSettings(), accounts=accounts, secret_key=SecretStr("another key"), ready=always_ready
    )
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app=other),
        base_url="http://127.0.0.1:8420",
        cookies=as_reviewer.cookies,
        headers={"X-CSRF-Token": as_reviewer.headers["X-CSRF-Token"]},
    ) as client:
        assert (await client.get("/api/v1/me")).status_code == 200
        assert (await client.delete("/api/v1/me/sessions")).status_code == 403


async def test_changing_the_password_keeps_this_browser_in(
    as_reviewer: httpx.AsyncClient, visitor: Visitor, reviewer: Account
) -> None:
    elsewhere = await logged_in(visitor(), "jonas")
    change = {"current_password": PASSWORD, "new_password": "eleven silent harbours"}
    assert (await as_reviewer.put("/api/v1/me/password", json=change)).status_code == 204
    assert (await as_reviewer.get("/api/v1/me")).status_code == 200
    assert (await elsewhere.get("/api/v1/me")).status_code == 401
