"""How much of what Telegram allows the limiter makes use of, and that it never asks for more than its ceiling.

First in real time, with readers that always want more and a server that allows everything. Then by a clock of its own,
with a server that allows ten requests in 30 s, as Telegram has been seen to do (DESIGN section 4), for two hours; and
once that server allows everything, for as long as it takes until the ceiling is reached again.

Budget (issue 3): never above 30 requests in a second, at least 90 % of that when the server allows it.
"""

import asyncio
import bisect
import logging
import time
from collections import deque
from typing import Final

import structlog

from benchmarks.report import Figure, report
from nadia.constants import HOUR_IN_SECONDS
from nadia.telegram.errors import FloodWaitError
from nadia.telegram.limiter import REQUESTS_PER_SECOND, RequestLimiter
from support.sleeping import SleepingClock

SECONDS: Final = 10.0
READERS: Final = 8
ALLOWED: Final = 10
WINDOW_SECONDS: Final = 30.0


async def main() -> None:
    """Measure both servers."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    await _allowed_everything()
    await _allowed_little()


async def _allowed_everything() -> None:
    limiter = RequestLimiter(account_id="fast")
    times: list[float] = []

    async def request() -> None:
        async with limiter.turn():
            times.append(time.monotonic())

    async def read() -> None:
        while True:
            await limiter.call(request)

    readers = [asyncio.create_task(read()) for _ in range(READERS)]
    await asyncio.sleep(SECONDS)
    for reader in readers:
        reader.cancel()
    await asyncio.gather(*readers, return_exceptions=True)
    rate = (len(times) - 1) / (times[-1] - times[0])
    report(
        Figure(
            benchmark="limiter",
            name="a server that allows everything",
            unit="ratio",
            values={"share_of_ceiling": rate / REQUESTS_PER_SECOND, "most_in_a_second": _most_in_a_second(times)},
            samples=len(times),
            setup={"seconds": SECONDS, "readers": READERS, "ceiling": REQUESTS_PER_SECOND},
            budget={"share_of_ceiling": 0.9, "most_in_a_second": REQUESTS_PER_SECOND},
        )
    )


async def _allowed_little() -> None:
    clock = SleepingClock(0)
    limiter = RequestLimiter(account_id="slow", monotonic=clock, sleep=clock.sleep)
    answered: deque[float] = deque()
    counts = {"answered": 0, "refused": 0}

    async def request() -> None:
        async with limiter.turn():
            while answered and answered[0] <= clock.now - WINDOW_SECONDS:
                answered.popleft()
            if len(answered) >= ALLOWED:
                counts["refused"] += 1
                raise FloodWaitError(int(answered[0] + WINDOW_SECONDS - clock.now) + 1)
            answered.append(clock.now)
            counts["answered"] += 1

    until = 2 * HOUR_IN_SECONDS
    while clock.now < until:
        await limiter.call(request)
    until_ceiling = clock.now
    while limiter.rate < REQUESTS_PER_SECOND:
        await limiter.wait()
    allowed = ALLOWED / WINDOW_SECONDS * until
    report(
        Figure(
            benchmark="limiter",
            name="a server that allows ten requests in 30 s",
            unit="ratio",
            values={
                "share_of_allowed": counts["answered"] / allowed,
                "share_refused": counts["refused"] / (counts["answered"] + counts["refused"]),
                "minutes_back_to_ceiling": (clock.now - until_ceiling) / 60,
            },
            samples=counts["answered"] + counts["refused"],
            setup={"hours": 2, "clock": "simulated"},
        )
    )


def _most_in_a_second(times: list[float]) -> int:
    return max(bisect.bisect_left(times, begin + 1.0) - position for position, begin in enumerate(times))
