"""What an HTTP request passes before the protocol sees it: host, origin, token, size, role.

Tokens are those of the web accounts. There are no sessions: each request shows its token, so a revoked one ends at
once. The statuses are those of the protocol's authorisation chapter: 401 where nobody valid asks, 403 where the role
does not suffice.
"""

import asyncio
import json
from collections.abc import Collection, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

import structlog
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from nadia.accounts.api_tokens import TokenService
from nadia.accounts.errors import ThrottledError, UnauthenticatedError
from nadia.accounts.models import Role
from nadia.accounts.throttle import AddressThrottle
from nadia.clock import Clock, utc_now
from nadia.errors import NadiaError, RefusedError
from nadia.mcp_server.caller import Caller
from nadia.mcp_server.database import LazyDatabase
from nadia.mcp_server.server import Context
from nadia.settings.web import bare_host

log = structlog.get_logger(__name__)

PATH: Final = "/mcp"
MOST_BYTES: Final = 256 * 1024
MOST_SECONDS: Final = 15.0
"""Longest that a body may take to arrive."""

_CALLER: Final = "nadia.caller"
_REALM: Final = 'Bearer realm="NADIA"'


def caller_of_request(ctx: Context) -> Caller:
    """Return who made the request that a message came with; raises RefusedError if nobody was let in."""
    request = ctx.request
    caller = request.scope.get(_CALLER) if isinstance(request, Request) else None
    if not isinstance(caller, Caller):
        raise RefusedError("nobody is known to have asked")
    return caller


class HttpGate:
    """ASGI middleware around the protocol's own application.

    Parameters
    ----------
    app : ASGI application
        The protocol.
    database : LazyDatabase
        Where tokens are.
    host_names : collection of str
        What requests may be for, without port.
    roles : mapping
        Tool to the role that it needs.
    clock : callable
        Returns the present.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        database: LazyDatabase,
        host_names: Collection[str],
        roles: Mapping[str, Role],
        clock: Clock = utc_now,
    ) -> None:
        self._app = app
        self._database = database
        self._host_names = host_names
        self._roles = roles
        self._clock = clock
        self._throttle = AddressThrottle(clock=clock)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or answer it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive)
        try:
            self._check_address(request)
            caller = await self._admit(request)
            body = await _body(request)
            self._check_role(caller, body)
        except _Refusal as refusal:
            await refusal.response(scope, receive, send)
        except ClientDisconnect:
            return
        else:
            scope[_CALLER] = caller
            await self._app(scope, _replay(body, receive), send)

    def _check_address(self, request: Request) -> None:
        """Refuse what a page of another site could have sent (DNS rebinding), and what is not there."""
        hosts = request.headers.getlist("host")
        if len(hosts) != 1 or bare_host(hosts[0]) not in self._host_names:
            raise _Refusal(421, "this is not a name that NADIA answers to", "add it to NADIA_MCP_ALLOWED_HOSTS")
        origin = request.headers.get("origin")
        if origin is not None and bare_host(urlsplit(origin).netloc) not in self._host_names:
            raise _Refusal(403, "pages of this origin may not ask", "add its host to NADIA_MCP_ALLOWED_HOSTS")
        if request.url.path != PATH:
            raise _Refusal(404, "there is nothing here", f"the protocol is at {PATH}")
        if request.method != "POST":
            # Nothing is ever sent unasked, so there is no stream to open and no session to end.
            raise _Refusal(405, "only POST is understood", "a client of the protocol does that", Allow="POST")

    async def _admit(self, request: Request) -> Caller:
        """Find out who asks."""
        scheme, _, secret = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not secret.strip():
            hint = "send a token made under “Me” as Authorization: Bearer"
            raise _Refusal(401, "no token came with the request", hint, **{"WWW-Authenticate": _REALM})
        address = request.client.host if request.client else "unknown"
        try:
            self._throttle.take(address)
            tokens = TokenService(database=await self._database.get(), clock=self._clock)
            principal = await tokens.resolve(secret.strip())
        except ThrottledError as exc:
            raise _Refusal(429, exc.message, exc.hint, **{"Retry-After": str(exc.retry_after)}) from exc
        except UnauthenticatedError as exc:
            log.warning("mcp.token_refused", address=address)
            challenge = f'{_REALM}, error="invalid_token"'
            raise _Refusal(401, exc.message, exc.hint, **{"WWW-Authenticate": challenge}) from exc
        except NadiaError as exc:
            # Why exactly is for the operator: whoever asks is a stranger still.
            log.warning("mcp.tokens_unreadable", error=exc.message)
            self._throttle.give_back(address)
            hint = "try again in a moment; the server's log says more"
            raise _Refusal(503, "PostgreSQL is away: tokens cannot be looked at", hint) from exc
        self._throttle.give_back(address)
        return Caller(actor=principal.actor, role=principal.role, token=principal.token_name)

    def _check_role(self, caller: Caller, body: bytes) -> None:
        """Refuse a call of a tool that needs more than the token has."""
        needed = self._roles.get(_tool_of(body))
        if needed is not None and not caller.role.covers(needed):
            raise _Refusal(
                403,
                f"this needs the role {needed}; the token has {caller.role}",
                "use a token that holds that role",
                **{"WWW-Authenticate": f'{_REALM}, error="insufficient_scope", scope="{needed}"'},
            )


class _Refusal(Exception):  # noqa: N818 - an answer, not an error
    """Ends a request with an answer."""

    def __init__(self, status: int, message: str, hint: str | None, **headers: str) -> None:
        super().__init__(message)
        self.response = JSONResponse({"error": message, "hint": hint}, status_code=status, headers=headers)


async def _body(request: Request) -> bytes:
    """Return the body."""
    body = b""
    try:
        async with asyncio.timeout(MOST_SECONDS):
            async for chunk in request.stream():
                body += chunk
                if len(body) > MOST_BYTES:
                    limit = f"a request may carry at most {MOST_BYTES // 1024} KB"
                    raise _Refusal(413, limit, "ask for less at once", Connection="close")
    except TimeoutError as exc:
        slow = f"the request did not arrive within {MOST_SECONDS:g} seconds"
        raise _Refusal(408, slow, "try again", Connection="close") from exc
    return body


def _tool_of(body: bytes) -> str:
    """Return the tool that a request calls, or nothing; what is no request is the protocol's to refuse."""
    try:
        message: Any = json.loads(body)
    except (ValueError, RecursionError):
        return ""
    if not isinstance(message, dict) or message.get("method") != "tools/call":
        return ""
    params = message.get("params")
    name = params.get("name") if isinstance(params, dict) else None
    return name if isinstance(name, str) else ""


def _replay(body: bytes, receive: Receive) -> Receive:
    """Return a channel that gives the body once more, then whatever comes (the client going away)."""
    given = False

    async def replaying() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replaying
