"""Errors as answers: the one place that decides HTTP status, and what an error looks like."""

import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Final
from urllib.parse import quote

import structlog
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Match

from nadia.accounts.errors import ThrottledError, UnauthenticatedError
from nadia.errors import (
    ConfigurationError,
    ConflictError,
    InvalidInputError,
    NadiaError,
    NotFoundError,
    RefusedError,
    UnavailableError,
)
from nadia.web.context import web_context
from nadia.web.identity import identify

log = structlog.get_logger(__name__)

# The nearest class in an error's ancestry decides.
STATUS: Final[dict[type[NadiaError], int]] = {
    InvalidInputError: 422,
    UnauthenticatedError: 401,
    RefusedError: 403,
    NotFoundError: 404,
    ConflictError: 409,
    ThrottledError: 429,
    UnavailableError: 503,
    ConfigurationError: 503,
    NadiaError: 500,
}

_TITLES: Final = {
    400: "That request makes no sense",
    401: "Please log in",
    403: "Not allowed",
    404: "Not found",
    405: "Not possible here",
    408: "Too slow",
    409: "Not possible any more",
    413: "Too large",
    421: "Wrong address",
    422: "Something in there is not right",
    429: "Too many attempts",
    503: "Not available at the moment",
}


# By pydantic's name of the problem.
_WORDS: Final[dict[str, Callable[[Mapping[str, object]], str]]] = {
    "missing": lambda _: "is missing",
    "extra_forbidden": lambda _: "is not a known field",
    "json_invalid": lambda _: "is not valid JSON",
    "string_type": lambda _: "must be text",
    "string_too_short": lambda about: f"must have {about['min_length']} characters or more",
    "string_too_long": lambda about: f"must have {about['max_length']} characters or fewer",
    "string_pattern_mismatch": lambda _: "has characters that cannot be used here",
    "enum": lambda about: f"must be one of {about['expected']}",
    "greater_than_equal": lambda about: f"must be {about['ge']} or more",
    "less_than_equal": lambda about: f"must be {about['le']} or less",
}


class ErrorDetail(BaseModel):
    """What went wrong, for programs (``code``) and people (the rest)."""

    code: str
    message: str
    field: str | None = None
    hint: str | None = None


class ErrorBody(BaseModel):
    """The body of every answer that is an error."""

    error: ErrorDetail


class RequestTooLargeError(NadiaError):
    """A request's body passes the limit."""


class RequestTimedOutError(NadiaError):
    """A request's body takes too long to arrive."""


class WrongHostError(NadiaError):
    """A request is for a host name that is not ours."""


STATUS[RequestTimedOutError] = 408
STATUS[RequestTooLargeError] = 413
STATUS[WrongHostError] = 421


def status_of(error: NadiaError) -> int:
    """Return the HTTP status that an error is answered with."""
    return next(STATUS[kind] for kind in type(error).__mro__ if kind in STATUS)


def code_of(error: NadiaError) -> str:
    """Return an error's name for programs: ``InvalidInputError`` is ``invalid_input``."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", type(error).__name__.removesuffix("Error")).lower()


def error_response(request: Request, error: NadiaError) -> Response:
    """Answer a request with an error: JSON for programs, a page for people.

    People who are not logged in are sent to the log-in page, and come back to where they wanted to go.
    """
    if isinstance(error, UnauthenticatedError) and wants_page(request) and request.method == "GET":
        target = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        return RedirectResponse(f"/login?next={quote(target, safe='')}", status_code=303)
    detail = ErrorDetail(
        code=code_of(error), message=error.message, field=getattr(error, "field", None), hint=error.hint
    )
    if isinstance(error, InvalidInputError):
        detail.message = error.message.removeprefix(f"{error.field}: ")
    response = _answer(request, status_of(error), detail)
    if isinstance(error, ThrottledError):
        response.headers["Retry-After"] = str(error.retry_after)
    if isinstance(error, UnauthenticatedError):
        response.headers["WWW-Authenticate"] = "Bearer"
    return response


def incident_response(request: Request, incident: str) -> Response:
    """Answer with an incident's number and nothing else about it."""
    detail = ErrorDetail(
        code="internal",
        message="something went wrong on our side",
        hint=f"it is on record as incident {incident}; try again, or give that number to your administrator",
    )
    return _answer(request, 500, detail)


def wants_page(request: Request) -> bool:
    """Say whether the answer is for a person's browser window rather than a program."""
    return not request.url.path.startswith("/api/") and "text/html" in request.headers.get("accept", "")


def install_error_handlers(app: FastAPI) -> None:
    """Make the application answer every expected error in this form."""
    app.add_exception_handler(NadiaError, _on_nadia_error)
    app.add_exception_handler(RequestValidationError, _on_invalid_request)
    app.add_exception_handler(HTTPException, _on_http_exception)


async def _on_nadia_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, NadiaError)
    if status_of(error) >= 500:
        log.warning("web.request_failed", path=request.url.path, error=code_of(error), message=error.message)
    return error_response(request, error)


async def _on_invalid_request(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    # The value itself is not repeated: it may be a secret, or no text at all.
    where = [str(part) for part in first["loc"] if part not in ("body", "query", "path", "header", "cookie")]
    message = _in_words(first["type"], first.get("ctx", {}), str(first["msg"]))
    return _answer(request, 422, ErrorDetail(code="invalid_input", message=message, field=".".join(where) or None))


async def _on_http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if wants_page(request):
        # A page about an address that does not exist has no handler that would have asked who this is.
        with suppress(NadiaError):
            await identify(request)
    code = {404: "not_found", 405: "method_not_allowed"}.get(error.status_code, f"http_{error.status_code}")
    message = "there is nothing at this address" if error.status_code == 404 else str(error.detail)
    response = _answer(request, error.status_code, ErrorDetail(code=code, message=message))
    for name, value in (error.headers or {}).items():
        response.headers[name] = value
    if error.status_code == 405:
        response.headers["Allow"] = ", ".join(_methods_at(request))
    return response


def _methods_at(request: Request) -> list[str]:
    """Return every method that an address knows; the framework names only those of the route it met first."""
    return [
        method
        for method in ("GET", "POST", "PUT", "PATCH", "DELETE")
        if any(route.matches({**request.scope, "method": method})[0] is Match.FULL for route in request.app.routes)
    ]


def _in_words(kind: str, context: Mapping[str, object], otherwise: str) -> str:
    """Say what is wrong with a value as a person would; validators of our own speak for themselves."""
    words = _WORDS.get(kind)
    return words(context) if words else otherwise.removeprefix("Value error, ")


def _answer(request: Request, status: int, detail: ErrorDetail) -> Response:
    if wants_page(request):
        title = _TITLES.get(status, "Something went wrong")
        return web_context(request).pages.render(
            request, "error.html", {"title": title, "detail": detail}, status=status
        )
    return JSONResponse(ErrorBody(error=detail).model_dump(), status_code=status)
