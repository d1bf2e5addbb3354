"""`perf-baseline` against a real PostgreSQL and Redis."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from nadia.errors import ConflictError, NotFoundError
from nadia.health.figure_recorder import FigureRecorder
from nadia.health.figures import FigureHistory
from nadia.health.models import HealthStatus
from nadia.inbound.metrics import INTAKE_SECONDS
from nadia.postgres.database import Connection, Database
from nadia.redis.connection import RedisConnection
from nadia.redis.source import RedisSource
from nadia.workflows.perf_baseline import PerfBaseline, PerfBaselineArguments
from nadia.workflows.performance import store
from nadia.workflows.performance.figures import Baseline, Machine, Samples
from nadia.workflows.report import WorkflowReport
from nadia.workflows.workflow import Effect
from support.core import HandClock

MACHINE = Machine(
    processor="p",
    architecture="a",
    processors=2,
    memory_bytes=1,
    system="s",
    python="3",
    nadia="0",
    postgres="1",
    redis=None,
)
Workflow = Callable[..., PerfBaseline]


@pytest.fixture
def workflow(desk_database: Database, redis_connection: RedisConnection, clock: HandClock, tmp_path: Path) -> Workflow:
    def make(**changes: Any) -> PerfBaseline:
        given: dict[str, Any] = {
            "connect": desk_database.connection,
            "redis": redis_connection,
            "figures": FigureHistory(redis=redis_connection, clock=clock),
            "home": tmp_path,
            "web": None,
            "actor": "cli:marta",
            "clock": clock,
            "rounds": 1,
        }
        return PerfBaseline(**given | changes)

    return make


def baseline(name: str, clock: HandClock, *, automatic: bool = False, seconds: float = 1.0) -> Baseline:
    return Baseline(
        name=name,
        measured_at=clock(),
        measured_by="system",
        automatic=automatic,
        machine=MACHINE,
        figures={"PostgreSQL: round trip": Samples(values=[seconds] * 12)},
    )


def ask(action: str, name: str | None = None, *, automatic: bool = False) -> PerfBaselineArguments:
    return PerfBaselineArguments.model_validate({"action": action, "name": name, "automatic": automatic})


def column(report: WorkflowReport, name: str) -> dict[str, Any]:
    (table,) = report.tables
    return {str(row[0]): row[table.columns.index(name)] for row in table.rows}


async def test_the_first_baseline_is_recorded_with_everything_that_can_be_measured_here(
    workflow: Workflow, desk_database: Database
) -> None:
    report = await workflow().run(ask("create", "before-the-move"))
    assert report.answer == "recorded as before-the-move; there is none before it to compare with"
    assert report.status is HealthStatus.HEALTHY
    measured = column(report, "median (ms)")
    assert set(measured) == {
        "PostgreSQL: round trip",
        "PostgreSQL: small write",
        "Redis: round trip",
        "Redis: script",
        "disk: write and sync 8 KiB",
        "processor: a loop on one core",
        "command: start",
    }
    assert all(value > 0 for value in measured.values())
    async with desk_database.connection() as conn:
        kept = await store.by_name(conn, "before-the-move")
        audited = await (await conn.execute("SELECT actor, action FROM audit_log")).fetchall()
    assert kept is not None
    assert kept.machine.processors > 0
    assert kept.machine.redis is not None
    assert audited == [{"actor": "cli:marta", "action": "performance_baseline.created"}]


async def test_measuring_leaves_nothing_behind_in_redis(workflow: Workflow, redis_connection: RedisConnection) -> None:
    await workflow().run(ask("create"))
    async with redis_connection.use() as redis:
        assert await redis.keys("*") == []


async def test_a_second_measurement_of_the_same_machine_is_compared_figure_by_figure(
    workflow: Workflow, clock: HandClock
) -> None:
    await workflow(rounds=8).run(ask("create", "first"))
    clock.advance(3600)
    report = await workflow(rounds=8).run(ask("compare"))
    assert report.answer.startswith("compared with first (1 hour ago): ")
    verdicts = column(report, "verdict")
    assert len(verdicts) == 7
    assert set(verdicts.values()) <= {"better", "same", "worse"}


async def test_comparing_records_nothing_and_creating_does(workflow: Workflow) -> None:
    await workflow().run(ask("create", "first"))
    await workflow().run(ask("compare", "first"))
    listed = await workflow().run(ask("list"))
    assert [row[0] for row in listed.tables[0].rows] == ["first"]
    assert workflow().effect(ask("create")) is Effect.RECORDS
    assert workflow().effect(ask("compare")) is workflow().effect(ask("list")) is Effect.NONE


async def test_a_slowdown_is_told_with_figures_and_a_remedy(
    workflow: Workflow, desk_database: Database, tmp_path: Path
) -> None:
    """Each statement really takes longer: the connection waits before it."""
    await workflow(rounds=8).run(ask("create", "fast"))

    @asynccontextmanager
    async def slow() -> AsyncIterator[Connection]:
        async with desk_database.connection() as conn:
            plain = conn.execute

            async def late(*arguments: Any, **options: Any) -> Any:
                await asyncio.sleep(0.01)
                return await plain(*arguments, **options)

            conn.execute = late  # type: ignore[method-assign]
            try:
                yield conn
            finally:
                del conn.execute

    report = await workflow(connect=slow, rounds=8).run(ask("compare"))
    assert report.status is HealthStatus.WARNING
    assert column(report, "verdict")["PostgreSQL: round trip"] == "worse"
    finding = next(finding for finding in report.findings if finding.subject == "PostgreSQL: round trip")
    assert " now, " in finding.message
    assert finding.remedy


async def test_another_machine_is_said_and_nothing_is_judged(
    workflow: Workflow, desk_database: Database, clock: HandClock
) -> None:
    async with desk_database.connection() as conn:
        await store.add(conn, baseline("elsewhere", clock, seconds=1e-6))
    report = await workflow().run(ask("compare"))
    assert report.answer.endswith("nothing can be compared")
    (finding,) = [finding for finding in report.findings if finding.subject == "machine"]
    assert "processors 2 →" in finding.message or "memory 1 →" in finding.message
    assert column(report, "verdict")["PostgreSQL: round trip"] == "not comparable: the machine is another one"


async def test_the_schedule_keeps_its_last_thirty_and_everything_that_a_person_named(
    desk_database: Database, clock: HandClock
) -> None:
    async with desk_database.connection() as conn:
        await store.add(conn, baseline("by-hand", clock))
        for number in range(store.KEPT + 3):
            await store.add(conn, baseline(f"automatic-{number}", clock, automatic=True))
        kept = [one.name for one in await store.listed(conn, limit=100)]
    assert len(kept) == store.KEPT + 1
    assert kept[-1] == "by-hand"
    assert kept[-2] == "automatic-3"


async def test_the_schedule_compares_with_its_own_last_one(
    workflow: Workflow, desk_database: Database, clock: HandClock
) -> None:
    async with desk_database.connection() as conn:
        await store.add(conn, baseline("automatic-1", clock, automatic=True))
        await store.add(conn, baseline("by-hand", clock))
    clock.advance(60)
    report = await workflow(actor="system").run(ask("create", automatic=True))
    assert report.answer.startswith("recorded as 2026-03-01T12:01:00Z; compared with automatic-1 (1 minute ago): ")


async def test_what_the_schedule_measures_is_on_record_as_the_daemons(
    workflow: Workflow, desk_database: Database, clock: HandClock
) -> None:
    for actor in ("cli:root", "account:1"):
        await workflow(actor=actor).run(ask("create", automatic=True))
        clock.advance(60)
    async with desk_database.connection() as conn:
        audited = await (await conn.execute("SELECT actor FROM audit_log ORDER BY id")).fetchall()
    assert [row["actor"] for row in audited] == ["daemon", "account:1"], "no person's act is laid to the daemon"


async def test_what_nadia_itself_took_lately_is_part_of_it(
    workflow: Workflow, redis_connection: RedisConnection, clock: HandClock
) -> None:
    recorder = FigureRecorder(redis=redis_connection, process="test/1", clock=clock)
    for _ in range(40):
        INTAKE_SECONDS.observe(0.007)
    await recorder.record()
    report = await workflow().run(ask("create", "busy"))
    assert 5 <= column(report, "median (ms)")["stage: intake"] <= 10
    clock.advance(timedelta(hours=13).total_seconds())
    report = await workflow().run(ask("compare", "busy"))
    assert column(report, "verdict")["stage: intake"] == "not comparable: was not measured now"


async def test_the_web_is_measured_where_it_answers_and_passed_over_where_not(workflow: Workflow) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        report = await workflow(web=("127.0.0.1", port)).run(ask("create", "with"))
    assert column(report, "median (ms)")["web: answer"] > 0
    report = await workflow(web=("127.0.0.1", port)).run(ask("create", "without"))
    assert column(report, "verdict")["web: answer"] == "not comparable: was not measured now"
    assert report.status in (HealthStatus.HEALTHY, HealthStatus.WARNING)


async def test_without_redis_the_rest_is_measured_and_redis_named(workflow: Workflow) -> None:
    away = RedisConnection(RedisSource(url="redis://127.0.0.1:1", timeout_seconds=0.5))
    report = await workflow(redis=away, figures=FigureHistory(redis=away)).run(ask("create"))
    await away.close()
    assert report.unreachable == ["Redis"]
    assert report.status is HealthStatus.UNKNOWN
    assert "PostgreSQL: round trip" in column(report, "median (ms)")


async def test_a_name_is_given_once_and_an_unknown_one_is_told(workflow: Workflow) -> None:
    with pytest.raises(NotFoundError, match="no baseline yet"):
        await workflow().run(ask("compare"))
    await workflow().run(ask("create", "once"))
    with pytest.raises(ConflictError, match="'once' already"):
        await workflow().run(ask("create", "once"))
    with pytest.raises(NotFoundError, match="no baseline named 'other'"):
        await workflow().run(ask("compare", "other"))
    with pytest.raises(ValidationError, match="letters, digits"):
        ask("create", "with space; DROP TABLE")


async def test_an_empty_list_says_how_to_begin(workflow: Workflow) -> None:
    report = await workflow().run(ask("list"))
    assert (report.status, report.tables) == (HealthStatus.HEALTHY, [])
    assert "create" in report.answer
