"""`nadia workflow NAME` on a running installation: what it prints, and how it ends."""

import asyncio
import json
from pathlib import Path

import pytest

from nadia.embedded.endpoints import RedisEndpoint
from nadia.workflows.registry import WORKFLOWS, workflow_class
from nadia.workflows.report import WorkflowReport
from support.command_line import Outcome, run_nadia
from support.servers import ClonedDatabase

ASKED = {"debug-user": ["@nobody"], "perf-baseline": ["list"], "slow-api": ["--sample-seconds", "0"]}
"""What those are asked that need to be."""


async def ask(folder: Path, database: str, redis: str, name: str, *arguments: str, **environ: str) -> Outcome:
    settings = {"DATABASE_URL": database, "REDIS_URL": redis, "NADIA_HOME": str(folder / "home"), **environ}
    given = [*ASKED.get(name, []), *arguments]
    return await asyncio.to_thread(run_nadia, "workflow", name, *given, cwd=folder, environ=settings)


@pytest.mark.parametrize("name", [name for name in WORKFLOWS if name != "debug-user"])
async def test_programs_read_one_report_and_people_the_same(
    database: ClonedDatabase, redis_endpoint: RedisEndpoint, tmp_path: Path, name: str
) -> None:
    for_programs, for_people = await asyncio.gather(
        ask(tmp_path, database.app_dsn, redis_endpoint.url, name, "--json"),
        ask(tmp_path, database.app_dsn, redis_endpoint.url, name, COLUMNS="80"),
    )

    report = WorkflowReport.model_validate(json.loads(for_programs.out))
    assert (report.workflow, report.question) == (name, workflow_class(name).question)
    assert report.unreachable == []
    assert for_programs.code == (0 if report.status == "healthy" else 1), for_programs.err
    assert for_people.code in (0, 1), for_people.err
    lines = for_people.out.splitlines()
    assert lines[0].startswith(f"{name}: ")
    assert max(map(len, lines)) <= 80
    assert "\x1b" not in for_people.out, "no colours where there is no terminal"


async def test_a_customer_whom_nobody_knows(
    database: ClonedDatabase, redis_endpoint: RedisEndpoint, tmp_path: Path
) -> None:
    ended = await ask(tmp_path, database.app_dsn, redis_endpoint.url, "debug-user")

    assert (ended.code, ended.out) == (2, "")


@pytest.mark.parametrize("name", ["redis-health", "find-error", "recent-changes", "health-check"])
async def test_what_can_be_answered_without_servers_is(tmp_path: Path, name: str) -> None:
    ended = await ask(
        tmp_path, f"postgresql://nadia@/nadia?host={tmp_path}", f"unix://{tmp_path}/none.sock", name, "--json"
    )

    assert ended.code == 3, ended.err
    assert json.loads(ended.out)["unreachable"] != []


async def test_what_cannot_be_answered_without_postgres_says_so(tmp_path: Path) -> None:
    ended = await ask(
        tmp_path, f"postgresql://nadia@/nadia?host={tmp_path}", f"unix://{tmp_path}/none.sock", "db-stats"
    )

    assert (ended.code, ended.out) == (3, "")
    assert "PostgreSQL cannot be reached" in ended.err
