"""Live updates for pages: what changed, by its ids, as server-sent events.

Two kinds of event: ``change`` says what happened to which conversation, ``refresh`` that the page may have missed
something and should read its state anew. Nothing depends on a single one arriving: while Redis is away pages are told
to refresh every few seconds, and what they then read comes from PostgreSQL.
"""

from collections import Counter
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, contextmanager
from typing import Annotated, Final

from fastapi import APIRouter, Header, Query
from starlette.requests import Request
from starlette.responses import StreamingResponse

from nadia.accounts.errors import ThrottledError
from nadia.redis.events import LiveEvents
from nadia.redis.live_feed import Gap, LiveFeed
from nadia.web.errors import ErrorBody
from nadia.web.identity import Viewer
from nadia.web.sse import ServerEvent, event_stream

REFRESH_SECONDS: Final = 3.0
"""How often pages are told to refresh while Redis is away."""
MOST_STREAMS: Final = 20
"""Live streams that one account may have open in one process; a page has one while it is in view."""
_RETRY_AFTER_SECONDS: Final = 15

# A position of a Redis stream: milliseconds and a counter, both 64-bit.
Position = Annotated[str, Query(pattern=r"^\d{1,19}-\d{1,19}$", max_length=40)]


def live_router(*, events: LiveEvents, refresh_seconds: float = REFRESH_SECONDS) -> APIRouter:
    """Build the route that pages listen to.

    Parameters
    ----------
    events : LiveEvents
        Where the events come from.
    refresh_seconds : float
        How often pages are told to refresh while Redis is away, seconds.
    """
    router = APIRouter(tags=["desk"])
    feed = LiveFeed(events=events, retry_seconds=refresh_seconds)
    seats = Seats(most=MOST_STREAMS)

    @router.get(
        "/api/v1/live",
        response_class=StreamingResponse,
        responses={
            200: {"content": {"text/event-stream": {}}, "description": "The stream; it does not end by itself."},
            429: {"model": ErrorBody, "description": f"The account has {MOST_STREAMS} streams open already."},
        },
    )
    async def live(
        request: Request,
        who: Viewer,
        last_event_id: Annotated[Position | None, Query(description="Go on after this event.")] = None,
        last_event_id_header: Annotated[str | None, Header(alias="Last-Event-ID", max_length=40)] = None,
    ) -> StreamingResponse:
        """Follow what happens, as server-sent events ``change`` and ``refresh``."""
        position = last_event_id or (last_event_id_header if _is_position(last_event_id_header) else None)
        return event_stream(request, follow(feed, position), admission=seats.taken_by(who.account.id))

    return router


class Seats:
    """How many live streams each account has open.

    Parameters
    ----------
    most : int
        Streams that one account may have open.
    """

    def __init__(self, *, most: int) -> None:
        self._most = most
        self._taken: Counter[int] = Counter()

    @contextmanager
    def taken_by(self, account_id: int) -> Iterator[None]:
        """Count one stream while it is open.

        Raises
        ------
        ThrottledError
            If the account has no seat left.
        """
        if self._taken[account_id] >= self._most:
            raise ThrottledError(
                f"this account has {self._most} live pages open already; close some", retry_after=_RETRY_AFTER_SECONDS
            )
        self._taken[account_id] += 1
        try:
            yield
        finally:
            self._taken[account_id] -= 1
            if not self._taken[account_id]:
                del self._taken[account_id]


async def follow(feed: LiveFeed, position: str | None) -> AsyncGenerator[ServerEvent, None]:
    """Yield what happens after a position, from now on without one.

    Parameters
    ----------
    feed : LiveFeed
        Where the events come from.
    position : str or None
        The last event that the page has seen.
    """
    async with aclosing(feed.follow(position)) as items:
        async for item in items:
            if isinstance(item, Gap):
                yield ServerEvent("refresh", {}, id=item.position)
            else:
                yield ServerEvent("change", {"kind": item.kind, "fields": dict(item.fields)}, id=item.id)


def _is_position(text: str | None) -> bool:
    left, dash, right = (text or "").partition("-")
    return bool(dash) and left.isdecimal() and right.isdecimal() and left.isascii() and right.isascii()
