"""What every role does so that it can be looked at: metrics to scrape, and figures of the last day."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, nullcontext, suppress
from typing import Final, Protocol

import structlog

from nadia import __version__, metrics
from nadia.app.metrics import INFO, LOOP_LAG_SECONDS, STARTED
from nadia.app.supervision import Part, run_parts
from nadia.errors import UnavailableError
from nadia.health.figure_recorder import FigureRecorder
from nadia.settings import Config

log = structlog.get_logger(__name__)

_RECORD_SECONDS: Final = 20.0
_LAST_RECORD_SECONDS: Final = 2.0
_LOOP_SECONDS: Final = 1.0


class Observable(Protocol):
    """What of a process is needed to look at it."""

    @property
    def config(self) -> Config:
        """Its settings."""

    @property
    def recorder(self) -> FigureRecorder:
        """What adds its figures to everybody's."""


@asynccontextmanager
async def observed(context: Observable, *, role: str, metrics_port: int = 0) -> AsyncIterator[None]:
    """Let this process be looked at during the block.

    Parameters
    ----------
    context : Observable
        The process.
    role : str
        What it does, as metrics name it.
    metrics_port : int
        Where it answers scrapes; 0 for nowhere, as where pages do.

    Raises
    ------
    ConfigurationError
        If the port is taken.
    """
    INFO.labels(__version__, role).set(1)
    STARTED.set(time.time())
    host = context.config.metrics.host
    with metrics.serve(metrics_port, host=host) if metrics_port else nullcontext():
        parts: Mapping[str, Part] = {"figures": lambda: _record(context.recorder), "loop": _watch_loop}
        stop = asyncio.Event()
        running = asyncio.create_task(run_parts(parts, until=stop))
        try:
            yield
        finally:
            stop.set()
            await running
            with suppress(UnavailableError, TimeoutError):
                async with asyncio.timeout(_LAST_RECORD_SECONDS):
                    await context.recorder.record()


async def _record(recorder: FigureRecorder) -> None:
    """Keep the figures current."""
    was_away = False
    while True:
        try:
            await recorder.record()
            was_away = False
        except UnavailableError as exc:
            if not was_away:
                log.info("figures.wait", reason=exc.message)
            was_away = True
        await asyncio.sleep(_RECORD_SECONDS)


async def _watch_loop() -> None:
    """Measure how late the loop wakes who sleeps."""
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + _LOOP_SECONDS
        await asyncio.sleep(_LOOP_SECONDS)
        LOOP_LAG_SECONDS.observe(max(0.0, loop.time() - due))
