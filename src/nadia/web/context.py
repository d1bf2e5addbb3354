"""What every request handler may ask for, held by the application once."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, cast

from starlette.requests import HTTPConnection

from nadia.accounts.service import AccountService
from nadia.settings.web import WebSettings

if TYPE_CHECKING:
    from nadia.web.csrf import CsrfKey
    from nadia.web.pages import PageRenderer


@dataclass(frozen=True, slots=True)
class Banner:
    """A line above every page, such as "Sending is paused".

    ``key`` names it for the page's scripts, which change or remove it while the page is open.
    """

    key: str
    text: str
    tone: Literal["info", "warn", "bad"] = "warn"


StatusProvider = Callable[[], Awaitable[Sequence[Banner]]]
ReadinessCheck = Callable[[], Awaitable[bool]]


@dataclass(frozen=True, slots=True)
class WebContext:
    """Services that the web's own handlers use; routers of other domains bring theirs along."""

    settings: WebSettings
    accounts: AccountService
    csrf: "CsrfKey"
    pages: "PageRenderer"
    ready: ReadinessCheck
    status: StatusProvider | None = None
    closing: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the server is about to stop: live streams end."""


def web_context(connection: HTTPConnection) -> WebContext:
    """Return the application's context."""
    return cast(WebContext, connection.app.state.nadia)
