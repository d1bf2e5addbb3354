"""Serving the application inside an event loop that is somebody else's."""

import asyncio
import errno
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, cast

import structlog
import uvicorn
from fastapi import FastAPI

from nadia.errors import ConfigurationError
from nadia.settings.web import WebSettings, base_url
from nadia.web.context import WebContext

log = structlog.get_logger(__name__)

_GRACE_SECONDS: Final = 3
_BACKLOG: Final = 128
MOST_CONNECTIONS: Final = 500
"""Open at once, live streams included; further ones are answered 503. Below the 1024 files that systems allow."""


class PortInUseError(ConfigurationError):
    """Another program listens where we want to."""


class WebServer:
    """An HTTP server that starts and stops with whatever runs around it; signals are left to that.

    Parameters
    ----------
    app : FastAPI
        From ``create_app``.
    settings : WebSettings
        Where to listen.
    """

    def __init__(self, *, app: FastAPI, settings: WebSettings) -> None:
        self._app = app
        self._settings = settings
        self._server: _Server | None = None
        self._socket: socket.socket | None = None
        self._serving: asyncio.Task[None] | None = None

    @property
    def port(self) -> int:
        """The port it listens on."""
        if self._socket is None:
            return self._settings.port
        return cast(int, self._socket.getsockname()[1])

    @property
    def url(self) -> str:
        """The address that people open."""
        return base_url(self._settings, port=self.port)

    async def start(self) -> None:
        """Listen, and return when requests are answered.

        Raises
        ------
        PortInUseError
            If the port is taken.
        ConfigurationError
            If the address cannot be listened on.
        """
        settings = self._settings
        settings.require_startable()
        self._socket = _listen(settings.host, settings.port)
        config = uvicorn.Config(
            self._app,
            http="h11",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=bool(settings.trusted_proxies),
            forwarded_allow_ips=list(settings.trusted_proxies),
            timeout_graceful_shutdown=_GRACE_SECONDS,
            limit_concurrency=MOST_CONNECTIONS,
        )
        self._server = _Server(config)
        self._serving = asyncio.create_task(self._server.serve(sockets=[self._socket]), name="web.serve")
        answering = asyncio.create_task(self._server.answering.wait())
        await asyncio.wait({self._serving, answering}, return_when=asyncio.FIRST_COMPLETED)
        answering.cancel()
        if self._serving.done():
            self._serving.result()
        log.info("web.listening", url=self.url)

    async def wait(self) -> None:
        """Return when the server has stopped; raises what stopped it unexpectedly."""
        if self._serving is not None:
            await asyncio.shield(self._serving)

    async def stop(self) -> None:
        """End live streams, finish running requests (three seconds at most), and close the port."""
        if self._server is None or self._serving is None:
            return
        cast(WebContext, self._app.state.nadia).closing.set()
        self._server.should_exit = True
        await asyncio.wait({self._serving})
        if self._socket is not None:
            self._socket.close()
        if not self._serving.cancelled() and (error := self._serving.exception()) is not None:
            raise error
        log.info("web.stopped")


class _Server(uvicorn.Server):
    """uvicorn's server, which says when it answers and takes no signals."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.answering = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        self.answering.set()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except OSError as exc:
        raise ConfigurationError(
            f"NADIA_WEB_HOST: {host} is not an address of this machine", hint="use 127.0.0.1, or 0.0.0.0 for all"
        ) from exc
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(_BACKLOG)
        listener.setblocking(False)
    except OSError as exc:
        listener.close()
        if exc.errno == errno.EADDRINUSE:
            raise PortInUseError(
                f"port {port} on {host} is in use by another program",
                hint="stop it, or choose another port: NADIA_WEB_PORT=8421 (0 takes any free one)",
            ) from exc
        if exc.errno == errno.EACCES:
            raise ConfigurationError(
                f"port {port} may not be used by this user", hint="choose one from 1024 up: NADIA_WEB_PORT=8420"
            ) from exc
        raise ConfigurationError(
            f"cannot listen on {host}:{port}: {exc.strerror}", hint="check NADIA_WEB_HOST"
        ) from exc
    return listener
