"""Requests that change something must come from our own pages.

A browser sends cookies along with whatever site's form or script asks it to. So an unsafe request under a session
cookie needs a token that only our pages know, and no request that a browser marks as another site's is taken. Bearer
tokens are not sent by browsers on their own and need neither, as long as no cookie comes along that a handler could act
on.
"""

import hashlib
import hmac
from typing import Final
from urllib.parse import urlsplit

from pydantic import SecretStr
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from nadia.errors import RefusedError
from nadia.web.errors import error_response

SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
HEADER: Final = "x-csrf-token"

# These act on what their body proves, not on the cookie; the page that calls them may not know the cookie's token.
_PROVING_PATHS: Final = frozenset({"/api/v1/session/link", "/api/v1/session/password"})
_LOG_IN: Final = ("POST", "/api/v1/session")


class CrossSiteError(RefusedError):
    """A browser says that another site's page made this request."""


class CsrfError(RefusedError):
    """The CSRF token is missing or belongs to another session."""


class CsrfKey:
    """Makes and checks the token of a session.

    Parameters
    ----------
    secret_key : SecretStr
        The installation's secret key.
    """

    def __init__(self, secret_key: SecretStr) -> None:
        self._key = hmac.digest(secret_key.get_secret_value().encode(), b"nadia csrf v1", "sha256")

    def token_for(self, session_secret: str) -> str:
        """Return the token bound to a session cookie's value."""
        return hmac.new(self._key, session_secret.encode(), hashlib.sha256).hexdigest()

    def matches(self, session_secret: str, token: str) -> bool:
        """Say whether the token is this session's, in constant time."""
        return hmac.compare_digest(self.token_for(session_secret).encode(), token.encode())


class CsrfGate:
    """ASGI middleware that lets unsafe requests through only when they are our own."""

    def __init__(self, app: ASGIApp, *, key: CsrfKey, cookie: str) -> None:
        self._app = app
        self._key = key
        self._cookie = cookie

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check one request."""
        if scope["type"] == "http" and scope["method"] not in SAFE_METHODS:
            request = Request(scope)
            problem = None if self._stands_on_a_token(request) else self._problem(request)
            if problem is not None:
                await error_response(request, problem)(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _stands_on_a_token(self, request: Request) -> bool:
        bearer = request.headers.get("authorization", "").lower().startswith("bearer ")
        return bearer and self._cookie not in request.cookies

    def _problem(self, request: Request) -> RefusedError | None:
        if _is_cross_site(request):
            return CrossSiteError("this request came from another site's page", hint="open NADIA itself and try there")
        session_secret = request.cookies.get(self._cookie)
        if session_secret is None or _proves_itself(request):
            return None
        if not self._key.matches(session_secret, request.headers.get(HEADER, "")):
            return CsrfError("this page is out of date", hint="reload the page and try again")
        return None


def _proves_itself(request: Request) -> bool:
    path = request.url.path
    return path in _PROVING_PATHS or (request.method, path) == _LOG_IN


def _is_cross_site(request: Request) -> bool:
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site not in ("same-origin", "none")
    origin = request.headers.get("origin")
    if origin is None:
        return False  # not a browser; a cookie still needs its token
    # Only the host is compared: behind a proxy that ends TLS the scheme that we see is not the browser's.
    try:
        return urlsplit(origin).netloc.lower() != request.headers.get("host", "").lower()
    except ValueError:
        return True
