"""Live updates for pages: what changed, by its ids, as server-sent events.

Two kinds of event: ``change`` says what happened to which conversation, ``refresh`` that the page may have missed
something and should read its state anew. Nothing depends on a single one arriving: while Redis is away pages are told
to refresh every few seconds, and what they then read comes from PostgreSQL.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated, Final

from fastapi import APIRouter, Header, Query
from starlette.requests import Request
from starlette.responses import StreamingResponse

from nadia.errors import UnavailableError
from nadia.redis.events import LiveEvents
from nadia.web.identity import Viewer
from nadia.web.sse import ServerEvent, event_stream

REFRESH_SECONDS: Final = 3.0
"""How often pages are told to refresh while Redis is away."""

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

    @router.get(
        "/api/v1/live",
        response_class=StreamingResponse,
        responses={
            200: {"content": {"text/event-stream": {}}, "description": "The stream; it does not end by itself."}
        },
    )
    async def live(
        request: Request,
        _: Viewer,
        last_event_id: Annotated[Position | None, Query(description="Go on after this event.")] = None,
        last_event_id_header: Annotated[str | None, Header(alias="Last-Event-ID", max_length=40)] = None,
    ) -> StreamingResponse:
        """Follow what happens, as server-sent events ``change`` and ``refresh``."""
        position = last_event_id or (last_event_id_header if _is_position(last_event_id_header) else None)
        return event_stream(request, follow(events, position, refresh_seconds=refresh_seconds))

    return router


async def follow(
    events: LiveEvents, position: str | None, *, refresh_seconds: float = REFRESH_SECONDS
) -> AsyncIterator[ServerEvent]:
    """Yield what happens after a position, from now on without one.

    Parameters
    ----------
    events : LiveEvents
        Where the events come from.
    position : str or None
        The last event that the page has seen.
    refresh_seconds : float
        Pause between two tries while Redis is away, seconds.
    """
    while True:
        try:
            if position is None:
                position = await events.latest_id()
                # What happened between the page's answer and this moment, nobody told it.
                yield ServerEvent("refresh", {}, id=position)
            for event in await events.after(position):
                position = event.id
                yield ServerEvent("change", {"kind": event.kind, "fields": dict(event.fields)}, id=event.id)
        except UnavailableError:
            # A Redis that comes back may have lost its stream: the old position is worth nothing.
            position = None
            yield ServerEvent("refresh", {})
            await asyncio.sleep(refresh_seconds)


def _is_position(text: str | None) -> bool:
    left, dash, right = (text or "").partition("-")
    return bool(dash) and left.isdecimal() and right.isdecimal() and left.isascii() and right.isascii()
