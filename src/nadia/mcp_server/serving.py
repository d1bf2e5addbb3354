"""The server of a process: over its standard streams, or over HTTP."""

import asyncio
import signal
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from typing import Any, Final

import structlog
import uvicorn
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server
from mcp.server.transport_security import TransportSecuritySettings

from nadia.accounts.models import Role
from nadia.app.workflows import open_workflow
from nadia.errors import ConfigurationError
from nadia.health.checker import HealthChecker
from nadia.mcp_server.actions import Actions
from nadia.mcp_server.caller import Caller
from nadia.mcp_server.database import LazyDatabase
from nadia.mcp_server.http_gate import MOST_BYTES, PATH, HttpGate, caller_of_request
from nadia.mcp_server.resources import Resources
from nadia.mcp_server.server import TellsCaller, build_server
from nadia.mcp_server.tools import OperatorTool, workflow_tools
from nadia.settings import Config
from nadia.workflows.registry import AnyWorkflow

log = structlog.get_logger(__name__)

_GRACE_SECONDS: Final = 3
_MOST_CONNECTIONS: Final = 100


class Assistance:
    """What assistants are given, and what it stands on.

    Parameters
    ----------
    config : Config
        The settings.
    allow_actions : bool
        Whether assistants may do more than read.
    """

    def __init__(self, config: Config, *, allow_actions: bool) -> None:
        self.database = LazyDatabase(config)

        def opens_checker() -> AbstractAsyncContextManager[HealthChecker]:
            from nadia.app.health import open_health_checker

            return open_health_checker(config)

        self.resources = Resources(database=self.database, opens_checker=opens_checker)

        def opens(name: str, actor: str) -> AbstractAsyncContextManager[AnyWorkflow]:
            return open_workflow(config, name, actor=actor)

        actions = Actions(database=self.database, opens=opens).tools() if allow_actions else []
        self.tools: list[OperatorTool] = [*workflow_tools(opens), *actions]

    def role_for(self, subject: str) -> Role | None:
        """Return the role that a tool, or what is at an address, needs; None of what there is not."""
        if "://" in subject:
            return self.resources.role_for(subject)
        return next((tool.role for tool in self.tools if tool.name == subject), None)

    def server(self, caller_of: TellsCaller) -> Server[Any]:
        """Return the protocol's server for callers that are found out like this."""
        return build_server(tools=self.tools, resources=self.resources, caller_of=caller_of)


async def serve_stdio(config: Config, *, allow_actions: bool, actor: str) -> None:
    """Serve whoever started this process, over standard input and output, until the input ends.

    They have the role admin: who may start a process on this home may run every command on it.
    """
    # A thread waits for the input and would hold up the end that Ctrl-C asks for; nothing here needs an orderly one.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    assistance = Assistance(config, allow_actions=allow_actions)
    caller = Caller(actor=actor, role=Role.ADMIN)
    server = assistance.server(lambda _: caller)
    try:
        async with stdio_server() as (reading, writing):
            log.info("mcp.serving", transport="stdio", actions=allow_actions)
            await server.run(reading, writing, server.create_initialization_options())
    finally:
        await assistance.database.close()


@asynccontextmanager
async def serving_http(config: Config, *, allow_actions: bool) -> AsyncIterator[str]:
    """Serve holders of tokens over HTTP during the block; yields the address.

    Raises
    ------
    ConfigurationError
        If the address or port cannot be listened on.
    """
    settings = config.mcp
    settings.require_startable(secret_key=config.web.secret_key)
    listener = _listen(settings.host, settings.port)
    assistance = Assistance(config, allow_actions=allow_actions)
    protocol = assistance.server(caller_of_request).streamable_http_app(
        streamable_http_path=PATH,
        # Each request stands for itself: nothing of a session can be lost, or taken over by another token.
        stateless_http=True,
        json_response=True,
        max_request_body_size=MOST_BYTES,
        transport_security=TransportSecuritySettings(enable_dns_rebinding_protection=False),  # the gate does that
    )
    gate = HttpGate(
        protocol,
        database=assistance.database,
        host_names=settings.host_names,
        role_for=assistance.role_for,
    )
    server = _Server(
        uvicorn.Config(
            gate,
            http="h11",
            ws="none",
            lifespan="on",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=bool(config.web.trusted_proxies),
            forwarded_allow_ips=list(config.web.trusted_proxies),
            timeout_graceful_shutdown=_GRACE_SECONDS,
            limit_concurrency=_MOST_CONNECTIONS,
        )
    )
    running = asyncio.create_task(server.serve(sockets=[listener]), name="mcp.serve")
    try:
        answering = asyncio.create_task(server.answering.wait())
        await asyncio.wait({running, answering}, return_when=asyncio.FIRST_COMPLETED)
        answering.cancel()
        host, port = listener.getsockname()[:2]
        url = f"http://{f'[{host}]' if ':' in host else host}:{port}{PATH}"
        log.info("mcp.serving", transport="http", url=url, actions=allow_actions)
        yield url
    finally:
        server.should_exit = True
        await running
        listener.close()
        await assistance.database.close()


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
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        return socket.create_server(address[:2], family=family)
    except OSError as exc:
        raise ConfigurationError(
            f"cannot listen on {host}:{port}: {exc.strerror}",
            hint="check NADIA_MCP_HOST, or choose another NADIA_MCP_PORT (0 takes any free one)",
        ) from exc
