"""Measuring: some of everything in each round, so that what slows the machine down for a while slows down all alike."""

import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Final

from nadia.errors import UnavailableError
from nadia.postgres.database import Connection
from nadia.redis import keys
from nadia.redis.commands import Command, Script
from nadia.redis.connection import RedisConnection
from nadia.workflows.performance.figures import Samples

ROUNDS: Final = 12
"""Enough for the rank test to tell 30 % apart with the noise of a shared machine, and done in about ten seconds."""

_PATIENCE_SECONDS: Final = 10.0
"""Of one sample."""

_PAGE: Final = b"\0" * 8192
"""What PostgreSQL writes at a time."""

_LOOPS: Final = 100_000

# A transaction of a kilobyte in PostgreSQL's log, synced like any other, that leaves no row behind.
_SMALL_WRITE = "SELECT pg_logical_emit_message(true, 'nadia.performance', repeat('x', 1000))"

# Writes, reads and keeps nothing for long. KEYS: the probe's key.
_SCRIPT: Final = Script("""
for i = 1, 50 do redis.call('RPUSH', KEYS[1], i) end
local found = redis.call('LRANGE', KEYS[1], 0, -1)
redis.call('DEL', KEYS[1])
return #found
""")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampler:
    """One thing to measure.

    Parameters
    ----------
    name : str
        Of the figure.
    each_round : int
        How often it is tried in a round, whose value is the median.
    take : callable
        Does it once.
    """

    name: str
    each_round: int
    take: Callable[[], Awaitable[object]]


async def measure(
    samplers: Sequence[Sampler], *, rounds: int = ROUNDS, stopwatch: Callable[[], float] = time.perf_counter
) -> tuple[dict[str, Samples], dict[str, str]]:
    """Measure everything in rounds, after one that only warms up.

    Returns
    -------
    figures : dict
        What was measured, by name.
    failures : dict
        Why something was not, by name.
    """
    values: dict[str, list[float]] = {sampler.name: [] for sampler in samplers}
    failures: dict[str, str] = {}
    for number in range(rounds + 1):
        for sampler in samplers:
            if sampler.name in failures:
                continue
            try:
                taken = median([await _time(sampler, stopwatch) for _ in range(sampler.each_round)])
            except (UnavailableError, OSError, TimeoutError) as exc:
                failures[sampler.name] = exc.message if isinstance(exc, UnavailableError) else type(exc).__name__
                continue
            if number:
                values[sampler.name].append(taken)
    return {name: Samples(values=taken) for name, taken in values.items() if name not in failures}, failures


def samplers(
    *, conn: Connection, redis: RedisConnection, home: Path, web: tuple[str, int] | None
) -> tuple[Sampler, ...]:
    """Return what is measured.

    Parameters
    ----------
    conn : Connection
        A connection of one's own.
    redis : RedisConnection
        Redis.
    home : Path
        On whose disk writing is measured.
    web : tuple of str and int, or None
        Host and port that the web listens on.
    """

    async def ask_redis() -> None:
        await redis.send([Command(("ECHO", "nadia"))])

    async def run_script() -> None:
        await redis.run(_SCRIPT, keys=[keys.PERFORMANCE_PROBE], args=[])

    async def ask_web() -> None:
        if web is not None:
            await _get_livez(*web)

    found = (
        Sampler(name="PostgreSQL: round trip", each_round=20, take=lambda: conn.execute("SELECT 1")),
        Sampler(name="PostgreSQL: small write", each_round=10, take=lambda: conn.execute(_SMALL_WRITE)),
        Sampler(name="Redis: round trip", each_round=20, take=ask_redis),
        Sampler(name="Redis: script", each_round=10, take=run_script),
        Sampler(name="disk: write and sync 8 KiB", each_round=5, take=lambda: asyncio.to_thread(write_and_sync, home)),
        Sampler(name="processor: a loop on one core", each_round=3, take=_loop),
        Sampler(name="command: start", each_round=1, take=_start_command),
        Sampler(name="web: answer", each_round=5, take=ask_web),
    )
    return found if web is not None else found[:-1]


def write_and_sync(folder: Path) -> None:
    """Write a page to a new file in a folder, and wait until the disk has it."""
    with tempfile.TemporaryFile(dir=folder) as file:
        file.write(_PAGE)
        file.flush()
        os.fsync(file.fileno())


async def _time(sampler: Sampler, stopwatch: Callable[[], float]) -> float:
    begun = stopwatch()
    async with asyncio.timeout(_PATIENCE_SECONDS):
        await sampler.take()
    return stopwatch() - begun


async def _loop() -> None:
    total = 0
    for number in range(_LOOPS):
        total += number * number % 7


async def _start_command() -> None:
    """Start an interpreter and read what each command needs: the settings."""
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        "import nadia.settings.config",
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        if await child.wait():
            raise OSError("an interpreter did not start")
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()


async def _get_livez(host: str, port: int) -> None:
    reader, writer = await asyncio.open_connection(host, port)
    try:
        writer.write(f"GET /livez HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n".encode())
        await writer.drain()
        answer = await reader.read(4096)
        if not answer.startswith(b"HTTP/1.1 200"):
            raise OSError("another program answers there")
    finally:
        writer.close()
