"""A client's end of a connection to the sandbox: many requests at a time, each with its answer, and events between."""

import asyncio
import json
from collections.abc import Callable
from typing import Self, TypeVar

from pydantic import ValidationError

from nadia.telegram.errors import GatewayDisconnectedError
from nadia.telegram.sandbox.address import Address, open_streams
from nadia.telegram.sandbox.protocol import (
    MAX_ANSWER_BYTES,
    MAX_REQUEST_BYTES,
    Problem,
    RequestRefusedError,
    encode_request,
)
from nadia.telegram.sandbox.wire import Wire

Answer = TypeVar("Answer", bound=Wire)


class AnswerLostError(GatewayDisconnectedError):
    """The request was written and no answer came: it may have had its effect."""


class Link:
    """An open connection; ``Link.open`` makes one.

    Parameters
    ----------
    reader, writer : streams
        To the server.
    on_event : callable
        Called with each event, as decoded from JSON, in the order of their arrival.
    on_lost : callable
        Called once when the connection is gone, whoever ended it.
    timeout : float
        Longest wait for an answer, in seconds. A server that takes longer counts as gone.
    """

    def __init__(
        self,
        *,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        on_event: Callable[[object], None],
        on_lost: Callable[[], None],
        timeout: float,
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._on_event = on_event
        self._on_lost = on_lost
        self._timeout = timeout
        self._last_id = 0
        self._waiting: dict[int, asyncio.Future[dict[str, object] | None]] = {}
        self._reading = asyncio.create_task(self._read(), name="sandbox-link")

    @classmethod
    async def open(
        cls,
        address: Address,
        *,
        on_event: Callable[[object], None],
        on_lost: Callable[[], None],
        timeout: float,  # noqa: ASYNC109, it is a property of the link
    ) -> Self:
        """Connect.

        Raises
        ------
        GatewayDisconnectedError
            If nothing answers at the address.
        """
        try:
            async with asyncio.timeout(timeout):
                reader, writer = await open_streams(address, limit=MAX_ANSWER_BYTES)
        except (OSError, TimeoutError) as exc:
            raise GatewayDisconnectedError(
                f"no sandbox answers at {address}", hint="is it running? `nadia up` starts one"
            ) from exc
        return cls(reader=reader, writer=writer, on_event=on_event, on_lost=on_lost, timeout=timeout)

    async def request(self, method: str, answer: type[Answer], **params: object) -> Answer:
        """Ask and wait for the answer.

        Parameters
        ----------
        method : str
            A method of ``requests``.
        answer : type
            The model of its answer.
        **params
            Its parameters.

        Raises
        ------
        RequestRefusedError
            As the sandbox refused it.
        AnswerLostError
            If the connection broke, or the time ran out, after the request was written.
        GatewayDisconnectedError
            If the connection was gone before.
        """
        self._last_id += 1
        request_id = self._last_id
        frame = encode_request(request_id, method, params)
        if len(frame) > MAX_REQUEST_BYTES:
            raise RequestRefusedError("MESSAGE_TOO_LONG", f"the request is longer than {MAX_REQUEST_BYTES} bytes")
        if self._reading.done() or self._writer.is_closing():
            raise GatewayDisconnectedError("the connection to the sandbox is closed")
        self._waiting[request_id] = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(self._timeout):
                self._writer.write(frame)
                await self._writer.drain()
                frame_back = await self._waiting[request_id]
        except TimeoutError as exc:
            self._writer.transport.abort()
            raise AnswerLostError(f"the sandbox did not answer {method} within {self._timeout:g} s") from exc
        except ConnectionError:
            frame_back = None
        finally:
            del self._waiting[request_id]
        if frame_back is None:
            raise AnswerLostError(f"the connection broke before {method} was answered")
        if "error" in frame_back:
            raise _to_refusal(frame_back["error"])
        return answer.model_validate(frame_back["result"])

    async def close(self) -> None:
        """Hang up. Safe to call more than once."""
        self._writer.transport.abort()
        await asyncio.wait([self._reading])

    async def _read(self) -> None:
        try:
            while True:
                self._take(json.loads(await self._reader.readuntil(b"\n")))
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, OSError, ValueError, TypeError):
            pass  # hung up, or no longer speaks the protocol: gone either way
        finally:
            self._writer.transport.abort()
            for future in self._waiting.values():
                if not future.done():
                    future.set_result(None)
            self._on_lost()

    def _take(self, frame: dict[str, object]) -> None:
        if "event" in frame:
            self._on_event(frame["event"])
            return
        request_id = frame.get("id")
        future = self._waiting.get(request_id) if isinstance(request_id, int) else None
        if future is not None and not future.done():  # else its asker has given up
            future.set_result(frame)


def _to_refusal(error: object) -> RequestRefusedError:
    try:
        problem = Problem.model_validate(error)
    except ValidationError:
        return RequestRefusedError("INTERNAL", "the sandbox refused without saying why")
    return RequestRefusedError(problem.code, problem.message, field=problem.field, seconds=problem.seconds)
