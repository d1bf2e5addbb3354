"""Kill a coroutine at its n-th wait, as SIGKILL would end the process there."""

import asyncio
from collections.abc import Coroutine, Generator


class KilledAt:
    """Awaits a coroutine and cancels the task that does so at one of the coroutine's waits.

    Parameters
    ----------
    coroutine : coroutine
        What is to be killed.
    wait : int
        At which of its waits, from 1; one that it never reaches lets it end by itself.
    """

    def __init__(self, coroutine: Coroutine[object, None, None], *, wait: int) -> None:
        self._coroutine = coroutine
        self._wait = wait
        self.waits = 0

    def __await__(self) -> Generator[object, None, None]:
        error: BaseException | None = None
        while True:
            try:
                awaited = self._coroutine.send(None) if error is None else self._coroutine.throw(error)
            except StopIteration:
                return
            self.waits += 1
            if self.waits == self._wait:
                task = asyncio.current_task()
                assert task is not None
                task.cancel()
            error = None
            try:
                yield awaited
            except BaseException as exc:
                error = exc


async def run_killed(coroutine: Coroutine[object, None, None], *, wait: int) -> bool:
    """Run a coroutine in a task of its own until its n-th wait; returns whether it was killed there."""

    async def run() -> None:
        await KilledAt(coroutine, wait=wait)

    task = asyncio.create_task(run())
    await asyncio.wait({task})
    if task.cancelled():
        return True
    task.result()
    return False
