"""Prometheus, run on the repository's configuration, asks a running NADIA; rules and dashboard are answered."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from urllib.parse import urlsplit

import pytest

from nadia.embedded.endpoints import Role as PostgresRole
from support.conversing import converse
from support.exporters import node_exporter, postgres_exporter, redis_exporter, running
from support.monitoring import dashboard, filled_in, queries, rules
from support.ports import free_ports
from support.prometheus import RunningPrometheus, Target, prometheus
from support.servers import short_folder
from support.system import System, running_system
from support.tools import require_tool

pytestmark = pytest.mark.prometheus

_ROLES = ("worker", "bot", "daemon")

_COUNTED = {
    "Message processing, per minute",
    "Stage latencies, 95th percentile",
    "Delivery, per minute",
    "Decisions of reviewers, per hour",
    "Model calls, per minute",
    "Model answers, 95th percentile",
    "Requests, per second",
    "Slowest routes, 95th percentile",
    "PostgreSQL statements, 95th percentile",
    "Memory in use",
    "Sent within an hour",
}
"""Panels in which the customers of this test show as more than zero."""


@dataclass(frozen=True)
class Watched:
    """A NADIA with traffic, and the Prometheus that watches it."""

    system: System
    prometheus: RunningPrometheus


@pytest.fixture(scope="module")
async def watched() -> AsyncIterator[Watched]:
    require_tool("prometheus", package="prometheus")  # before NADIA is started for nothing
    async with AsyncExitStack() as stack:
        base = stack.enter_context(short_folder())
        ports = dict(zip(_ROLES, free_ports(len(_ROLES)), strict=True))
        system = await stack.enter_async_context(running_system(base, roles=[("api", 0)]))
        for role, port in ports.items():
            system.environment = {**system.environment, "NADIA_METRICS_PORT": str(port)}
            await system.start(role)
        servers = system.servers
        exporters = {
            job: await stack.enter_async_context(running(exporter))
            for job, exporter in {
                "node": node_exporter(),
                "postgres": postgres_exporter(servers.dsn(PostgresRole.APP)),
                "redis": redis_exporter(servers.redis.socket_path, servers.redis.password),
            }.items()
        }
        (base / "prometheus").mkdir()
        watching = await stack.enter_async_context(
            prometheus(
                base / "prometheus",
                [
                    Target("nadia-api", urlsplit(system.web_url()).netloc, "api"),
                    *(Target("nadia-bot", f"127.0.0.1:{port}", role) for role, port in ports.items()),
                    *(Target(job, exporter.address) for job, exporter in exporters.items()),
                ],
            )
        )
        await watching.until_all_answer()
        await converse(system, meanwhile=_nothing, customers=6, spread_seconds=3)
        sent = filled_in('sum(nadia_delivery_bubbles_sent_total{job=~"$job"}) > 0')
        await watching.until(sent)
        await watching.until("increase(nadia_delivery_bubbles_sent_total[1m]) > 0")
        yield Watched(system, watching)


async def _nothing() -> None:
    """Let them talk undisturbed."""


async def test_every_target_answers_and_says_its_role(watched: Watched) -> None:
    found = await watched.prometheus.query('up{job=~"nadia-.+"} == 1')

    assert {series["metric"]["role"] for series in found} == {"api", *_ROLES}


@pytest.mark.parametrize("compare", ["none", "role"])
async def test_every_query_of_the_dashboard_is_answered(watched: Watched, compare: str) -> None:
    answers = await asyncio.gather(
        *(watched.prometheus.query(filled_in(query, compare=compare)) for _, query in queries())
    )

    assert [asked for asked, answer in zip(queries(), answers, strict=True) if not answer] == []


async def test_panels_show_what_happened(watched: Watched) -> None:
    moving: set[str] = set()
    for title, query in queries():
        if title in _COUNTED and await watched.prometheus.query(f"({filled_in(query)}) > 0"):
            moving.add(title)

    assert moving == _COUNTED


async def test_prometheus_counts_what_postgresql_has_on_record(watched: Watched) -> None:
    async with watched.system.database() as database, database.connection() as conn:
        row = await (await conn.execute("SELECT count(*) AS sent FROM outbox WHERE state = 'sent'")).fetchone()
    assert row is not None

    assert await watched.prometheus.value("sum(nadia_delivery_bubbles_sent_total)") == row["sent"] > 0


async def test_one_instance_can_be_chosen_and_several_compared(watched: Watched) -> None:
    title, query = next(each for each in queries() if each[0] == "Memory in use")
    alone = await watched.prometheus.query(filled_in(query, role="worker"))
    compared = await watched.prometheus.query(filled_in(query, compare="role"))

    assert len(alone) == 1, title
    assert {series["metric"]["role"] for series in compared} == {"api", *_ROLES}


async def test_choices_are_offered(watched: Watched) -> None:
    """`label_values(selector, label)` asks for the series of the selector."""
    for variable in dashboard()["templating"]["list"]:
        if variable["type"] == "query":
            selector, _, label = variable["query"].removeprefix("label_values(").removesuffix(")").rpartition(", ")
            found = await watched.prometheus.query(filled_in(selector))
            assert all(series["metric"][label] for series in found)
            assert found


async def test_starts_are_marked_with_role_and_version(watched: Watched) -> None:
    starts = dashboard()["annotations"]["list"][1]
    found = await watched.prometheus.query(filled_in(starts["expr"]))

    assert {series["metric"]["role"] for series in found} == {"api", *_ROLES}
    assert all(series["metric"]["version"] for series in found)
    now = await watched.prometheus.value("vector(time() * 1000)")
    assert now is not None
    assert all(0 < now - float(series["value"][1]) < 3_600_000 for series in found)


async def test_every_rule_can_be_judged_and_only_the_watchdog_fires(watched: Watched) -> None:
    """The machine of the tests may be as busy or full as it likes."""
    judged = await watched.prometheus.rules()
    firing = {rule["name"] for rule in judged if any(alert["state"] == "firing" for alert in rule["alerts"])}

    assert {rule["name"] for rule in judged} == {rule.name for rule in rules()}
    assert [rule["name"] for rule in judged if rule["health"] != "ok"] == []
    assert firing - {"HighCpuUsage", "HighMemoryUsage", "DiskAlmostFull"} == {"Watchdog"}
