"""Roles as processes: they answer scrapes, keep figures up to their end, and write log files."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from nadia.clock import utc_now
from nadia.embedded.endpoints import RedisEndpoint
from nadia.health.figures import FigureHistory
from nadia.redis.connection import RedisConnection
from support.ports import free_ports
from support.servers import ClonedDatabase, short_folder

Environment = dict[str, str]


@pytest.fixture
def environment(database: ClonedDatabase, redis_endpoint: RedisEndpoint) -> Iterator[Environment]:
    with short_folder() as base:
        yield {
            "PATH": os.environ["PATH"],
            "HOME": str(base),
            "NADIA_HOME": str(base / "home"),
            "DATABASE_URL": database.app_dsn,
            "REDIS_URL": redis_endpoint.url,
        }


@asynccontextmanager
async def role(environment: Environment, name: str, *arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run a role until the end of the block, then stop it as a supervisor does."""
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "nadia", "run", name, *arguments),
        env=environment,
        cwd=environment["HOME"],
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert child.stdout is not None
    try:
        said = await asyncio.wait_for(child.stdout.readline(), 30)
        assert said == f"{name} is ready\n".encode()
        yield child
    finally:
        if child.returncode is None:
            child.send_signal(signal.SIGTERM)
        _, errors = await asyncio.wait_for(child.communicate(), 30)
    assert child.returncode == 0, errors.decode()[-2_000:]


async def scraped(port: int) -> str:
    async with httpx.AsyncClient() as client:
        answer = await client.get(f"http://127.0.0.1:{port}/metrics")
        answer.raise_for_status()
        return answer.text


def logged(environment: Environment) -> list[dict[str, object]]:
    folder = Path(environment["NADIA_HOME"]) / "logs"
    return [json.loads(line) for path in sorted(folder.iterdir()) for line in path.read_text().splitlines()]


async def test_a_worker_is_scraped_where_the_settings_say_and_its_last_figures_are_kept(
    environment: Environment, redis_connection: RedisConnection
) -> None:
    (port,) = free_ports(1)
    async with role(environment | {"NADIA_METRICS_PORT": str(port)}, "worker"):
        text = await scraped(port)
        assert 'nadia_app_info{role="worker",version="' in text
        assert "nadia_app_started_timestamp_seconds 1." in text
        assert "nadia_wal_entries" in text
        assert 'nadia_postgres_statement_seconds_count{statement="' in text
    history = FigureHistory(redis=redis_connection)
    figures = await history.read(since=utc_now() - timedelta(minutes=10))
    assert figures.distribution("nadia_postgres_statement_seconds", statement="select batches").count > 0
    (info,) = await history.gauges("nadia_app_info")
    assert info[0].startswith("worker/")
    assert info[1]["role"] == "worker"


async def test_a_port_of_the_command_line_comes_before_that_of_the_settings_and_none_is_the_default(
    environment: Environment,
) -> None:
    of_settings, of_command = free_ports(2)
    async with role(environment | {"NADIA_METRICS_PORT": str(of_settings)}, "bot", "--metrics-port", str(of_command)):
        assert 'role="bot"' in await scraped(of_command)
        with pytest.raises(httpx.ConnectError):
            await scraped(of_settings)


async def test_a_port_that_is_taken_is_said_with_the_remedy(environment: Environment) -> None:
    (port,) = free_ports(1)
    async with role(environment, "worker", "--metrics-port", str(port)):
        second = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "nadia", "run", "worker", "--metrics-port", str(port)),
            env=environment,
            cwd=environment["HOME"],
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
        _, errors = await asyncio.wait_for(second.communicate(), 30)
        assert second.returncode == 2
        assert b"NADIA_METRICS_PORT" in errors


async def test_a_role_writes_a_log_file_unless_told_not_to(environment: Environment) -> None:
    async with role(environment | {"NADIA_LOGS_FILE_ENABLED": "false"}, "worker"):
        pass
    assert not (Path(environment["NADIA_HOME"]) / "logs").exists()
    async with role(environment, "worker") as child:
        pass
    assert (Path(environment["NADIA_HOME"]) / "logs" / f"worker-{child.pid}.jsonl").is_file()
    assert "process.stopping" in [entry["event"] for entry in logged(environment)]


async def test_a_home_where_nothing_can_be_written_keeps_no_role_from_running(environment: Environment) -> None:
    home = Path(environment["NADIA_HOME"])
    home.mkdir(mode=0o700)
    (home / "logs").write_text("in the way")
    async with role(environment, "worker"):
        pass


async def test_without_a_collector_nothing_of_tracing_is_imported(environment: Environment) -> None:
    program = """
import asyncio, sys
from nadia.app.factory import open_context
from nadia.app.worker import worker_parts
from nadia.settings import Config

async def main():
    async with open_context(Config.from_env(dotenv=None), role="test") as context:
        print("tracing" in worker_parts(context))
    print([name for name in sys.modules if name.startswith(("google.protobuf", "opentelemetry.proto"))])

asyncio.run(main())
"""
    said = []
    for extra in ({}, {"NADIA_TRACING_ENDPOINT": "http://127.0.0.1:4318"}):
        child = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", program), env=environment | extra, stdout=asyncio.subprocess.PIPE
        )
        out, _ = await child.communicate()
        said.append(out.decode().splitlines()[-2:])
    assert said == [["False", "[]"], ["True", "[]"]]
