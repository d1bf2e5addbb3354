"""A process's clock that goes on only by sleeping."""

import asyncio


class SleepingClock:
    """Monotonic seconds; who sleeps is awake at once, and so much time has passed."""

    def __init__(self, now: float = 1_000.0) -> None:
        self.now = now
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds
        await asyncio.sleep(0)
