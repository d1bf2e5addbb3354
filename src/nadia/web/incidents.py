"""The outermost ring: what nobody expected becomes an incident with a number, and every request is counted."""

import secrets
import time
from typing import Final

import structlog
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from nadia.web import metrics
from nadia.web.errors import incident_response

log = structlog.get_logger(__name__)

_OPERATIONS: Final = frozenset({"/livez", "/readyz", "/heartbeat", "/metrics"})

_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class IncidentRing:
    """ASGI middleware that answers 500 without detail and writes the detail down."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, kind, started = time.monotonic(), _kind(scope["path"]), False

        async def counting_send(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                metrics.requests.labels(kind=kind, status=f"{message['status'] // 100}xx").inc()
                seconds = time.monotonic() - began
                metrics.response_seconds.labels(kind=kind).observe(seconds)
                metrics.route_seconds.labels(*_method_and_route(scope)).observe(seconds)
            await send(message)

        try:
            await self._app(scope, receive, counting_send)
        except Exception:
            incident = secrets.token_hex(4)
            # The path only: queries and bodies may hold what people typed.
            log.exception("web.incident", incident=incident, method=scope["method"], path=scope["path"])
            if started:
                raise  # too late for an answer; the server closes the connection
            await incident_response(Request(scope), incident)(scope, receive, counting_send)


def _method_and_route(scope: Scope) -> tuple[str, str]:
    """Name what was asked for by the template that answered it: paths hold ids, and strangers make others up."""
    method = str(scope["method"])
    route = getattr(scope.get("route"), "path_format", None) or (
        "/static" if _kind(scope["path"]) == "static" else "none"
    )
    return method if method in _METHODS else "other", str(route)


def _kind(path: str) -> str:
    if path in _OPERATIONS:
        return "operations"
    if path.startswith("/static/"):
        return "static"
    return "api" if path.startswith("/api/") else "page"
