"""What `nadia recover health` takes: the cold command, and the check alone, over 50,000 runs of the last day.

Budget (baseline 1.2 and DESIGN section 8): JSON within 2 s.
"""

import asyncio
import os
import statistics
import sys
import time

from benchmarks.report import Figure, report
from nadia.embedded.endpoints import Role
from nadia.postgres import schema
from nadia.postgres.database import Database
from support.recovery_records import checker, fill
from support.servers import short_folder, start_servers

ACCOUNTS = 200
RUNS = 50_000
ROUNDS = 15


async def main() -> None:
    """Fill a database, ask the command and then the checker, over and over."""
    with short_folder() as base:
        servers = await start_servers(base, durable=True)
        try:
            await asyncio.to_thread(schema.upgrade, servers.dsn(Role.OWNER))
            database = Database(dsn=servers.dsn(Role.OWNER), pool_size=2)
            await database.open()
            await fill(database, accounts=ACCOUNTS, runs=RUNS, days=0.9)
            environment = {"PATH": os.environ["PATH"], "HOME": str(base), "DATABASE_URL": servers.dsn(Role.APP)}
            _report("cold process", [await _command(environment) for _ in range(ROUNDS)], budget=2.0)
            _report("checks", [await _check(database) for _ in range(ROUNDS)])
            await database.close()
        finally:
            await servers.stop()


async def _command(environment: dict[str, str]) -> float:
    begun = time.monotonic()
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "nadia", "recover", "health", "--json"),
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    said, _ = await child.communicate()
    assert child.returncode == 1, "every account is stale"
    assert said.startswith(b"{")
    return time.monotonic() - begun


async def _check(database: Database) -> float:
    begun = time.monotonic()
    await checker(database.connection).perform_health_check()
    return time.monotonic() - begun


def _report(name: str, seconds: list[float], *, budget: float | None = None) -> None:
    report(
        Figure(
            benchmark="recovery_health",
            name=name,
            unit="s",
            values={"median": statistics.median(seconds), "longest": max(seconds)},
            samples=len(seconds),
            setup={"accounts": ACCOUNTS, "runs of the last day": RUNS},
            budget={"median": budget} if budget else None,
        )
    )
