"""Who asks: the session cookie or a bearer token, and what they may do.

Handlers take ``reviewer: Reviewer`` (or ``Viewer``, ``Admin``); whoever is not that is sent to log in (pages) or gets
401 or 403 (API).
"""

from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import Depends, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.requests import Request
from starlette.responses import Response

from nadia.accounts.errors import UnauthenticatedError
from nadia.accounts.models import Principal, Role
from nadia.accounts.sessions import NewSession
from nadia.errors import RefusedError
from nadia.settings.web import WebSettings
from nadia.web.context import web_context

_bearer = HTTPBearer(auto_error=False, description="A token made under “Me”, starting with nadia_.")
Bearer = Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)]


def cookie_name(settings: WebSettings) -> str:
    """Return the session cookie's name; ``__Host-`` ties a secure one to exactly this host."""
    return "__Host-nadia-session" if settings.cookies_are_secure else "nadia-session"


def session_cookie(request: Request) -> str | None:
    """Return the session's secret that the browser sent, if any."""
    return request.cookies.get(cookie_name(web_context(request).settings))


def set_session_cookie(request: Request, response: Response, session: NewSession) -> None:
    """Give the browser a session."""
    context = web_context(request)
    response.set_cookie(
        cookie_name(context.settings),
        session.secret,
        max_age=context.settings.session_lifetime_seconds,
        path="/",
        secure=context.settings.cookies_are_secure,
        httponly=True,
        samesite="strict",
    )


def clear_session_cookie(request: Request, response: Response) -> None:
    """Take the session from the browser."""
    settings = web_context(request).settings
    response.delete_cookie(
        cookie_name(settings), path="/", secure=settings.cookies_are_secure, httponly=True, samesite="strict"
    )


async def identify(request: Request) -> Principal:
    """Say who makes this request.

    Raises
    ------
    UnauthenticatedError
        If neither a valid bearer token nor a valid session came with it.
    """
    known: Principal | None = getattr(request.state, "principal", None)
    if known is not None:
        return known
    accounts = web_context(request).accounts
    scheme, _, secret = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        principal = await accounts.tokens.resolve(secret.strip())
    elif cookie := session_cookie(request):
        principal = await accounts.sessions.resolve(cookie)
    else:
        raise UnauthenticatedError("nobody is logged in", hint="log in, or send a token as Authorization: Bearer")
    request.state.principal = principal
    return principal


def require(role: Role, *, in_person: bool = False) -> Callable[[Request, Bearer], Awaitable[Principal]]:
    """Return a dependency that yields who asks if their role covers ``role``.

    Parameters
    ----------
    role : Role
        The least that is needed.
    in_person : bool
        Refuse tokens: one that leaked must not change who may do what.
    """

    async def required(request: Request, _: Bearer = None) -> Principal:
        principal = await (require_session if in_person else identify)(request)
        if not principal.role.covers(role):
            raise RefusedError(
                f"this needs the role {role}, {principal.account.name} has {principal.role}",
                hint="an admin can change roles under Accounts",
            )
        return principal

    return required


async def require_session(request: Request) -> Principal:
    """Yield who asks if they are there in person: a leaked token must not change passwords or make tokens."""
    principal = await identify(request)
    if principal.via != "session":
        raise RefusedError("this cannot be done with a token", hint="log in with a browser")
    return principal


Viewer = Annotated[Principal, Depends(require(Role.VIEWER))]
Reviewer = Annotated[Principal, Depends(require(Role.REVIEWER))]
Admin = Annotated[Principal, Depends(require(Role.ADMIN))]
AdminInPerson = Annotated[Principal, Depends(require(Role.ADMIN, in_person=True))]
InPerson = Annotated[Principal, Depends(require_session)]
