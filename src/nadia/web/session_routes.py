"""Logging in and out: the pages and the API behind them."""

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from nadia.accounts.errors import UnauthenticatedError
from nadia.web.context import web_context
from nadia.web.errors import ErrorBody
from nadia.web.fields import AccountName, Code, LinkSecret, Password, RequestBody
from nadia.web.identity import clear_session_cookie, identify, session_cookie, set_session_cookie
from nadia.web.pages import page

router = APIRouter()


class LogIn(RequestBody):
    """Who wants to log in."""

    name: AccountName
    password: Password
    code: Code | None = None


class LinkUse(RequestBody):
    """The secret of a one-time log-in link."""

    token: LinkSecret


class PasswordByLink(RequestBody):
    """The secret of an invitation or reset link, and the password to be."""

    token: LinkSecret
    password: Password


class LoggedIn(BaseModel):
    """Whether a session began; if not, a second factor is still to be shown at the log-in page."""

    name: str
    logged_in: bool


@router.get("/login", include_in_schema=False)
async def login_page(request: Request, next: Annotated[str, Query()] = "") -> Response:  # noqa: A002 - as in the address
    """Show the log-in form, or go on if there is a session."""
    try:
        await identify(request)
    except UnauthenticatedError:
        return await page(request, "login.html", next=local_path(next))
    return RedirectResponse(local_path(next), status_code=303)


@router.get("/welcome", include_in_schema=False)
async def welcome_page(request: Request) -> Response:
    """Show the form in which an invitation or reset link sets a password."""
    return await page(request, "welcome.html")


@router.post("/api/v1/session", tags=["session"], responses={401: {"model": ErrorBody}, 429: {"model": ErrorBody}})
async def log_in(request: Request, response: Response, body: LogIn) -> LoggedIn:
    """Log in with name, password and, where enrolled, a code of the second factor."""
    session = await web_context(request).accounts.sessions.log_in(
        name=body.name,
        password=body.password,
        code=body.code,
        address=request.client.host if request.client else "unknown",
        user_agent=_user_agent(request),
    )
    set_session_cookie(request, response, session)
    return LoggedIn(name=session.account.name, logged_in=True)


@router.post("/api/v1/session/link", tags=["session"], responses={401: {"model": ErrorBody}})
async def log_in_by_link(request: Request, response: Response, body: LinkUse) -> LoggedIn:
    """Log in with a one-time link."""
    session = await web_context(request).accounts.sessions.log_in_by_link(body.token, user_agent=_user_agent(request))
    set_session_cookie(request, response, session)
    return LoggedIn(name=session.account.name, logged_in=True)


@router.post("/api/v1/session/password", tags=["session"], responses={401: {"model": ErrorBody}})
async def set_password(request: Request, response: Response, body: PasswordByLink) -> LoggedIn:
    """Choose a password with an invitation or reset link."""
    account, session = await web_context(request).accounts.set_password_by_link(
        body.token, body.password, user_agent=_user_agent(request)
    )
    if session is not None:
        set_session_cookie(request, response, session)
    return LoggedIn(name=account.name, logged_in=session is not None)


@router.delete("/api/v1/session", status_code=204, tags=["session"])
async def log_out(request: Request, response: Response) -> None:
    """Log out; without a session nothing happens."""
    if secret := session_cookie(request):
        await web_context(request).accounts.sessions.log_out(secret)
    clear_session_cookie(request, response)


def local_path(target: str) -> str:
    """Return where to go after logging in: a path of ours, whatever the address says.

    Browsers read ``//host`` and ``/\\host`` as another site, and drop tabs and line breaks before they look.
    """
    inside = target.startswith("/") and not target.startswith(("//", "/\\")) and target.isprintable()
    return target if inside and not target.startswith(("/login", "/welcome")) else "/"


def _user_agent(request: Request) -> str:
    # Header bytes are Latin-1; what is no text is of no use in a list of sessions.
    return "".join(letter for letter in request.headers.get("user-agent", "") if letter.isprintable())
