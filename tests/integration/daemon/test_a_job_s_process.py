"""Nothing of a job outlives its limit or the daemon: real processes, as stubborn as they come."""

import asyncio
import os
import signal
import sys
import time
from pathlib import Path

import psutil
import pytest

from nadia.daemon.child import MOST_COMPLAINT, MOST_OUTPUT, run_child
from nadia.daemon.guard import TIME_IS_UP
from support.eventually import eventually

STUBBORN = """
import os, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
for kind in ("child", "own group", "orphan in a session of its own"):
    if os.fork() == 0:
        if kind != "child":
            os.setsid()
        if kind.startswith("orphan") and os.fork():
            os._exit(0)
        break
open(sys.argv[1] + "/" + str(os.getpid()), "w").close()
while True:
    time.sleep(0.1)
"""
"""Ignores SIGTERM and has three children that do: one of them in another group, one an orphan."""


def python(code: str, *arguments: str) -> tuple[str, ...]:
    return (sys.executable, "-I", "-c", code, *arguments)


def alive(folder: Path) -> list[int]:
    """The processes that said that they run, and still do."""
    found = []
    for entry in folder.iterdir():
        try:
            if psutil.Process(int(entry.name)).status() != psutil.STATUS_ZOMBIE:
                found.append(int(entry.name))
        except psutil.NoSuchProcess:
            continue
    return found


async def test_a_job_s_status_output_and_complaint_arrive() -> None:
    end = await run_child(
        python("import sys; print('so'); print('but', file=sys.stderr); sys.exit(3)"), timeout_seconds=20
    )
    assert (end.status, end.output, end.complaint) == (3, b"so\n", b"but\n")
    assert not end.timed_out
    assert not end.overflowed
    assert "so" not in repr(end)


async def test_a_job_that_a_signal_ends_says_which() -> None:
    end = await run_child(python("import os; os.kill(os.getpid(), 11)"), timeout_seconds=20)
    assert end.status == 128 + signal.SIGSEGV


async def test_a_job_reads_nothing_and_has_a_session_of_its_own() -> None:
    code = "import os, sys; print(repr(sys.stdin.read()), os.getsid(0) == os.getpid())"
    assert (await run_child(python(code), timeout_seconds=20)).output == b"'' True\n"


async def test_a_program_that_is_not_there_is_a_failure() -> None:
    assert (await run_child(("/nowhere/at/all",), timeout_seconds=20)).status == 127


async def test_a_hanging_job_is_killed_with_all_that_it_begot(tmp_path: Path) -> None:
    began = time.monotonic()
    running = asyncio.create_task(run_child(python(STUBBORN, str(tmp_path)), timeout_seconds=1.5, term_seconds=0.3))
    await eventually(lambda: len(alive(tmp_path)) == 4, what="all four processes")
    end = await running
    assert end.timed_out
    assert alive(tmp_path) == []
    assert time.monotonic() - began < 10


async def test_what_a_job_leaves_behind_when_it_ends_is_ended_too(tmp_path: Path) -> None:
    leaves = f"import os, sys\nif os.fork():\n    sys.exit(0)\nos.setsid()\nexec({STUBBORN!r})"
    end = await run_child(python(leaves, str(tmp_path)), timeout_seconds=20, term_seconds=0.3)
    assert end.status == 0
    assert alive(tmp_path) == []


async def test_a_job_that_the_daemon_lets_go_of_ends(tmp_path: Path) -> None:
    running = asyncio.create_task(run_child(python(STUBBORN, str(tmp_path)), timeout_seconds=60, term_seconds=0.3))
    await eventually(lambda: len(alive(tmp_path)) == 4, what="all four processes")
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert alive(tmp_path) == []


async def test_a_job_ends_with_all_that_it_begot_however_often_one_asks_for_it(tmp_path: Path) -> None:
    running = asyncio.create_task(run_child(python(STUBBORN, str(tmp_path)), timeout_seconds=60, term_seconds=0.6))
    await eventually(lambda: len(alive(tmp_path)) == 4, what="all four processes")
    while not running.done():
        running.cancel()
        await asyncio.wait({running}, timeout=0.1)
    assert running.cancelled()
    left = alive(tmp_path)
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    assert left == []


async def test_the_limit_goes_on_while_the_machine_is_suspended() -> None:
    suspended = (
        "import sys, time; from nadia.daemon import guard\n"
        "woken = time.monotonic() + 0.5\n"
        "guard.uptime = lambda: time.monotonic() + (3_600 if time.monotonic() > woken else 0)\n"
        "sys.exit(guard.main(['600', '0.2', '/bin/sleep', '60']))"
    )
    guarding = await asyncio.create_subprocess_exec(sys.executable, "-c", suspended, stdin=asyncio.subprocess.PIPE)
    async with asyncio.timeout(20):
        assert await guarding.wait() == TIME_IS_UP


@pytest.mark.parametrize(("limit", "blow"), [(60.0, signal.SIGKILL), (1.5, signal.SIGSTOP)])
async def test_a_job_ends_when_the_daemon_is_killed_or_frozen_past_the_limit(
    tmp_path: Path, limit: float, blow: signal.Signals
) -> None:
    code = (
        "import asyncio, sys; from nadia.daemon.child import run_child\n"
        "asyncio.run(run_child(sys.argv[2:], timeout_seconds=float(sys.argv[1]), term_seconds=0.3))"
    )
    stubborn = python(STUBBORN, str(tmp_path))
    daemon = await asyncio.create_subprocess_exec(sys.executable, "-c", code, str(limit), *stubborn)
    await eventually(lambda: len(alive(tmp_path)) == 4, what="all four processes")
    daemon.send_signal(blow)
    await eventually(lambda: alive(tmp_path) == [], what="the end of all")
    if blow is signal.SIGSTOP:
        daemon.kill()
    await daemon.wait()


async def test_a_job_that_never_stops_printing_is_ended() -> None:
    end = await run_child(python("while True: print('x' * 1000)"), timeout_seconds=60, term_seconds=0.3)
    assert end.overflowed
    assert len(end.output) == MOST_OUTPUT


async def test_of_endless_complaints_the_end_is_kept() -> None:
    code = "import sys; sys.stderr.write('x' * 1_000_000 + 'the end')"
    end = await run_child(python(code), timeout_seconds=20)
    assert len(end.complaint) == MOST_COMPLAINT
    assert end.complaint.endswith(b"the end")


async def test_nothing_is_left_of_a_guard_that_was_killed(tmp_path: Path) -> None:
    running = asyncio.create_task(run_child(python(STUBBORN, str(tmp_path)), timeout_seconds=60, term_seconds=0.3))
    await eventually(lambda: len(alive(tmp_path)) == 4, what="all four processes")
    (guard,) = [child for child in psutil.Process().children() if "guard.py" in " ".join(child.cmdline())]
    guard.kill()
    end = await running
    assert end.status == 128 + signal.SIGKILL
    assert not end.timed_out
    for pid in alive(tmp_path):  # the job dies with its guard; what it begot is beyond anybody's reach then
        os.kill(pid, signal.SIGKILL)
