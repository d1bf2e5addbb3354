r"""Frames of the sandbox: one JSON object per line, ``\n`` at its end.

A request is ``{"id": 1, "method": "account.send", "params": {…}}``; its answer ``{"id": 1, "result": {…}}`` or
``{"id": 1, "error": {"code": "FLOOD_WAIT", "message": "…", "field": null, "seconds": 5}}``. Answers come in any order.
What the server says unasked is ``{"event": {…}}``.
"""

import json
from typing import Literal, NoReturn

from pydantic import BaseModel, ConfigDict

from nadia.errors import NadiaError

MAX_REQUEST_BYTES = 1_000_000
"""Longest request; a hundred times the longest message."""
MAX_ANSWER_BYTES = 4_000_000
"""Longest line a client reads: a page of 100 messages of 4,096 characters, each written as six bytes, fits in."""
PAGE = 100
"""Most entries on one page of messages, updates, dialogs or customers (as messages.getHistory of the real one)."""


class RequestRefusedError(NadiaError):
    """The sandbox refuses a request.

    Parameters
    ----------
    code : str
        The reason in Telegram's words where it has one, such as ``PEER_ID_INVALID``.
    message : str
        The problem, for people.
    field : str, optional
        Name of the offending parameter.
    seconds : int, optional
        How long to wait, for ``FLOOD_WAIT``.
    """

    def __init__(self, code: str, message: str, *, field: str | None = None, seconds: int | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.field = field
        self.seconds = seconds


class Problem(BaseModel):
    """A refusal on the wire."""

    model_config = ConfigDict(frozen=True)

    code: str
    message: str
    field: str | None = None
    seconds: int | None = None


class Envelope(BaseModel):
    """What a request is carried in."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    id: int
    method: str
    params: dict[str, object] = {}


def decode_frame(line: bytes) -> dict[str, object]:
    """Read one line as a JSON object.

    Raises
    ------
    RequestRefusedError
        If it is not one; ``FRAME_MALFORMED``.
    """
    try:
        frame = json.loads(line.decode(), parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        frame = None
    if not isinstance(frame, dict):
        raise RequestRefusedError("FRAME_MALFORMED", "the line is not a JSON object in UTF-8")
    return frame


def encode_request(request_id: int, method: str, params: dict[str, object]) -> bytes:
    """Write a request as a line of ASCII."""
    return json.dumps({"id": request_id, "method": method, "params": params}).encode() + b"\n"


def encode_answer(request_id: int, answer: BaseModel) -> bytes:
    """Write the answer to a request."""
    return b'{"id":%d,"result":%s}\n' % (request_id, answer.model_dump_json().encode())


def encode_refusal(request_id: int | None, refusal: RequestRefusedError) -> bytes:
    """Write the refusal of a request; without an id where the request had none that could be read."""
    problem = Problem(code=refusal.code, message=refusal.message, field=refusal.field, seconds=refusal.seconds)
    shown: int | Literal["null"] = "null" if request_id is None else request_id
    return f'{{"id":{shown},"error":{problem.model_dump_json()}}}\n'.encode()


def encode_event(event: BaseModel) -> bytes:
    """Write something that nobody asked for."""
    return b'{"event":%s}\n' % event.model_dump_json().encode()


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(name)  # NaN and Infinity are not JSON
