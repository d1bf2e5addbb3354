"""What the health check says without a database: settings, statuses, and a report when there is nothing to ask."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from nadia.errors import UnavailableError
from nadia.health.models import HealthStatus
from nadia.postgres.database import Connection
from nadia.recovery.config import RecoveryConfig
from nadia.recovery.health import RecoveryHealthChecker
from nadia.recovery.health_config import RecoveryHealthSettings
from nadia.settings import Config
from nadia.settings.errors import SettingsError


@asynccontextmanager
async def no_database() -> AsyncIterator[Connection]:
    raise UnavailableError("PostgreSQL is on holiday", hint="call it back")
    yield


def checker(recovery: RecoveryConfig, **settings: Any) -> RecoveryHealthChecker:
    return RecoveryHealthChecker(
        connect=no_database, recovery=recovery, settings=RecoveryHealthSettings(**settings), network="sandbox"
    )


async def test_the_defaults_fit_together() -> None:
    side = (await checker(RecoveryConfig()).report()).dimensions.configuration

    assert side.status is HealthStatus.HEALTHY
    assert side.figures is not None
    assert [(tier.tier, tier.below_hours) for tier in side.figures.tiers] == [(1, 2), (2, 12), (3, None)]


async def test_recovery_that_is_switched_off_is_a_warning() -> None:
    side = (await checker(RecoveryConfig(enabled=False)).report()).dimensions.configuration

    assert (side.status, side.summary.split(":")[0]) == (HealthStatus.WARNING, "switched off")


@pytest.mark.parametrize(("verify", "stale"), [(24, 24), (30, 24), (12, 6)])
async def test_accounts_that_must_go_stale_between_two_looks_are_a_warning(verify: float, stale: float) -> None:
    side = (await checker(RecoveryConfig(verify_hours=verify), stale_hours=stale).report()).dimensions.configuration

    assert side.status is HealthStatus.WARNING
    assert f"every {verify} h" in side.summary


async def test_a_report_without_a_database_names_problem_and_remedy() -> None:
    report = await checker(RecoveryConfig()).perform_health_check()

    assert report["status"] == "critical"
    assert report["dimensions"]["database"]["summary"] == "PostgreSQL is on holiday; call it back"
    unknown = [name for name, side in report["dimensions"].items() if side["status"] == "unknown"]
    assert unknown == ["operations", "cursors", "errors", "performance"]


async def test_a_fault_in_the_check_itself_is_not_taken_for_an_outage() -> None:
    @asynccontextmanager
    async def broken() -> AsyncIterator[Connection]:
        raise ZeroDivisionError
        yield

    sut = RecoveryHealthChecker(
        connect=broken, recovery=RecoveryConfig(), settings=RecoveryHealthSettings(), network="sandbox"
    )

    with pytest.raises(ZeroDivisionError):
        await sut.report()


@pytest.mark.parametrize(
    ("statuses", "worst"),
    [
        ([], "healthy"),
        (["healthy", "unknown"], "unknown"),
        (["unknown", "warning", "healthy"], "warning"),
        (["critical", "warning", "unknown"], "critical"),
    ],
)
def test_what_is_wrong_outweighs_what_is_not_known(statuses: list[str], worst: str) -> None:
    assert HealthStatus.worst(HealthStatus(status) for status in statuses) == worst


def test_thresholds_and_windows_come_from_the_environment() -> None:
    environment = {
        "NADIA_RECOVERY_HEALTH_OPERATIONS_HOURS": "3",
        "NADIA_RECOVERY_HEALTH_ERRORS_HOURS": "12",
        "NADIA_RECOVERY_HEALTH_PERFORMANCE_HOURS": "48",
        "NADIA_RECOVERY_HEALTH_STALE_HOURS": "36",
        "NADIA_RECOVERY_HEALTH_WARNING_RATE": "0.01",
        "NADIA_RECOVERY_HEALTH_CRITICAL_RATE": "0.02",
    }

    assert Config.from_env(environment, dotenv=None).recovery_health == RecoveryHealthSettings(
        operations_hours=3,
        errors_hours=12,
        performance_hours=48,
        stale_hours=36,
        warning_rate=0.01,
        critical_rate=0.02,
    )


def test_the_defaults_are_the_baselines() -> None:
    settings = RecoveryHealthSettings()

    assert (settings.operations_hours, settings.errors_hours, settings.performance_hours) == (6, 24, 24)
    assert (settings.stale_hours, settings.warning_rate, settings.critical_rate) == (24, 0.05, 0.10)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("NADIA_RECOVERY_HEALTH_OPERATIONS_HOURS", "0"),
        ("NADIA_RECOVERY_HEALTH_ERRORS_HOURS", "-1"),
        ("NADIA_RECOVERY_HEALTH_PERFORMANCE_HOURS", "forever"),
        ("NADIA_RECOVERY_HEALTH_STALE_HOURS", "nan"),
        ("NADIA_RECOVERY_HEALTH_WARNING_RATE", "0.2"),
        ("NADIA_RECOVERY_HEALTH_CRITICAL_RATE", "5"),
    ],
)
def test_what_cannot_be_is_refused_by_its_name(variable: str, value: str) -> None:
    with pytest.raises(SettingsError) as refused:
        Config.from_env({variable: value}, dotenv=None)

    assert [problem.name for problem in refused.value.problems] == [variable]
