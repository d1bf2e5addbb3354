"""`health-check` reports what the probes found, and names what could not be asked."""

from dataclasses import dataclass

import pytest

from nadia.errors import InvalidInputError
from nadia.health.checker import HealthChecker
from nadia.health.models import HealthStatus
from nadia.health.probe import Finding
from nadia.workflows.health_check import HealthCheck, HealthCheckArguments
from nadia.workflows.workflow import Effect


@dataclass(frozen=True)
class Told:
    """A probe that finds what a test says."""

    id: str
    status: HealthStatus
    group: str = "postgres"
    hint: str | None = None

    @property
    def title(self) -> str:
        return self.id.capitalize()

    async def measure(self) -> Finding:
        return Finding(status=self.status, summary=f"is {self.status}", hint=self.hint)


def check(*probes: Told) -> HealthCheck:
    return HealthCheck(checker=HealthChecker(probes=probes, timeout_seconds=1))


async def test_all_is_well() -> None:
    report = await check(Told("one", HealthStatus.HEALTHY)).run(HealthCheckArguments())

    assert (report.status, report.answer, report.findings) == (HealthStatus.HEALTHY, "everything is well", [])
    assert report.tables[0].rows == [["one", "healthy", "is healthy"]]


async def test_findings_stand_worst_first_with_their_remedy() -> None:
    probes = [
        Told("one", HealthStatus.WARNING),
        Told("two", HealthStatus.CRITICAL, hint="mend it"),
        Told("three", HealthStatus.UNKNOWN),
        Told("four", HealthStatus.HEALTHY),
    ]
    report = await check(*probes).run(HealthCheckArguments())

    assert report.status is HealthStatus.CRITICAL
    assert [finding.subject for finding in report.findings] == ["two", "one", "three"]
    assert report.findings[0].remedy == "mend it"
    assert report.findings[0].docs == "docs/operations/health.md#two"
    assert len(report.tables[0].rows) == 4


@pytest.mark.parametrize(
    ("status", "unreachable"),
    [(HealthStatus.CRITICAL, ["PostgreSQL"]), (HealthStatus.WARNING, []), (HealthStatus.HEALTHY, [])],
)
async def test_a_server_that_does_not_answer_is_named(status: HealthStatus, unreachable: list[str]) -> None:
    report = await check(Told("postgres-connection", status)).run(HealthCheckArguments())

    assert report.unreachable == unreachable


async def test_only_the_probes_that_were_asked_for() -> None:
    workflow = check(Told("one", HealthStatus.HEALTHY), Told("two", HealthStatus.CRITICAL))

    assert (await workflow.run(HealthCheckArguments(probe=("one",)))).status is HealthStatus.HEALTHY
    with pytest.raises(InvalidInputError, match="there is no probe 'three'"):
        await workflow.run(HealthCheckArguments(probe=("one", "three")))
    assert workflow.effect(HealthCheckArguments()) is Effect.NONE
