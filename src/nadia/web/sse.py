"""Live pages: a stream of server-sent events that ends when it should.

``return event_stream(request, events)`` where ``events`` is an async iterator of :class:`ServerEvent`. The stream
says something every 15 seconds so that proxies keep it and lost browsers are noticed, looks then whether its reader is
still welcome, however busy it is, and ends when the server is about to stop; browsers reconnect by themselves
(``static/js/live.js``).
"""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from typing import Final

from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from nadia.accounts.errors import UnauthenticatedError
from nadia.accounts.models import Role
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
    request: Request,
    events: AsyncIterator[ServerEvent],
    *,
    heartbeat_seconds: float = HEARTBEAT_SECONDS,
    admission: AbstractContextManager[None] | None = None,
) -> StreamingResponse:
    """Answer a request with a live stream.

    Parameters
    ----------
    request : Request
        The request to answer; who made it is looked up again with every heartbeat.
    events : async iterator of ServerEvent
        Where the events come from; closed when the stream ends.
    heartbeat_seconds : float
        Longest silence, and longest time that someone who was thrown out goes on listening, seconds.
    admission : context manager, optional
        Entered before the answer begins, left when it has ended; it may raise what is answered instead.
    """
    body = _encoded(request, events, heartbeat_seconds)
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return _AdmittedStream(body, admission=admission or nullcontext(), media_type="text/event-stream", headers=headers)


class _AdmittedStream(StreamingResponse):
    """A streaming response that holds something for as long as it is being sent.

    The body's generator could not: one that nobody begins to read has no end that it would notice.
    """

    def __init__(
        self,
        body: AsyncIterator[bytes],
        *,
        admission: AbstractContextManager[None],
        media_type: str,
        headers: Mapping[str, str],
    ) -> None:
        super().__init__(body, media_type=media_type, headers=headers)
        self._admission = admission

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._admission:
            await super().__call__(scope, receive, send)


async def _encoded(
    request: Request, events: AsyncIterator[ServerEvent], heartbeat_seconds: float
) -> AsyncIterator[bytes]:
    now = asyncio.get_running_loop().time
    role = (await identify(request)).role
    closing = asyncio.create_task(web_context(request).closing.wait())
    upcoming: asyncio.Task[ServerEvent | None] | None = None
    try:
        yield f"retry: {RECONNECT_MILLISECONDS}\n\n".encode()
        look_at = now() + heartbeat_seconds
        while True:
            upcoming = upcoming or asyncio.create_task(_next(events))
            done, _ = await asyncio.wait(
                {upcoming, closing}, timeout=max(0.0, look_at - now()), return_when=asyncio.FIRST_COMPLETED
            )
            if closing in done:
                return
            # By the clock, not by silence: events that keep coming must not keep anyone in.
            if now() >= look_at:
                if not await _still_welcome(request, role):
                    return
                look_at = now() + heartbeat_seconds
                yield b": still here\n\n"
            if upcoming not in done:
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


async def _still_welcome(request: Request, role: Role) -> bool:
    """Say whether the session and its role hold; while PostgreSQL is away nobody is thrown out.

    Whoever lost a role may still listen to something: their browser comes back and is looked at anew.
    """
    request.state.principal = None
    try:
        return (await identify(request)).role.covers(role)
    except UnauthenticatedError:
        return False
    except UnavailableError:
        return True
