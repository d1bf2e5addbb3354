"""Wait for a condition, with a deadline and no fixed delay."""

import asyncio
import time
from collections.abc import Callable


async def eventually(condition: Callable[[], bool], *, within: float = 15.0, what: str = "the condition") -> None:
    """Return as soon as `condition` holds; fail the test when it does not within so many seconds."""
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not come true within {within} s"
        await asyncio.sleep(0.02)
