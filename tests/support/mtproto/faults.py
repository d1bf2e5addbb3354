"""What goes wrong when a test wants it to."""

import asyncio
import time
from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self


@dataclass(frozen=True)
class Fault:
    """What happens to one request instead of its answer."""

    failure: tuple[int, str] | None = None
    """The answer is this error: code and name."""
    carried_out: bool = False
    """What was asked for happens all the same."""
    cut: bool = False
    """The connection breaks instead of any answer."""
    silent: bool = False
    """No answer, ever; the connection stays."""
    until: asyncio.Event | None = None
    """The request waits for this event first; others go on."""

    @classmethod
    def error(cls, code: int, message: str, *, carried_out: bool = False) -> Self:
        """Any error of Telegram's list."""
        return cls(failure=(code, message), carried_out=carried_out)

    @classmethod
    def flood_wait(cls, seconds: int) -> Self:
        """Telegram asks for a pause."""
        return cls.error(420, f"FLOOD_WAIT_{seconds}")

    @classmethod
    def peer_flood(cls) -> Self:
        """The account is limited for spam."""
        return cls.error(400, "PEER_FLOOD")

    @classmethod
    def internal(cls, *, carried_out: bool = False) -> Self:
        """Telegram is in trouble; whether it did what was asked, the client cannot know."""
        return cls.error(500, "INTERNAL_SERVER_ERROR", carried_out=carried_out)

    @classmethod
    def answer_lost(cls) -> Self:
        """Done, and the connection breaks before the answer."""
        return cls(carried_out=True, cut=True)

    @classmethod
    def cut_before(cls) -> Self:
        """The connection breaks before anything is done."""
        return cls(cut=True)

    @classmethod
    def unanswered(cls, *, carried_out: bool = False) -> Self:
        """The answer never comes."""
        return cls(carried_out=carried_out, silent=True)

    @classmethod
    def held(cls, until: asyncio.Event) -> Self:
        """Everything as usual, but not before `until` is set."""
        return cls(carried_out=True, until=until)


@dataclass
class _Limit:
    calls: int
    seconds: float
    seen: deque[float]


class Faults:
    """Faults that wait for their request, and limits on how often a method may be called."""

    def __init__(self, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._waiting: dict[type, deque[Fault]] = defaultdict(deque)
        self._limits: dict[type, _Limit] = {}

    def meet(self, method: type, *faults: Fault) -> None:
        """The next calls of a method meet these faults, one each."""
        self._waiting[method].extend(faults)

    def forget(self, method: type | None = None) -> None:
        """Drop what has not struck yet, and the limits."""
        for one in [method] if method is not None else [*self._waiting, *self._limits]:
            self._waiting.pop(one, None)
            self._limits.pop(one, None)

    def limit(self, method: type, *, calls: int, seconds: float) -> None:
        """Answer with a flood wait when an account's clients call a method more than `calls` times in any `seconds`."""
        self._limits[method] = _Limit(calls, seconds, deque())

    def strike(self, request: Any) -> Fault | None:
        """The fault that this request meets, if any."""
        limit = self._limits.get(type(request))
        if limit is not None:
            now = self._monotonic()
            while limit.seen and limit.seen[0] <= now - limit.seconds:
                limit.seen.popleft()
            if len(limit.seen) >= limit.calls:
                return Fault.flood_wait(max(1, round(limit.seen[0] + limit.seconds - now)))
            limit.seen.append(now)
        waiting = self._waiting.get(type(request))
        return waiting.popleft() if waiting else None
