"""What stands between us and things that fail: handled errors at the edges, retries, a circuit breaker."""

import asyncio
import functools
import inspect
import random
import time
from collections.abc import Awaitable, Callable, Coroutine
from enum import StrEnum
from types import TracebackType
from typing import Final, Literal, ParamSpec, Protocol, Self, TypeVar, cast, overload

import structlog

from nadia.errors import UnavailableError

log = structlog.get_logger(__name__)

P = ParamSpec("P")
T = TypeVar("T")
D = TypeVar("D")
D_co = TypeVar("D_co", covariant=True)

LogLevel = Literal["debug", "info", "warning", "error", "critical"]
Catch = type[Exception] | tuple[type[Exception], ...]
RetryOn = Catch | Callable[[Exception], bool]


class ErrorHandler(Protocol[D_co]):
    """The decorator that `handle_errors` makes: the function's result, or the default in its place."""

    @overload
    def __call__(
        self, function: Callable[P, Coroutine[object, object, T]]
    ) -> Callable[P, Coroutine[object, object, T | D_co]]: ...
    @overload
    def __call__(self, function: Callable[P, T]) -> Callable[P, T | D_co]: ...


@overload
def handle_errors(*, level: LogLevel = ..., message: str | None = ..., catch: Catch = ...) -> ErrorHandler[None]: ...
@overload
def handle_errors(
    *, default: D, level: LogLevel = ..., message: str | None = ..., catch: Catch = ...
) -> ErrorHandler[D]: ...
def handle_errors(
    *, default: object = None, level: LogLevel = "error", message: str | None = None, catch: Catch = Exception
) -> object:
    """Log what a function raises and return a default instead (baseline 2.5).

    For the edges only: a daemon's tick, a channel, an event handler. Cancellation, ``KeyboardInterrupt`` and
    ``SystemExit`` always pass.

    Parameters
    ----------
    default : object
        Returned in place of the result when the function fails. The same object each time, so not a list or dict
        that callers change.
    level : str
        Level of the log entry.
    message : str, optional
        Constant event name to log under, such as ``daemon.tick_failed``; ``error.handled`` when absent.
    catch : type or tuple of types
        What to catch, `Exception` or narrower.

    Returns
    -------
    callable
        A decorator for functions and coroutine functions; it keeps their signatures.

    Raises
    ------
    TypeError
        If ``catch`` names something wider than `Exception`, or the decorated function is a generator, whose errors
        are raised after it has returned.
    """
    types = catch if isinstance(catch, tuple) else (catch,)
    if not all(issubclass(kind, Exception) for kind in types):
        raise TypeError("handle_errors catches Exception and its subclasses only: cancellation and exits must pass")

    def decorate(function: Callable[..., object]) -> Callable[..., object]:
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            raise TypeError(f"{function.__qualname__} is a generator: handle errors where it is iterated")
        name = getattr(function, "__qualname__", repr(function))
        report = getattr(structlog.get_logger(function.__module__), level)

        def handled(exc: Exception) -> object:
            report(message or "error.handled", function=name, error=type(exc).__name__, exc_info=exc)
            return default

        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def guarded_coroutine(*args: object, **kwargs: object) -> object:
                try:
                    return await function(*args, **kwargs)
                except types as exc:
                    return handled(exc)

            return guarded_coroutine

        @functools.wraps(function)
        def guarded(*args: object, **kwargs: object) -> object:
            try:
                return function(*args, **kwargs)
            except types as exc:
                return handled(exc)

        return guarded

    return decorate


def retry(
    *,
    on: RetryOn,
    attempts: int = 3,
    within: float | None = 45.0,
    first_wait: float = 0.1,
    longest_wait: float = 5.0,
    jitter: float = 0.5,
) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Call a function again when it fails, with exponential back-off and jitter.

    An exception's ``retry_after`` (seconds) replaces the back-off. When it lies beyond ``longest_wait``, the exception
    is raised at once: the caller has better uses for that time.

    Parameters
    ----------
    on : type, tuple of types or predicate
        Which exceptions are worth another attempt.
    attempts : int
        Most calls altogether, the first included.
    within : float, optional
        No further attempt once this many seconds have passed. It does not interrupt a running one.
    first_wait, longest_wait, jitter : float
        Back-off in seconds: ``min(longest_wait, first_wait * 2**n + random(0, jitter))``.

    Returns
    -------
    callable
        A decorator for functions and coroutine functions. The last exception is let through.
    """
    is_retryable = on if not isinstance(on, type | tuple) else functools.partial(_is_one_of, on)

    def backoff(exc: Exception) -> bool | float:
        if not is_retryable(exc):
            return False
        retry_after: float | None = getattr(exc, "retry_after", None)
        if retry_after is None:
            return True
        return retry_after <= longest_wait and max(0.0, retry_after) + random.uniform(0, min(jitter, 0.1))

    def decorate(function: Callable[P, T]) -> Callable[P, T]:
        def policy(once: Callable[[], T]) -> Callable[[], T]:
            import stamina

            # Wrapped as a call without arguments, because stamina's log entry shows them, customers' text and all.
            return stamina.retry(
                on=backoff,
                attempts=attempts,
                timeout=within,
                wait_initial=first_wait,
                wait_max=longest_wait,
                wait_jitter=jitter,
            )(functools.wraps(function)(once))

        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def retrying_coroutine(*args: P.args, **kwargs: P.kwargs) -> object:
                async def once() -> object:
                    return await function(*args, **kwargs)

                return await cast("Callable[[], Awaitable[object]]", policy(cast("Callable[[], T]", once)))()

            return cast("Callable[P, T]", retrying_coroutine)

        @functools.wraps(function)
        def retrying(*args: P.args, **kwargs: P.kwargs) -> T:
            def once() -> T:
                return function(*args, **kwargs)

            return policy(once)()

        return retrying

    return decorate


def _is_one_of(types: Catch, exc: Exception) -> bool:
    return isinstance(exc, types)


class BreakerState(StrEnum):
    """Where a circuit breaker stands."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class CircuitOpenError(UnavailableError):
    """The call was not tried, because the last ones failed.

    Parameters
    ----------
    name : str
        The breaker's name.
    retry_after : float
        Seconds until the next call is let through; 0 while another caller's probe is under way.
    """

    def __init__(self, name: str, *, retry_after: float) -> None:
        super().__init__(
            f"{name} failed repeatedly and is left alone",
            hint=f"it is tried again in {retry_after:.0f} s" if retry_after >= 1 else "it is being tried right now",
        )
        self.name = name
        self.retry_after = retry_after


_FAILURES_TO_OPEN: Final = 5
_COOLDOWN_SECONDS: Final = 30.0


class CircuitBreaker:
    """Stop calling what keeps failing, and try it with one call at a time until it works again.

    Use as ``async with breaker: ...`` or ``await breaker.call(function, *args)``. Consecutive failures open it; after
    the cool-down one probe goes through, whose success closes it and whose failure starts the cool-down anew.

    Parameters
    ----------
    name : str
        What is protected, for errors and logs.
    failures : int
        Consecutive failures that open it.
    cooldown : float
        Seconds that it stays open.
    counts : type, tuple of types or predicate
        Which exceptions are failures of the other side. Others mean that it answered. Cancellation means nothing.
    clock : callable
        Monotonic seconds.
    """

    def __init__(
        self,
        *,
        name: str,
        failures: int = _FAILURES_TO_OPEN,
        cooldown: float = _COOLDOWN_SECONDS,
        counts: RetryOn = Exception,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = name
        self._failures_to_open = failures
        self._cooldown = cooldown
        self._counts = counts if not isinstance(counts, type | tuple) else functools.partial(_is_one_of, counts)
        self._clock = clock
        self._failures = 0
        self._open_until: float | None = None
        self._probe: asyncio.Task[object] | None = None

    @property
    def state(self) -> BreakerState:
        """Where it stands at this moment."""
        if self._open_until is None:
            return BreakerState.CLOSED
        return BreakerState.OPEN if self.retry_after > 0 else BreakerState.HALF_OPEN

    @property
    def retry_after(self) -> float:
        """Seconds until a call is let through, 0 when one would be now."""
        return 0.0 if self._open_until is None else max(0.0, self._open_until - self._clock())

    async def call(self, function: Callable[P, Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Await the function unless the breaker is open.

        Raises
        ------
        CircuitOpenError
            If it is open, or half open with a probe under way.
        """
        async with self:
            return await function(*args, **kwargs)

    def hold(self, seconds: float) -> None:
        """Open at once for a time that the other side has named (``Retry-After``)."""
        self._open(seconds)

    async def __aenter__(self) -> Self:
        state = self.state
        if state is BreakerState.OPEN or self._probe is not None:
            raise CircuitOpenError(self.name, retry_after=self.retry_after)
        if state is BreakerState.HALF_OPEN:
            self._probe = asyncio.current_task()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        is_probe = self._probe is not None and self._probe is asyncio.current_task()
        if is_probe:
            self._probe = None
        elif self._open_until is not None:
            return  # began before it opened: says nothing about the present
        if exc is not None and not isinstance(exc, Exception):
            return  # cancelled
        if exc is None or not self._counts(exc):
            self._close()
            return
        self._failures += 1
        if is_probe or self._failures >= self._failures_to_open:
            self._open(self._cooldown)

    def _open(self, seconds: float) -> None:
        if self._open_until is None:
            log.warning("breaker.opened", breaker=self.name, failures=self._failures, seconds=seconds)
        self._open_until = max(self._open_until or 0.0, self._clock() + seconds)

    def _close(self) -> None:
        if self._open_until is not None:
            log.info("breaker.closed", breaker=self.name)
        self._failures = 0
        self._open_until = None
