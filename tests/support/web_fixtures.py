"""The web application on real accounts, and clients for it."""

from collections.abc import AsyncIterator, Callable

import httpx
import pytest
from fastapi import APIRouter, FastAPI
from starlette.requests import Request

from nadia.accounts.models import Account, Role
from nadia.accounts.service import AccountService
from nadia.settings.web import WebSettings
from nadia.web.app import create_app
from nadia.web.context import Banner
from nadia.web.identity import Reviewer
from support.account_fixtures import PASSWORD, SECRET_KEY

ORIGIN = "http://127.0.0.1:8420"
Visitor = Callable[..., httpx.AsyncClient]


def probe_router() -> APIRouter:
    """Routes that show what a router of another domain meets."""
    router = APIRouter()

    @router.get("/work")
    async def work(who: Reviewer) -> dict[str, str]:
        return {"name": who.account.name}

    @router.get("/broken")
    async def broken() -> None:
        raise RuntimeError("the secret ingredient")

    @router.post("/api/v1/echo")
    async def echo(request: Request, who: Reviewer) -> dict[str, int]:
        return {"length": len(await request.body())}

    return router


async def always_ready() -> bool:
    return True


async def one_banner() -> list[Banner]:
    return [Banner("paused", "Sending is <paused>")]


@pytest.fixture
def web_settings() -> WebSettings:
    return WebSettings()


@pytest.fixture
def app(accounts: AccountService, web_settings: WebSettings) -> FastAPI:
    return create_app(
        settings=web_settings,
        accounts=accounts,
        secret_key=SECRET_KEY,
        ready=always_ready,
        status=one_banner,
        routers=(probe_router(),),
    )


@pytest.fixture
async def visitor(app: FastAPI) -> AsyncIterator[Visitor]:
    """Makes clients; each is a browser or program of its own."""
    clients: list[httpx.AsyncClient] = []

    def make(*, base_url: str = ORIGIN, address: str = "127.0.0.1", **headers: str) -> httpx.AsyncClient:
        transport = httpx.ASGITransport(app=app, client=(address, 50000))
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        clients.append(httpx.AsyncClient(transport=transport, base_url=base_url, headers=named))
        return clients[-1]

    yield make
    for client in clients:
        await client.aclose()


async def logged_in(client: httpx.AsyncClient, name: str) -> httpx.AsyncClient:
    """Log a client in as a browser does, with the token that its pages would send."""
    answer = await client.post("/api/v1/session", json={"name": name, "password": PASSWORD})
    assert answer.status_code == 200, answer.text
    me = (await client.get("/api/v1/me")).json()
    client.headers["X-CSRF-Token"] = me["csrf_token"]
    return client


@pytest.fixture
async def as_admin(visitor: Visitor, admin: Account) -> httpx.AsyncClient:
    return await logged_in(visitor(), admin.name)


@pytest.fixture
async def as_reviewer(visitor: Visitor, reviewer: Account) -> httpx.AsyncClient:
    return await logged_in(visitor(), reviewer.name)


async def token_of(accounts: AccountService, account: Account, role: Role) -> str:
    secret, _ = await accounts.tokens.create(account, name=f"for a test, {role}", role=role, actor="system")
    return secret
