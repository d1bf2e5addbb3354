"""Servers that an earlier NADIA left running on the same data folder.

Whoever calls this owns the home's lock, so nobody else has a right to run a server there. They are known by their
working directory, which both servers set to their data folder: a pid file may name a process that has nothing to do
with it, a working directory cannot.
"""

import asyncio
import signal
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from nadia.embedded.process import StopSteps

if TYPE_CHECKING:
    import psutil

log = structlog.get_logger(__name__)

_POLL_SECONDS = 0.05


async def stop_leftovers(
    *, programs: Sequence[str], folder: Path, steps: StopSteps, leader: int | None = None
) -> list[int]:
    """Stop what still runs on `folder`, and wait until nothing does.

    Parameters
    ----------
    programs : sequence of str
        Names that the server's processes can have.
    folder : Path
        The server's data folder.
    steps : sequence of (signal, seconds)
        What to try in turn; the last ought to be SIGKILL.
    leader : int, optional
        Pid that alone is to get the signals before SIGKILL, when the server's other processes follow it or would
        misunderstand them; nobody gets them when it does not run.

    Returns
    -------
    list of int
        Pids of the processes that were found.
    """
    found = _running(programs, folder)
    if not found:
        return []
    pids = [process.pid for process in found]
    log.warning("embedded.leftover.found", programs=list(programs), folder=str(folder), pids=pids)
    for number, patience in steps:
        for process in found:
            if leader is None or process.pid == leader or number is signal.SIGKILL:
                _send(process, number)
        if await _all_gone(programs, folder, patience):
            break
        found = _running(programs, folder)
    return pids


def _running(programs: Sequence[str], folder: Path) -> list["psutil.Process"]:
    import psutil

    real = str(folder.resolve())
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.name() in programs and process.cwd() == real:
                found.append(process)
    return found


def _send(process: "psutil.Process", number: signal.Signals) -> None:
    import psutil

    with suppress(psutil.Error):
        process.send_signal(number)


async def _all_gone(programs: Sequence[str], folder: Path, patience: float) -> bool:
    deadline = time.monotonic() + patience
    while _running(programs, folder):
        if time.monotonic() >= deadline:
            return False
        await asyncio.sleep(_POLL_SECONDS)
    return True
