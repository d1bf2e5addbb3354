"""The server on a real socket: starting, refusing to, live streams, stopping."""

import asyncio
import signal
import socket
from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import StreamingResponse

from nadia.accounts.models import Account, Role
from nadia.accounts.service import AccountService
from nadia.errors import ConfigurationError
from nadia.settings.web import WebSettings
from nadia.web.app import create_app
from nadia.web.identity import Reviewer, Viewer
from nadia.web.server import MOST_CONNECTIONS, PortInUseError, WebServer
from nadia.web.sse import ServerEvent, event_stream
from support.account_fixtures import PASSWORD, SECRET_KEY
from support.web_fixtures import always_ready


class Source:
    """Events that a test sends, and whether somebody listens."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[ServerEvent] = asyncio.Queue()
        self.closed = asyncio.Event()

    async def events(self) -> AsyncIterator[ServerEvent]:
        try:
            while True:
                yield await self.queue.get()
        finally:
            self.closed.set()

    def router(self, heartbeat_seconds: float) -> APIRouter:
        router = APIRouter()

        @router.get("/api/v1/live")
        async def live(request: Request, _: Viewer) -> StreamingResponse:
            return event_stream(request, self.events(), heartbeat_seconds=heartbeat_seconds)

        @router.get("/api/v1/busy")
        async def busy(request: Request, _: Reviewer) -> StreamingResponse:
            return event_stream(request, self.never_silent(), heartbeat_seconds=0.3)

        return router

    async def never_silent(self) -> AsyncIterator[ServerEvent]:
        try:
            while True:
                yield ServerEvent("batch.changed", {})
                await asyncio.sleep(0.05)
        finally:
            self.closed.set()


@pytest.fixture
def source() -> Source:
    return Source()


@pytest.fixture
async def server(accounts: AccountService, source: Source) -> AsyncIterator[WebServer]:
    settings = WebSettings(port=0)
    app = create_app(
        settings=settings,
        accounts=accounts,
        secret_key=SECRET_KEY,
        ready=always_ready,
        routers=(source.router(heartbeat_seconds=0.05),),
    )
    server = WebServer(app=app, settings=settings)
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def browser(server: WebServer, reviewer: Account) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=server.url, timeout=10) as client:
        await client.post("/api/v1/session", json={"name": reviewer.name, "password": PASSWORD})
        yield client


async def next_line(lines: AsyncIterator[str], start: str) -> str:
    async with asyncio.timeout(10):
        async for line in lines:
            if line.startswith(start):
                return line
    raise AssertionError(f"the stream ended before {start!r}")


async def test_it_answers_once_started_and_leaves_signals_alone(server: WebServer) -> None:
    async with httpx.AsyncClient(base_url=server.url) as client:
        assert (await client.get("/livez")).text == "ok"
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


async def test_a_port_in_use_is_named_with_the_remedy(accounts: AccountService) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        settings = WebSettings(port=port)
        app = create_app(settings=settings, accounts=accounts, secret_key=SECRET_KEY, ready=always_ready)
        with pytest.raises(PortInUseError, match=str(port)) as problem:
            await WebServer(app=app, settings=settings).start()
    assert "NADIA_WEB_PORT" in str(problem.value.hint)


async def test_connections_are_bounded(server: WebServer, monkeypatch: pytest.MonkeyPatch) -> None:
    assert server._server is not None
    assert server._server.config.limit_concurrency == MOST_CONNECTIONS
    monkeypatch.setattr(server._server.config, "limit_concurrency", 3)
    idle = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(3)]
    async with httpx.AsyncClient(base_url=server.url) as client:
        assert (await client.get("/livez")).status_code == 503
    for _, writer in idle:
        writer.close()


async def test_an_address_that_is_not_ours_is_named(accounts: AccountService) -> None:
    settings = WebSettings(host="203.0.113.77", port=0, secret_key=SECRET_KEY)
    app = create_app(settings=settings, accounts=accounts, secret_key=SECRET_KEY, ready=always_ready)
    with pytest.raises(ConfigurationError, match=r"203\.0\.113\.77"):
        await WebServer(app=app, settings=settings).start()


async def test_events_reach_the_page_as_they_happen(browser: httpx.AsyncClient, source: Source) -> None:
    async with browser.stream("GET", "/api/v1/live") as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        lines = stream.aiter_lines()
        await next_line(lines, "retry:")
        await source.queue.put(ServerEvent("batch.changed", {"text": "two\nlines\u2028"}, id="7"))
        assert await next_line(lines, "id:") == "id: 7"
        assert await next_line(lines, "event:") == "event: batch.changed"
        assert await next_line(lines, "data:") == 'data: {"text": "two\\nlines\\u2028"}'


async def test_a_quiet_stream_says_that_it_lives(browser: httpx.AsyncClient) -> None:
    async with browser.stream("GET", "/api/v1/live") as stream:
        assert await next_line(stream.aiter_lines(), ":") == ": still here"


async def test_a_page_that_goes_away_is_noticed(browser: httpx.AsyncClient, source: Source) -> None:
    async with browser.stream("GET", "/api/v1/live") as stream:
        await next_line(stream.aiter_lines(), "retry:")
    async with asyncio.timeout(10):
        await source.closed.wait()


async def test_a_revoked_session_loses_its_stream(
    browser: httpx.AsyncClient, accounts: AccountService, reviewer: Account, source: Source
) -> None:
    async with browser.stream("GET", "/api/v1/live") as stream:
        lines = stream.aiter_lines()
        await next_line(lines, "retry:")
        await accounts.sessions.revoke_all(reviewer, actor="system")
        async with asyncio.timeout(10):
            assert [line async for line in lines if line and not line.startswith(":")] == []
    assert source.closed.is_set()


@pytest.mark.parametrize("how", ["session revoked", "account disabled", "role lost"])
async def test_a_stream_that_is_never_silent_ends_as_well(
    browser: httpx.AsyncClient, accounts: AccountService, reviewer: Account, source: Source, how: str
) -> None:
    async with browser.stream("GET", "/api/v1/busy") as stream:
        lines = stream.aiter_lines()
        await next_line(lines, "event:")
        if how == "session revoked":
            await accounts.sessions.revoke_all(reviewer, actor="system")
        elif how == "account disabled":
            await accounts.disable(reviewer, actor="system")
        else:
            await accounts.change_role(reviewer, Role.VIEWER, actor="system")
        async with asyncio.timeout(10):
            async for _ in lines:
                pass
    assert source.closed.is_set()


async def test_a_busy_stream_goes_on_while_its_reader_is_welcome(browser: httpx.AsyncClient) -> None:
    async with browser.stream("GET", "/api/v1/busy") as stream:
        lines = stream.aiter_lines()
        for _ in range(3):
            assert await next_line(lines, ":") == ": still here"
            assert await next_line(lines, "event:") == "event: batch.changed"


async def test_stopping_ends_open_streams_in_good_order(
    server: WebServer, browser: httpx.AsyncClient, source: Source
) -> None:
    async with browser.stream("GET", "/api/v1/live") as stream:
        lines = stream.aiter_lines()
        await next_line(lines, "retry:")
        stopping = asyncio.create_task(server.stop())
        # a stream that was cut off would raise instead of ending
        async with asyncio.timeout(10):
            async for _ in lines:
                pass
        await stopping
    assert source.closed.is_set()
    with pytest.raises(httpx.ConnectError):
        await browser.get("/livez")
