"""What a request carries is looked at before anything works with it.

Bodies have limits of size and time, kept while they arrive. JSON must be of the kind that PostgreSQL, browsers and
Python agree on: text without NUL and without half a surrogate pair, numbers that are numbers, no towers of brackets.
"""

import asyncio
import json
import re
from typing import Final, NoReturn
from urllib.parse import unquote_to_bytes

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from nadia.errors import InvalidInputError, NadiaError
from nadia.web.errors import RequestTimedOutError, RequestTooLargeError, error_response

MOST_BYTES: Final = 256 * 1024
MOST_SECONDS: Final = 15.0
"""Nobody is asked who they are before their body is here; 256 KB take this long at 140 kbit/s."""
DEEPEST: Final = 24

_UNUSABLE_TEXT: Final = re.compile("[\0\ud800-\udfff]")


class BodyGate:
    """ASGI middleware that refuses what is too large or no usable text.

    Parameters
    ----------
    app : ASGIApp
        What answers the rest.
    most_bytes : int
        Largest body, bytes.
    most_seconds : float
        Longest that a body may take to arrive, seconds.
    """

    def __init__(self, app: ASGIApp, *, most_bytes: int = MOST_BYTES, most_seconds: float = MOST_SECONDS) -> None:
        self._app = app
        self._most_bytes = most_bytes
        self._most_seconds = most_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive)
        try:
            _check_address(scope)
            body = await self._read_in_time(request)
            if body is None:
                return  # the client went away
            if body and _is_json(request):
                check_json(body)
        except NadiaError as problem:
            response = error_response(request, problem)
            if isinstance(problem, RequestTooLargeError | RequestTimedOutError):
                response.headers["Connection"] = "close"  # the rest of the body is not read
            await response(scope, receive, send)
            return
        await self._app(scope, _replay(body, receive), send)

    async def _read_in_time(self, request: Request) -> bytes | None:
        try:
            async with asyncio.timeout(self._most_seconds):
                return await self._read(request)
        except TimeoutError as exc:
            raise RequestTimedOutError(
                f"the request did not arrive within {self._most_seconds:g} seconds", hint="try again"
            ) from exc

    async def _read(self, request: Request) -> bytes | None:
        announced = request.headers.get("content-length", "0")
        if announced.isdecimal() and int(announced[:20]) > self._most_bytes:
            raise self._too_large()
        if announced == "0" and "transfer-encoding" not in request.headers:
            return b""
        chunks, size = [], 0
        while True:
            message = await request.receive()
            if message["type"] == "http.disconnect":
                return None
            chunk = message.get("body", b"")
            size += len(chunk)
            if size > self._most_bytes:
                raise self._too_large()
            chunks.append(chunk)
            if not message.get("more_body", False):
                return b"".join(chunks)

    def _too_large(self) -> RequestTooLargeError:
        return RequestTooLargeError(f"a request may carry at most {self._most_bytes // 1024} KB")


def check_json(body: bytes) -> None:
    """Check that a body is JSON that we can work with.

    Raises
    ------
    InvalidInputError
        If it is not; names the field where there is one.
    """
    try:
        value = json.loads(body, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as exc:
        raise InvalidInputError("is not valid JSON", field="body") from exc
    _check_value(value, "body", 0)


def _check_value(value: object, field: str, depth: int) -> None:
    if depth > DEEPEST:
        raise InvalidInputError(f"is nested deeper than {DEEPEST} levels", field="body")
    if isinstance(value, str):
        _check_text(value, field)
    elif isinstance(value, float) and value in (float("inf"), float("-inf")):
        raise InvalidInputError("is too large a number", field=field)
    elif isinstance(value, dict):
        for name, item in value.items():
            _check_text(name, "body")
            _check_value(item, name[:60], depth + 1)
    elif isinstance(value, list):
        for item in value:
            _check_value(item, field, depth + 1)


def _check_text(text: str, field: str) -> None:
    if _UNUSABLE_TEXT.search(text):
        raise InvalidInputError(
            "contains characters that are no text (NUL or half a surrogate pair)", field=field, hint="remove them"
        )


def _check_address(scope: Scope) -> None:
    for part, field in ((scope.get("raw_path") or b"", "path"), (scope.get("query_string") or b"", "query")):
        if b"\0" in unquote_to_bytes(part):
            raise InvalidInputError("contains a NUL character", field=field, hint="remove it")


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(name)  # NaN and the infinities are Python's, not JSON's


def _is_json(request: Request) -> bool:
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    return media_type == "application/json" or media_type.endswith("+json")


def _replay(body: bytes, receive: Receive) -> Receive:
    """Return a channel that gives the body once more, then whatever comes (the client going away)."""
    given = False

    async def replaying() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replaying
