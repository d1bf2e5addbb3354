"""Only requests for our own host names are answered.

A page of another site whose name is made to lead to this machine (DNS rebinding) could otherwise read what we answer.
"""

from typing import Final

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from nadia.settings.web import bare_host
from nadia.web.errors import WrongHostError, error_response

# Orchestrators and watchers probe by address; these say nothing that a stranger may not know.
_OPEN_PATHS: Final = frozenset({"/livez", "/readyz", "/heartbeat"})


class HostGate:
    """ASGI middleware that refuses requests for other hosts."""

    def __init__(self, app: ASGIApp, *, names: frozenset[str]) -> None:
        self._app = app
        self._names = names

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check one request."""
        if scope["type"] == "http" and scope["path"] not in _OPEN_PATHS:
            request = Request(scope)
            hosts = request.headers.getlist("host")
            if len(hosts) != 1 or bare_host(hosts[0]) not in self._names:
                problem = WrongHostError(
                    "this is not a name that NADIA answers to",
                    hint="add it to NADIA_WEB_ALLOWED_HOSTS, or set NADIA_WEB_PUBLIC_URL",
                )
                await error_response(request, problem)(scope, receive, send)
                return
        await self._app(scope, receive, send)
