"""Keeping the parts of a process running: one that fails is begun again, and said so."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import structlog

from nadia.app import metrics
from nadia.errors import NadiaError

log = structlog.get_logger(__name__)

_FIRST_DELAY_SECONDS: Final = 0.2
_LONGEST_DELAY_SECONDS: Final = 10.0
_SETTLED_SECONDS: Final = 30.0

Part = Callable[[], Awaitable[None]]
"""Something that runs until it is cancelled."""


async def keep_running(name: str, part: Part) -> None:
    """Run a part until cancelled; begin it again, after a growing delay, when it fails or ends."""
    metrics.RESTARTS.labels(name)
    delay = _FIRST_DELAY_SECONDS
    while True:
        begun = time.monotonic()
        try:
            await part()
            log.warning("part.ended", part=name)
        except NadiaError as exc:
            log.warning("part.failed", part=name, reason=exc.message, hint=exc.hint)
        except Exception:
            log.exception("part.crashed", part=name)
        if time.monotonic() - begun > _SETTLED_SECONDS:
            delay = _FIRST_DELAY_SECONDS
        metrics.RESTARTS.labels(name).inc()
        await asyncio.sleep(delay)
        delay = min(2 * delay, _LONGEST_DELAY_SECONDS)


async def run_parts(parts: Mapping[str, Part], *, until: asyncio.Event) -> None:
    """Run parts side by side until the event is set, then cancel them and wait for their end."""
    tasks = [asyncio.create_task(keep_running(name, part), name=name) for name, part in parts.items()]
    try:
        await until.wait()
    finally:
        pending = set(tasks)
        while pending:
            for task in pending:
                task.cancel()
            # Asked again each second: a library may lose a cancellation.
            _, pending = await asyncio.wait(pending, timeout=1.0)
