"""What an HTTP request passes before the protocol sees it: host, origin, token, size, role.

Tokens are those of the web accounts. There are no sessions: each request shows its token, so a revoked one ends at
once. The statuses are those of the protocol's authorisation chapter: 401 where nobody valid asks, 403 where the role
does not suffice.
"""

import asyncio
import json
from collections.abc import Callable, Collection
from typing import Any, Final
from urllib.parse import urlsplit

import structlog
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from nadia.accounts.api_tokens import TokenService
from nadia.accounts.errors import ThrottledError, UnauthenticatedError
from nadia.accounts.models import Principal, Role
from nadia.accounts.throttle import AddressThrottle
from nadia.clock import Clock, utc_now
from nadia.errors import NadiaError, RefusedError, UnavailableError
from nadia.mcp_server.caller import Caller
from nadia.mcp_server.database import LazyDatabase
from nadia.mcp_server.server import Context
from nadia.settings.web import bare_host

log = structlog.get_logger(__name__)

PATH: Final = "/mcp"
MOST_BYTES: Final = 256 * 1024
MOST_SECONDS: Final = 15.0
"""Longest that a body may take to arrive."""
LOOK_UP_SECONDS: Final = 3.0
"""Longest that finding out who asks may take, as long as one attempt to connect."""

_CALLER: Final = "nadia.caller"
_REALM: Final = 'Bearer realm="NADIA"'
_SUBJECTS: Final = {"tools/call": "name", "resources/read": "uri"}
"""Methods for which the role matters, and what of them says which role."""


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
    role_for : callable
        Returns the role that a tool, or what is at an address, needs; None of what there is not.
    clock : callable
        Returns the present.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        database: LazyDatabase,
        host_names: Collection[str],
        role_for: Callable[[str], Role | None],
        clock: Clock = utc_now,
    ) -> None:
        self._app = app
        self._database = database
        self._host_names = host_names
        self._role_for = role_for
        self._clock = clock
        self._throttle = AddressThrottle(clock=clock)
        self._looking_up: set[asyncio.Task[Principal]] = set()

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
            await self._answer(scope, body, receive, send)

    async def _answer(self, scope: Scope, body: bytes, receive: Receive, send: Send) -> None:
        """Let the protocol answer; whose client has left, is left too."""
        answered = False

        async def sending(message: Message) -> None:
            nonlocal answered
            answered = message["type"] == "http.response.body" and not message.get("more_body", False)
            await send(message)

        answering = asyncio.ensure_future(self._app(scope, _replay(body), sending))
        leaving = asyncio.ensure_future(_departure(receive))
        try:
            await asyncio.wait({answering, leaving}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            leaving.cancel()
            if not answered:  # else it is about to end, and tidies up
                answering.cancel()
            await asyncio.wait({answering, leaving})
        if not answering.cancelled():
            answering.result()

    def _check_address(self, request: Request) -> None:
        """Refuse what a page of another site could have sent (DNS rebinding), and what is not there."""
        hosts = request.headers.getlist("host")
        if len(hosts) != 1 or bare_host(hosts[0]) not in self._host_names:
            raise _Refusal(421, "this is not a name that NADIA answers to", "add it to NADIA_MCP_ALLOWED_HOSTS")
        origin = request.headers.get("origin")
        if origin is not None and _host_of(origin) not in self._host_names:
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
            self._throttle.check(address)
            principal = await self._look_up(secret.strip())
        except ThrottledError as exc:
            raise _too_many(exc) from exc
        except UnauthenticatedError as exc:
            try:
                self._throttle.take(address)
            except ThrottledError as throttled:
                raise _too_many(throttled) from throttled
            log.warning("mcp.token_refused", address=address)
            challenge = f'{_REALM}, error="invalid_token"'
            raise _Refusal(401, exc.message, exc.hint, **{"WWW-Authenticate": challenge}) from exc
        except NadiaError as exc:
            # Why exactly is for the operator: whoever asks is a stranger still.
            log.warning("mcp.tokens_unreadable", error=exc.message)
            hint = "try again in a moment; the server's log says more"
            raise _Refusal(503, "PostgreSQL is away: tokens cannot be looked at", hint) from exc
        return Caller(actor=principal.actor, role=principal.role, token=principal.token_name)

    async def _look_up(self, secret: str) -> Principal:
        """Return whom a token stands for; raises UnavailableError where that does not become known soon."""

        async def resolve() -> Principal:
            return await TokenService(database=await self._database.get(), clock=self._clock).resolve(secret)

        task = asyncio.create_task(resolve(), name="mcp.look-up")
        self._looking_up.add(task)
        task.add_done_callback(self._looked_up)
        # Not `asyncio.timeout`, which waits until the driver has given up what it is told to: that takes it 10 s more.
        try:
            await asyncio.wait({task}, timeout=LOOK_UP_SECONDS)
        finally:
            task.cancel()
        if not task.done():
            raise UnavailableError("PostgreSQL does not answer", hint="look for what holds it up")
        return task.result()

    def _looked_up(self, task: asyncio.Task[Principal]) -> None:
        self._looking_up.discard(task)
        if not task.cancelled():
            task.exception()  # somebody waited for it, or nobody needs to know

    def _check_role(self, caller: Caller, body: bytes) -> None:
        """Refuse what needs more than the token has."""
        needed = self._role_for(_subject_of(body))
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


def _too_many(exc: ThrottledError) -> _Refusal:
    return _Refusal(429, exc.message, exc.hint, **{"Retry-After": str(exc.retry_after)})


def _host_of(origin: str) -> str:
    """Return the host of an origin; nothing of what is none."""
    try:
        return bare_host(urlsplit(origin).netloc)
    except ValueError:
        return ""


def _subject_of(body: bytes) -> str:
    """Return the tool that a request calls, or the address that it reads; nothing of what does neither."""
    try:
        message: Any = json.loads(body)
    except (ValueError, RecursionError):
        return ""
    if not isinstance(message, dict):
        return ""
    params, key = message.get("params"), _SUBJECTS.get(str(message.get("method")), "")
    subject = params.get(key) if isinstance(params, dict) else None
    return subject if isinstance(subject, str) else ""


def _replay(body: bytes) -> Receive:
    """Return a channel that gives the body once more, and nothing after it: that the client leaves is noticed here."""
    given = False

    async def replaying() -> Message:
        nonlocal given
        if given:
            await asyncio.Event().wait()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replaying


async def _departure(receive: Receive) -> None:
    """Wait until the client has left, or has its answer."""
    while (await receive())["type"] != "http.disconnect":
        pass
