"""What `nadia up` takes when nothing happens, and at its peak under load: memory and CPU, servers included.

Budget (DESIGN section 7): 200 MB at peak for everything; idle at most 2 % of one core.
"""

import asyncio
import os
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil

from benchmarks.report import Figure, report
from nadia.telegram.sandbox.address import parse_address
from nadia.telegram.sandbox.customer import CustomerClient
from nadia.workflows.schedule_state import DaemonState, state_file
from support.servers import short_folder
from support.system import ACCOUNT

IDLE_SECONDS = 300
"""As long as from one scheduled health check to the next: each such stretch holds one."""

LOAD_MESSAGES = 1_000


async def main() -> None:
    """Start it, let it rest, load it."""
    with short_folder() as base:
        home = base / "home"
        home.mkdir(mode=0o711)
        child = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "nadia",
            "up",
            env={"PATH": os.environ["PATH"], "HOME": str(base), "NADIA_HOME": str(home), "NADIA_WEB_PORT": "0"},
            cwd=base,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        assert child.stdout is not None
        begun = time.monotonic()
        while b"Ctrl-C" not in await child.stdout.readline():
            pass
        report(
            Figure(
                benchmark="idle", name="first start until ready", unit="s", values={"once": time.monotonic() - begun}
            )
        )
        try:
            process = psutil.Process(child.pid)
            await _every_job_has_run(home)
            await _idle(process)
            await _load(process, str(home / "sandbox" / "telegram.sock"))
        finally:
            child.terminate()
            await child.wait()


async def _every_job_has_run(home: Path) -> None:
    """Wait for the first runs of all scheduled jobs: the rarer ones come again only after hours."""
    while True:
        with suppress(FileNotFoundError):
            state = DaemonState.model_validate_json(state_file(home).read_text())
            if state.jobs and all(job.last for job in state.jobs):
                return
        await asyncio.sleep(1)


async def _idle(process: psutil.Process) -> None:
    before, begun, peak = _cpu_seconds(process), time.monotonic(), 0
    while time.monotonic() < begun + IDLE_SECONDS:
        await asyncio.sleep(0.5)
        peak = max(peak, _memory(process)[1])
    share = (_cpu_seconds(process) - before) / (time.monotonic() - begun)
    report(
        Figure(
            benchmark="idle",
            name="CPU, share of one core",
            unit="ratio",
            values={"mean": share},
            setup={"seconds": IDLE_SECONDS, "processes": "nadia up with both servers and the scheduled checks"},
            budget={"mean": 0.02},
        )
    )
    _report_memory(process, "idle memory", None)
    _report_memory(process, "memory, peak while a scheduled check runs", peak)


async def _load(process: psutil.Process, socket: str) -> None:
    peak = 0

    async def watch() -> None:
        nonlocal peak
        while True:
            peak = max(peak, _memory(process)[1])
            await asyncio.sleep(0.2)

    watching = asyncio.create_task(watch())
    async with CustomerClient(address=parse_address(socket)) as client:
        people = [await client.create(name=f"Customer {number}") for number in range(100)]
        for number in range(LOAD_MESSAGES):
            person = people[number % len(people)]
            await client.write(account=ACCOUNT, user_id=person.user_id, text=f"where is my order {number}?")
            await asyncio.sleep(0.01)
    await asyncio.sleep(10)
    watching.cancel()
    _report_memory(process, f"memory, peak over {LOAD_MESSAGES} messages at about 80 messages/s", peak)


def _report_memory(process: psutil.Process, name: str, peak: int | None) -> None:
    python, everything = _memory(process)
    report(
        Figure(
            benchmark="idle",
            name=name,
            unit="MB",
            values={"python": python / 1e6, "with servers": (peak or everything) / 1e6},
            setup={"measure": "proportional set size"},
            budget={"with servers": 200.0},
        )
    )


def _memory(process: psutil.Process) -> tuple[int, int]:
    """Return the proportional set size of the Python process, and of it with all its children; bytes."""
    total = 0
    for child in process.children(recursive=True):
        with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            total += child.memory_full_info().pss
    own = process.memory_full_info().pss
    return own, own + total


def _cpu_seconds(process: psutil.Process) -> float:
    """Return the CPU time of the process and all it started, also of what has ended since; seconds."""
    total = 0.0
    for one in [process, *process.children(recursive=True)]:
        with suppress(psutil.NoSuchProcess):
            times = one.cpu_times()
            total += times.user + times.system + times.children_user + times.children_system
    return total
