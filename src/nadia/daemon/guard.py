"""Runs one job and sees that nothing of it outlives its limit, nor the daemon, nor its own end.

Run by path in an isolated interpreter (``python -I -S guard.py …``), so it imports nothing of NADIA. It is a program of
its own because only that goes on when the daemon is killed or stopped: the daemon's death closes the pipe that is this
program's standard input, and the limit is counted here. On Linux it adopts whatever the job leaves behind, also what
left the job's process group, and ends it.

Arguments: seconds that the job may take, seconds between asking it to end and killing it, then the command. It ends
with the job's status; 124 says that the time was up, and 125 that the daemon let go of it.
"""

import ctypes
import os
import select
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path

TIME_IS_UP = 124
"""As timeout(1) has it."""

LET_GO = 125

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
"""From Linux' ``sys/prctl.h``."""

_POLL_SECONDS = 0.05

_LONGEST_LOOK_SECONDS = 1.0
"""`select` does not count while the machine is suspended: so often the clock is asked."""

_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def main(arguments: list[str]) -> int:
    """Run the job and return the status to end with.

    Parameters
    ----------
    arguments : list of str
        As the module describes.
    """
    limit, patience = float(arguments[0]), float(arguments[1])
    _prctl(PR_SET_CHILD_SUBREAPER, 1)
    ended_reader, ended_writer = os.pipe()
    os.set_blocking(ended_writer, False)
    signal.set_wakeup_fd(ended_writer)
    signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
    # Whoever ends the whole system ends the daemon too; its pipe tells us then.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    guard = os.getpid()
    job = os.fork()
    if job == 0:
        _become(arguments[2:], guard)
    deadline = uptime() + limit
    status = None
    while True:
        while (found := _reap()) is not None:
            if found[0] == job:
                status = found[1]
        if status is not None:
            break
        remaining = deadline - uptime()
        if remaining <= 0:
            status = TIME_IS_UP
            break
        ready, _, _ = select.select([0, ended_reader], [], [], min(remaining, _LONGEST_LOOK_SECONDS))
        if ended_reader in ready:
            os.read(ended_reader, 1024)
        if 0 in ready and not os.read(0, 1024):
            status = LET_GO
            break
    _end_everything(job, patience)
    return status


def uptime() -> float:
    """Return seconds that go on while the machine is suspended, as `nadia.postgres.leases.uptime`: by those it ends."""
    return time.clock_gettime(_CLOCK)


def _become(command: list[str], guard: int) -> None:
    """Be the job: a session of its own, which dies with the guard; does not return."""
    try:
        os.setsid()
        for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGPIPE):
            signal.signal(number, signal.SIG_DFL)
        _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        if os.getppid() == guard:
            os.execv(command[0], command)  # noqa: S606 - becoming the command is the purpose
    finally:
        os._exit(127)


def _end_everything(job: int, patience: float) -> None:
    """Ask what is left to end, then kill it, and collect what ended."""
    deadline = uptime() + patience
    while True:
        while _reap() is not None:
            pass
        left = _descendants()
        if not left and not _group_lives(job):
            return
        number = signal.SIGTERM if uptime() < deadline else signal.SIGKILL
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(job, number)
        for pid in left:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, number)
        if number is signal.SIGKILL and not left and sys.platform != "linux":
            return
        time.sleep(_POLL_SECONDS)


def _descendants() -> list[int]:
    """Return our children, their children and so on, where the kernel tells."""
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError, ValueError):
            # The name, in brackets, may hold anything; the parent is the second field behind it.
            fields = entry.read_text(errors="replace").rpartition(")")[2].split()
            if fields[0] != "Z":
                parents.setdefault(int(fields[1]), []).append(int(entry.parent.name))
    found: list[int] = []
    waiting = [os.getpid()]
    while waiting:
        children = parents.get(waiting.pop(), [])
        found += children
        waiting += children
    return found


def _group_lives(job: int) -> bool:
    try:
        os.killpg(job, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # macOS says so of a group of zombies
        return False
    return True


def _reap() -> tuple[int, int] | None:
    """Collect one child that ended: its pid and status, a signal as 128 and its number."""
    try:
        pid, status = os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        return None
    if pid == 0:
        return None
    code = os.waitstatus_to_exitcode(status)
    return pid, code if code >= 0 else 128 - code


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
