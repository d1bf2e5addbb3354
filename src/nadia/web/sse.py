"""Live pages: a stream of server-sent events that ends when it should.

``return event_stream(request, events)`` where ``events`` is an async iterator of :class:`ServerEvent`. The stream
says something every 15 seconds so that proxies keep it and lost browsers are noticed, looks then whether the session
still holds, and ends when the server is about to stop; browsers reconnect by themselves (``static/js/live.js``).
"""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from starlette.requests import Request
from starlette.responses import StreamingResponse

from nadia.accounts.errors import UnauthenticatedError
from nadia.errors import UnavailableError
from nadia.web.context import web_context
from nadia.web.identity import identify

HEARTBEAT_SECONDS: Final = 15.0
RECONNECT_MILLISECONDS: Final = 2_000


@dataclass(frozen=True, slots=True)
class ServerEvent:
    """One event for a page.

    Parameters
    ----------
    name : str
        What happened; pages listen by name.
    data : mapping
        Anything JSON can hold.
    id : str, optional
        Where in its history this event is; a browser that reconnects sends it back as ``Last-Event-ID``.
    """

    name: str
    data: Mapping[str, object]
    id: str | None = None

    def encode(self) -> bytes:
        """Return the event as it goes over the wire."""
        # ensure_ascii keeps line separators that are not newlines (U+2028) out of the framing
        lines = [f"event: {self.name}", f"data: {json.dumps(self.data, ensure_ascii=True)}"]
        if self.id is not None:
            lines.insert(0, f"id: {self.id}")
        return ("\n".join(lines) + "\n\n").encode()


def event_stream(
    request: Request, events: AsyncIterator[ServerEvent], *, heartbeat_seconds: float = HEARTBEAT_SECONDS
) -> StreamingResponse:
    """Answer a request with a live stream.

    Parameters
    ----------
    request : Request
        The request to answer; who made it is looked up again with every heartbeat.
    events : async iterator of ServerEvent
        Where the events come from; closed when the stream ends.
    heartbeat_seconds : float
        Longest silence, seconds.
    """
    body = _encoded(request, events, heartbeat_seconds)
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(body, media_type="text/event-stream", headers=headers)


async def _encoded(
    request: Request, events: AsyncIterator[ServerEvent], heartbeat_seconds: float
) -> AsyncIterator[bytes]:
    closing = asyncio.create_task(web_context(request).closing.wait())
    upcoming: asyncio.Task[ServerEvent | None] | None = None
    try:
        yield f"retry: {RECONNECT_MILLISECONDS}\n\n".encode()
        while True:
            upcoming = upcoming or asyncio.create_task(_next(events))
            done, _ = await asyncio.wait(
                {upcoming, closing}, timeout=heartbeat_seconds, return_when=asyncio.FIRST_COMPLETED
            )
            if closing in done:
                return
            if upcoming not in done:
                if not await _still_welcome(request):
                    return
                yield b": still here\n\n"
                continue
            event, upcoming = upcoming.result(), None
            if event is None:
                return
            yield event.encode()
    finally:
        for task in (closing, upcoming):
            if task is not None:
                task.cancel()
        if upcoming is not None:
            with suppress(asyncio.CancelledError, Exception):
                await upcoming
        if hasattr(events, "aclose"):
            await events.aclose()


async def _next(events: AsyncIterator[ServerEvent]) -> ServerEvent | None:
    return await anext(events, None)


async def _still_welcome(request: Request) -> bool:
    """Say whether the session holds; while PostgreSQL is away nobody is thrown out."""
    request.state.principal = None
    try:
        await identify(request)
    except UnauthenticatedError:
        return False
    except UnavailableError:
        return True
    return True
