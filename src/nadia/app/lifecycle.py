"""Stopping: the first SIGINT or SIGTERM asks for an orderly end, which every part takes part in."""

import asyncio
import signal
from collections.abc import Iterator
from contextlib import contextmanager

import structlog

log = structlog.get_logger(__name__)


@contextmanager
def stop_on_signals() -> Iterator[asyncio.Event]:
    """Yield an event that is set by SIGINT or SIGTERM while the block runs."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()

    def ask(received: signal.Signals) -> None:
        log.info("process.stopping", signal=received.name)
        stop.set()

    caught = (signal.SIGINT, signal.SIGTERM)
    for wanted in caught:
        loop.add_signal_handler(wanted, ask, wanted)
    try:
        yield stop
    finally:
        for wanted in caught:
            loop.remove_signal_handler(wanted)
