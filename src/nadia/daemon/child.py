"""A job's process, from outside: started under `guard.py`, its output bounded, its end certain."""

import asyncio
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final, cast

from nadia.daemon import guard
from nadia.postgres.leases import uptime

MOST_OUTPUT: Final = 2_000_000
"""Bytes of an answer; a report has some ten thousand."""

MOST_COMPLAINT: Final = 4_000
"""Bytes kept of what a job says on standard error: its end."""

TERM_SECONDS: Final = 5.0
"""From SIGTERM to SIGKILL."""

_MARGIN_SECONDS: Final = 5.0
"""What the guard itself may need beyond its two limits, before it is taken for dead."""

_LAST_WORDS_SECONDS: Final = 1.0
"""From the guard's end to that of its pipes."""


@dataclass(frozen=True, slots=True)
class ChildEnd:
    """How a job's process ended.

    Parameters
    ----------
    status : int
        Its exit status; a signal as 128 and its number.
    output : bytes
        What it printed.
    complaint : bytes
        The end of what it said on standard error.
    timed_out : bool
        It was killed at its limit.
    overflowed : bool
        It was killed because it printed more than `MOST_OUTPUT`.
    seconds : float
        How long it took.
    """

    status: int
    output: bytes = field(repr=False)
    complaint: bytes = field(repr=False)
    timed_out: bool
    overflowed: bool
    seconds: float


async def run_child(
    command: Sequence[str],
    *,
    timeout_seconds: float,
    environ: Mapping[str, str] | None = None,
    term_seconds: float = TERM_SECONDS,
) -> ChildEnd:
    """Run a command to its end, which comes at its limit at the latest, and for all its descendants.

    Parameters
    ----------
    command : sequence of str
        Absolute path of the program, and its arguments; never a secret, everybody can read them.
    timeout_seconds : float
        What it may take.
    environ : mapping of str to str, optional
        Its environment; ours when not given.
    term_seconds : float
        From SIGTERM to SIGKILL.

    Raises
    ------
    OSError
        If no process can be started.
    """
    begun = uptime()  # as the guard counts
    loop = asyncio.get_running_loop()
    transport, job = await loop.subprocess_exec(
        _Job,
        *(sys.executable, "-I", "-S", guard.__file__, str(timeout_seconds), str(term_seconds)),
        *command,
        env=environ,
        start_new_session=True,
    )
    try:
        with suppress(TimeoutError):  # the guard hangs: it is killed below, and the job by that
            async with asyncio.timeout(timeout_seconds + term_seconds + _MARGIN_SECONDS):
                await job.ended.wait()
    finally:
        await _end(transport, job, term_seconds)
    status = transport.get_returncode()
    if status is None:
        status = -signal.SIGKILL
    seconds = uptime() - begun
    return ChildEnd(
        status=status if status >= 0 else 128 - status,
        output=bytes(job.output),
        complaint=bytes(job.complaint),
        # A job may end with that status of itself.
        timed_out=seconds >= timeout_seconds and status in (guard.TIME_IS_UP, -signal.SIGKILL),
        overflowed=job.overflowed,
        seconds=seconds,
    )


class _Job(asyncio.SubprocessProtocol):
    """Collects what a guard and its job say, within bounds."""

    def __init__(self) -> None:
        self.output, self.complaint = bytearray(), bytearray()
        self.overflowed = False
        self.ended, self.closed = asyncio.Event(), asyncio.Event()
        self._transport: asyncio.SubprocessTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take note of the process."""
        self._transport = cast("asyncio.SubprocessTransport", transport)

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        """Keep the beginning of its output and the end of its complaints."""
        if fd == 2:
            self.complaint += data
            del self.complaint[:-MOST_COMPLAINT]
            return
        self.output += data[: MOST_OUTPUT - len(self.output)]
        if len(self.output) >= MOST_OUTPUT and not self.overflowed:
            self.overflowed = True
            self.let_go()

    def let_go(self) -> None:
        """Tell the guard to end the job."""
        pipe = self._transport and self._transport.get_pipe_transport(0)
        if pipe is not None:
            pipe.close()

    def process_exited(self) -> None:
        """Take note that the guard has ended."""
        self.ended.set()

    def connection_lost(self, exc: Exception | None) -> None:
        """Take note that nobody holds its pipes any more."""
        self.closed.set()


async def _end(transport: asyncio.SubprocessTransport, job: _Job, term_seconds: float) -> None:
    """Let go of the guard, which ends the job then, and reap it; also when cancelled, and however often.

    Closing the transport kills the guard, and with it whatever sees to the job's descendants. So nobody's impatience
    does that before the guard's own time is up.
    """
    loop, cancelled = asyncio.get_running_loop(), False
    job.let_go()
    try:
        # What a killed guard could not end may hold its pipes for ever.
        for event, seconds in ((job.ended, term_seconds + _MARGIN_SECONDS), (job.closed, _LAST_WORDS_SECONDS)):
            deadline = loop.time() + seconds
            while not event.is_set() and loop.time() < deadline:
                try:
                    with suppress(TimeoutError):
                        async with asyncio.timeout_at(deadline):
                            await event.wait()
                except asyncio.CancelledError:
                    cancelled = True
    finally:
        transport.close()
    if cancelled:
        raise asyncio.CancelledError
