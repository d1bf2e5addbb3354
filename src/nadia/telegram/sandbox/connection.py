"""One connection to the sandbox: frames in, answers and events out, and what happens to bad ones."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias

import structlog
from pydantic import ValidationError

from nadia.errors import UnavailableError
from nadia.telegram.sandbox.protocol import (
    MAX_REQUEST_BYTES,
    Envelope,
    RequestRefusedError,
    decode_frame,
    encode_answer,
    encode_event,
    encode_refusal,
)
from nadia.telegram.sandbox.requests import Request, read_request, refusal_for
from nadia.telegram.sandbox.wire import Wire

log = structlog.get_logger(__name__)

_IN_FLIGHT: Final = 256
"""Requests of one connection that are worked on at a time; reading stops at more."""
_UNREAD_LIMIT: Final = 1_000_000
"""Bytes that may wait for a client that does not read; then it is cut off and catches up when it comes back."""
_PARTING_SECONDS: Final = 2.0
"""How long the rest of an oversized frame is still taken in, so that its sender gets to read the answer."""


class CutOffError(Exception):
    """The connection is to be cut instead of answering."""


class Counts:
    """What the server counts; see ``wire.Statistics``."""

    def __init__(self) -> None:
        self.requests = 0
        self.refusals = 0
        self.frames_refused = 0
        self.sessions_displaced = 0


class Connection:
    """One client.

    Parameters
    ----------
    reader, writer : streams
        As asyncio hands them over.
    serve : callable
        Answers one request.
    counts : Counts
        The server's.
    """

    def __init__(
        self,
        *,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        serve: "Serve",
        counts: Counts,
    ) -> None:
        self.account: str | None = None
        self.watched: set[int] = set()
        self._reader = reader
        self._writer = writer
        self._serve = serve
        self._counts = counts
        self._slots = asyncio.Semaphore(_IN_FLIGHT)

    async def run(self) -> None:
        """Serve until either side hangs up."""
        try:
            async with asyncio.TaskGroup() as answering:
                while (line := await self._next_line()) is not None:
                    await self._slots.acquire()
                    answering.create_task(self._respond(line)).add_done_callback(lambda _: self._slots.release())
        finally:
            self.hang_up()

    @property
    def gone(self) -> bool:
        """Whether the client has hung up, though requests of its may still be worked on."""
        return self._reader.at_eof() or self._writer.is_closing()

    def push(self, event: Wire) -> None:
        """Tell the client something it did not ask for."""
        self._write(encode_event(event))

    def hang_up(self) -> None:
        """Close the connection after what was written."""
        self._writer.close()

    def cut(self) -> None:
        """Close the connection at once; what was not read by now is lost."""
        self._writer.transport.abort()

    async def _next_line(self) -> bytes | None:
        try:
            return await self._reader.readuntil(b"\n")
        except asyncio.LimitOverrunError:
            await self._refuse_oversized()
        except (asyncio.IncompleteReadError, ConnectionError):  # a frame without its end was not sent
            pass
        return None

    async def _refuse_oversized(self) -> None:
        self._counts.frames_refused += 1
        refusal = RequestRefusedError("FRAME_TOO_LARGE", f"a request has at most {MAX_REQUEST_BYTES} bytes")
        self._write(encode_refusal(None, refusal))
        with contextlib.suppress(TimeoutError, ConnectionError, OSError):
            async with asyncio.timeout(_PARTING_SECONDS):
                self._writer.write_eof()
                while await self._reader.read(MAX_REQUEST_BYTES):
                    pass

    async def _respond(self, line: bytes) -> None:
        try:
            answer = await self._answer(line)
        except CutOffError:
            self.cut()
            return
        self._write(answer)
        with contextlib.suppress(ConnectionError):
            await self._writer.drain()

    async def _answer(self, line: bytes) -> bytes:
        request_id = None
        try:
            frame = decode_frame(line)
            request_id = _id_of(frame)
            request = read_request(_open_envelope(frame))
            self._counts.requests += 1
            return encode_answer(request_id or 0, await self._serve(self, request))
        except RequestRefusedError as refusal:
            self._counts.refusals += 1
            return encode_refusal(request_id, refusal)
        except UnavailableError as exc:
            return encode_refusal(request_id, RequestRefusedError("UNAVAILABLE", exc.message))
        except CutOffError:
            raise
        except Exception:
            log.exception("telegram.sandbox.request_failed")
            return encode_refusal(request_id, RequestRefusedError("INTERNAL", "the sandbox failed; its log says why"))

    def _write(self, frame: bytes) -> None:
        if self._writer.is_closing():
            return
        self._writer.write(frame)
        if self._writer.transport.get_write_buffer_size() > _UNREAD_LIMIT:
            log.warning("telegram.sandbox.slow_client_cut_off", account=self.account)
            self.cut()


Serve: TypeAlias = Callable[[Connection, Request], Awaitable[Wire]]


def _id_of(frame: dict[str, object]) -> int | None:
    request_id = frame.get("id")
    return request_id if isinstance(request_id, int) and not isinstance(request_id, bool) else None


def _open_envelope(frame: dict[str, object]) -> Envelope:
    try:
        return Envelope.model_validate(frame)
    except ValidationError as exc:
        refusal = refusal_for(exc)
        raise RequestRefusedError("FRAME_MALFORMED", refusal.message, field=refusal.field) from exc
