"""`nadia health`, and the launcher that stands for it: what they print, how they end, and that they end at all."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import jsonschema_rs
import pytest

from nadia.embedded.endpoints import RedisEndpoint
from nadia.health.models import HealthStatus
from support.command_line import Outcome, run_nadia
from support.core import ACCOUNT
from support.health_world import HealthWorld
from support.servers import ClonedDatabase

ROOT = Path(__file__).parents[3]
LAUNCHER = ROOT / "monitoring" / "health_check.py"
SCHEMA = json.loads((ROOT / "docs" / "reference" / "health.schema.json").read_text(encoding="utf-8"))
LIMIT_SECONDS = 2.0
"""NADIA_HEALTH_PROBE_TIMEOUT_SECONDS."""

pytestmark = pytest.mark.usefixtures("world")


@pytest.fixture
def environ(database: ClonedDatabase, redis_endpoint: RedisEndpoint, tmp_path: Path) -> dict[str, str]:
    """Settings of the world that a test has; no daemon belongs to it."""
    return {
        "DATABASE_URL": database.app_dsn,
        "REDIS_URL": redis_endpoint.url,
        "NADIA_HOME": str(tmp_path / "home"),
        "NADIA_TELEGRAM_ACCOUNT": ACCOUNT,
        "NADIA_DAEMON_ENABLED": "false",
        # This machine's load and disks are no matter here.
        "NADIA_HEALTH_CPU_PERCENT": "100",
        "NADIA_HEALTH_MEMORY_PERCENT": "100",
        "NADIA_HEALTH_DISK_PERCENT": "100",
    }


async def health(environ: dict[str, str], *arguments: str) -> Outcome:
    return await asyncio.to_thread(run_nadia, "health", *arguments, cwd=ROOT / "docs", environ=environ)


def turned(printed: str) -> dict[str, str]:
    report = json.loads(printed)
    jsonschema_rs.validator_for(SCHEMA).validate(report)
    return {probe["id"]: probe["status"] for probe in report["probes"] if probe["status"] != "healthy"}


@asynccontextmanager
async def silent_listener() -> AsyncIterator[int]:
    """A server that accepts and never says a word."""
    ended = asyncio.Event()

    async def accept(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await ended.wait()
        writer.close()

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        ended.set()
        server.close()


async def test_a_healthy_installation_ends_in_0_and_prints_one_document(environ: dict[str, str]) -> None:
    ended = await health(environ, "--json")

    assert turned(ended.out) == {}
    assert (ended.code, ended.err) == (0, "")


async def test_people_read_what_is_wrong_first_with_its_remedy(environ: dict[str, str], world: HealthWorld) -> None:
    for chat_id in (8, 9):
        await world.core.receive(chat_id=chat_id)
    ended = await health({**environ, "NADIA_HEALTH_REDIS_MEMORY_MEGABYTES": "0.001"})

    lines = ended.out.splitlines()
    assert ended.code == 1
    assert lines[0].startswith("warning  1 of ")
    assert lines[2] == "warning   Redis memory (redis-memory)"
    assert any(line.strip().startswith("hint: ") for line in lines[3:6])
    assert "docs/operations/health.md#redis-memory" in ended.out
    assert "\x1b" not in ended.out, "no colours where there is no terminal"


async def test_one_probe_is_run_alone(environ: dict[str, str]) -> None:
    ended = await health(environ, "--json", "--probe", "redis-memory", "--probe", "postgres-schema")

    assert ended.code == 0
    assert [probe["id"] for probe in json.loads(ended.out)["probes"]] == ["postgres-schema", "redis-memory"]


async def test_an_unknown_probe_is_a_mistake_in_the_command(environ: dict[str, str]) -> None:
    ended = await health(environ, "--probe", "nonsense")

    assert (ended.code, ended.out) == (2, "")
    assert "there is no probe 'nonsense'" in ended.err
    assert "redis-memory" in ended.err


async def test_without_postgres_the_command_ends_in_3_and_the_others_stay_right(environ: dict[str, str]) -> None:
    ended = await health({**environ, "DATABASE_URL": "postgresql://u:secret@127.0.0.1:1/x"}, "--json")

    found = turned(ended.out)
    assert ended.code == 3
    assert found["postgres-connection"] == "critical"
    assert {found[probe] for probe in found if probe != "postgres-connection"} == {"unknown"}
    assert not {"redis-connection", "redis-memory", "wal-entries", "model-chain", "cpu"} & found.keys()
    assert "secret" not in ended.out + ended.err


async def test_without_redis_the_command_ends_in_3_and_the_others_stay_right(environ: dict[str, str]) -> None:
    ended = await health({**environ, "REDIS_URL": "redis://u:secret@127.0.0.1:1/0"}, "--json")

    found = turned(ended.out)
    assert ended.code == 3
    assert found["redis-connection"] == "critical"
    assert {found[probe] for probe in found if probe != "redis-connection"} == {"unknown"}
    assert not {"postgres-connection", "postgres-schema", "review-queue", "recovery"} & found.keys()
    assert "secret" not in ended.out + ended.err


async def test_people_read_once_why_many_probes_are_unknown(environ: dict[str, str]) -> None:
    ended = await health({**environ, "DATABASE_URL": "postgresql://u:secret@127.0.0.1:1/x"})

    assert ended.out.count("PostgreSQL cannot be reached") == 2, "of the server itself, and of all that need it"
    assert "review-queue, review-wait" in ended.out
    assert ended.out.count("hint: ") == 1, "what to do stands with what is wrong"


@pytest.mark.parametrize("which", ["DATABASE_URL", "REDIS_URL"])
async def test_a_server_that_accepts_and_never_answers_holds_the_command_up_no_longer_than_a_probe_may_take(
    which: str, environ: dict[str, str]
) -> None:
    async with silent_listener() as port:
        url = f"postgresql://u:p@127.0.0.1:{port}/x" if which == "DATABASE_URL" else f"redis://127.0.0.1:{port}/0"
        begun = time.monotonic()
        ended = await health({**environ, which: url}, "--json")
        took = time.monotonic() - begun

    itself = "postgres-connection" if which == "DATABASE_URL" else "redis-connection"
    assert turned(ended.out)[itself] == "critical"
    assert ended.code == 3
    assert json.loads(ended.out)["seconds"] < LIMIT_SECONDS + 0.5
    assert took < LIMIT_SECONDS + 5, "and then it ends: nothing is waited for that hangs"


async def test_a_name_that_nobody_resolves_does_not_keep_the_command(environ: dict[str, str], tmp_path: Path) -> None:
    # What a resolver does whose servers do not answer: it blocks its thread.
    (tmp_path / "sitecustomize.py").write_text(
        "import socket, time\nsocket.getaddrinfo = lambda *a, **k: time.sleep(60)"
    )
    begun = time.monotonic()
    ended = await health(
        {**environ, "DATABASE_URL": "postgresql://u:p@db.example.org/x", "PYTHONPATH": str(tmp_path)}, "--json"
    )

    assert turned(ended.out)["postgres-connection"] == "critical"
    assert time.monotonic() - begun < LIMIT_SECONDS + 8


async def test_no_server_at_all_ends_in_3(environ: dict[str, str], tmp_path: Path) -> None:
    del environ["DATABASE_URL"], environ["REDIS_URL"]
    (tmp_path / "home").mkdir(mode=0o711)

    ended = await health(environ, "--json")

    found = turned(ended.out)
    assert ended.code == 3
    assert (found["embedded-servers"], found["postgres-connection"]) == ("critical", "critical")


async def test_the_launcher_prints_the_same(environ: dict[str, str]) -> None:
    def launch() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, LAUNCHER, "--probe", "redis-connection"],
            env={"PATH": os.environ["PATH"], "HOME": "/nowhere", **environ},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    result = await asyncio.to_thread(launch)

    assert (result.returncode, turned(result.stdout)) == (0, {})
    assert len(LAUNCHER.read_text().splitlines()) <= 10


async def test_watching_prints_line_after_line_until_ctrl_c(environ: dict[str, str]) -> None:
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "nadia", "health", "--watch", "--json", "--probe", "cpu"),
        env={"PATH": os.environ["PATH"], "HOME": "/nowhere", **environ},
        stdout=asyncio.subprocess.PIPE,
    )
    assert child.stdout is not None
    report = json.loads(await asyncio.wait_for(child.stdout.readline(), 30))
    child.send_signal(signal.SIGINT)

    assert await asyncio.wait_for(child.wait(), 30) == 130
    assert HealthStatus(report["status"]) is HealthStatus.HEALTHY


async def test_what_the_kernel_counted_is_in_the_home_for_the_next_check(environ: dict[str, str]) -> None:
    home = Path(environ["NADIA_HOME"])
    home.mkdir(mode=0o700)

    first = await health(environ, "--json", "--probe", "cpu")
    counts = home / "cpu-counts.json"
    # As if it had been five minutes ago.
    past = json.loads(counts.read_text())
    past[0][1] -= 300
    counts.write_text(json.dumps(past))
    second = await health(environ, "--json", "--probe", "cpu")

    assert json.loads(first.out)["probes"][0]["value"] is None
    found = json.loads(second.out)["probes"][0]
    assert found["figures"]["over_seconds"] >= 300
    assert 0 <= found["value"] <= 100
