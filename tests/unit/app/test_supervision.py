"""Parts of a process: one that fails is begun again, and all end when asked."""

import asyncio

from nadia.app import metrics
from nadia.app.supervision import run_parts
from nadia.errors import UnavailableError


async def test_a_part_that_fails_is_begun_again_and_the_others_go_on() -> None:
    stop, begun, ticks = asyncio.Event(), 0, 0

    async def fails_twice() -> None:
        nonlocal begun
        begun += 1
        if begun == 1:
            raise UnavailableError("PostgreSQL cannot be reached")
        if begun == 2:
            raise ValueError("nobody foresaw this")
        stop.set()
        await asyncio.Event().wait()

    async def goes_on() -> None:
        nonlocal ticks
        while True:
            ticks += 1
            await asyncio.sleep(0)

    async with asyncio.timeout(10):
        await run_parts({"fails": fails_twice, "goes_on": goes_on}, until=stop)

    assert begun == 3
    assert ticks > 10
    assert metrics.RESTARTS.labels("fails")._value.get() >= 2


async def test_a_part_that_loses_a_cancellation_is_asked_again() -> None:
    stop, asked = asyncio.Event(), 0

    async def loses_the_first() -> None:
        nonlocal asked
        stop.set()
        while asked < 2:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                asked += 1
        raise asyncio.CancelledError

    async with asyncio.timeout(10):
        await run_parts({"deaf": loses_the_first}, until=stop)

    assert asked == 2
