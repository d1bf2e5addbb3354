"""One call for all who ask for the same thing at the same time."""

import asyncio
from collections.abc import Callable, Coroutine, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Result = TypeVar("Result")


@dataclass(slots=True)
class _Call(Generic[Result]):
    task: asyncio.Task[Result]
    waiting: int = 0


class SharedCalls(Generic[Key, Result]):
    """Calls under way, by what they ask for.

    A call belongs to all who wait for it: it goes on when the one who began it is cancelled, and is cancelled with the
    last of them.
    """

    def __init__(self) -> None:
        self._calls: dict[Key, _Call[Result]] = {}

    def __contains__(self, key: Key) -> bool:
        return key in self._calls

    async def run(self, key: Key, make: Callable[[], Coroutine[object, object, Result]]) -> Result:
        """Return what the call for this key returns or raises; ``make`` begins it if nobody has."""
        call = self._calls.get(key)
        if call is None:
            call = self._calls[key] = _Call(asyncio.create_task(make(), name="shared-call"))
            call.task.add_done_callback(lambda _: self._drop(key, call))
        call.waiting += 1
        try:
            return await asyncio.shield(call.task)
        finally:
            call.waiting -= 1
            if not call.waiting and not call.task.done():
                # Dropped before it ends, so that nobody joins a call that is being cancelled.
                self._drop(key, call)
                call.task.cancel()

    def _drop(self, key: Key, call: _Call[Result]) -> None:
        if self._calls.get(key) is call:
            del self._calls[key]
