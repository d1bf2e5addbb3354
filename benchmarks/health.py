"""What `nadia health` takes: the cold command against embedded servers, with a breakdown, and a floor beside it.

Budget (DESIGN section 7): 0.8 s and 50 MB at peak; checks 150 ms; 0.3 s above importing the same drivers bare. The
floor is a process that imports psycopg, redis.asyncio and pydantic, and connects to both servers.
"""

import asyncio
import json
import statistics
import subprocess
import sys
from pathlib import Path

from benchmarks.report import Figure, report
from nadia.embedded.endpoints import Role
from nadia.embedded.home import Home
from nadia.embedded.servers import EmbeddedServers
from support.installation import nadia_up, newcomers_environment
from support.servers import short_folder

ROUNDS = 15

# Each child prints one line of JSON: milliseconds of each stage, and the peak of its memory. What it inherits from the
# benchmark's own process shows in getrusage, and not in VmHWM.
_PEAK = """
def peak():
    lines = open("/proc/self/status").read().splitlines()
    return next(int(line.split()[1]) / 1000 for line in lines if line.startswith("VmHWM"))
"""

_STAGES = (
    _PEAK
    + """
import time
t0 = time.perf_counter()
laps = {}
def lap(name):
    global t0
    now = time.perf_counter()
    laps[name], t0 = now - t0, now
import nadia.cli.frame, nadia.cli.health
lap("import the command line")
from nadia.cli.process_config import load_config
config = load_config()
lap("settings")
import asyncio
from nadia.app.health import open_health_checker
lap("import probes and drivers")
async def main():
    async with open_health_checker(config) as checker:
        await checker.report(["postgres-connection", "redis-connection"])
        lap("connect")
        report = await checker.report()
        lap("checks")
        "\\n".join(nadia.cli.health._lines(report))
        lap("printing")
asyncio.run(main())
lap("ending")
import json
print(json.dumps({"laps": laps, "peak": peak()}))
"""
)

_FLOOR = (
    _PEAK
    + """
import asyncio, json, sys
import psycopg, pydantic, redis.asyncio
from pydantic import BaseModel
async def main():
    async with await psycopg.AsyncConnection.connect(sys.argv[1]) as conn:
        await conn.execute("SELECT 1")
    client = redis.asyncio.Redis.from_url(sys.argv[2])
    await client.ping()
    await client.aclose()
asyncio.run(main())
print(json.dumps({"peak": peak()}))
"""
)

_COMMAND = (
    _PEAK
    + """
import sys
from nadia.cli import main
code = main(["health", "--json"])
print(peak(), file=sys.stderr)
sys.exit(code)
"""
)

_TIMED = """
import subprocess, sys, time
begun = time.perf_counter()
done = subprocess.run(sys.argv[1:], capture_output=True, text=True)
seconds = time.perf_counter() - begun
print(seconds, done.returncode, file=sys.stderr)
sys.stdout.write(done.stdout)
sys.stderr.write(done.stderr)
"""


async def main() -> None:
    """Run an installation, and ask it over and over."""
    with short_folder() as base:
        environment = newcomers_environment(base)
        async with nadia_up(base, environment):
            await asyncio.to_thread(_measure, base, environment)


def _measure(base: Path, environment: dict[str, str]) -> None:
    servers = EmbeddedServers(home=Home(path=Path(environment["NADIA_HOME"])))
    urls = (servers.dsn(Role.APP), servers.redis.url)

    def child(code: str, *arguments: str) -> tuple[float, str, str]:
        """Run a child of a small process, so that the benchmark's own size does not slow its start."""
        done = subprocess.run(
            [sys.executable, "-c", _TIMED, sys.executable, "-c", code, *arguments],
            cwd=base,
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        first, _, rest = done.stderr.partition("\n")
        seconds, status = first.split()
        assert status in "01", done.stderr
        return float(seconds), done.stdout, rest

    for code, arguments in ((_COMMAND, ()), (_FLOOR, urls), (_STAGES, ())):  # writes what Python compiles
        child(code, *arguments)
    walls, peaks, checks = [], [], []
    floors, floor_peaks, stages = [], [], []
    for _ in range(ROUNDS):
        seconds, printed, error = child(_COMMAND)
        walls.append(seconds)
        peaks.append(float(error.split()[-1]))
        checks.append(json.loads(printed)["seconds"])
        seconds, printed, _ = child(_FLOOR, *urls)
        floors.append(seconds)
        floor_peaks.append(json.loads(printed)["peak"])
        _, printed, _ = child(_STAGES)
        stages.append(json.loads(printed)["laps"])
    bare = [child("pass")[0] for _ in range(ROUNDS)]
    _report("cold command, wall", "s", walls, budget=0.8)
    _report("cold command, peak memory", "MB", peaks, budget=50.0)
    _report("checks", "s", checks, budget=0.15)
    _report("floor: the same drivers bare, wall", "s", floors)
    _report("floor: the same drivers bare, peak memory", "MB", floor_peaks)
    _report("above the floor", "s", [wall - floor for wall, floor in zip(walls, floors, strict=True)], budget=0.3)
    _report("stage: the interpreter", "s", bare)
    for name in stages[0]:
        _report(f"stage: {name}", "s", [lap[name] for lap in stages])


def _report(name: str, unit: str, values: list[float], *, budget: float | None = None) -> None:
    report(
        Figure(
            benchmark="health",
            name=name,
            unit=unit,
            values={"median": statistics.median(values), "longest": max(values)},
            samples=len(values),
            setup={"processes": "nadia up with both servers; the command cold"},
            budget={"median": budget} if budget else None,
        )
    )
