"""Each side of recovery's health, judged by what is on record."""

import json
from typing import Any

import pytest

from nadia.health.models import HealthStatus
from nadia.postgres.database import Database
from nadia.recovery.config import RecoveryConfig
from nadia.recovery.health_config import RecoveryHealthSettings
from support.recovery_records import SAID, Connect, Records, checker
from support.servers import ClonedDatabase

HEALTHY, WARNING, CRITICAL, UNKNOWN = (
    HealthStatus.HEALTHY,
    HealthStatus.WARNING,
    HealthStatus.CRITICAL,
    HealthStatus.UNKNOWN,
)


async def check(connect: Connect, **more: Any) -> dict[str, Any]:
    return await checker(connect, **more).perform_health_check()


async def test_an_installation_where_nothing_was_ever_recovered_is_healthy_and_says_so(connect: Connect) -> None:
    report = await check(connect)

    assert report["status"] == "healthy"
    assert {side["status"] for side in report["dimensions"].values()} == {"healthy"}
    assert report["dimensions"]["cursors"]["summary"] == "no account is in use, so nothing was ever recovered"
    assert report["dimensions"]["operations"]["summary"] == "no run ended in 6 h"
    assert report["dimensions"]["errors"]["figures"]["error_ratio"] is None
    assert report["dimensions"]["performance"]["figures"]["messages_per_second"] is None


async def test_an_account_that_was_never_looked_through_is_no_fault(connect: Connect, records: Records) -> None:
    await records.account("new")

    side = (await check(connect))["dimensions"]["cursors"]

    assert (side["status"], side["summary"]) == ("healthy", "nothing was recovered yet of 1 account")


async def test_runs_that_went_well_are_counted_and_measured(connect: Connect, records: Records) -> None:
    await records.account("a")
    await records.cursor("a", hours=1)
    for seconds in (1, 2, 9):
        await records.run("a", seconds=seconds, messages=40, waited=0.5)
    await records.run("a", hours=7, seconds=100, chats=1, messages=2)

    report = await checker(connect).report()

    assert report.status is HEALTHY
    operations, performance = report.dimensions.operations.figures, report.dimensions.performance.figures
    assert operations is not None
    assert (operations.done, operations.success_ratio, operations.median_seconds) == (3, 1.0, 2.0), "the last 6 h"
    assert operations.longest_seconds == 9
    assert performance is not None
    assert (performance.runs, performance.median_seconds) == (4, 5.5), "the last 24 h"
    assert performance.p95_seconds == pytest.approx(86.35)
    assert performance.messages_per_second == pytest.approx(122 / 112)
    assert performance.chats_per_second == pytest.approx(31 / 112)
    assert performance.flood_wait_seconds == 1.5


async def test_windows_are_settings(connect: Connect, records: Records) -> None:
    await records.account("a")
    await records.run("a", hours=3, errors=1)

    found = (
        await check(connect, settings=RecoveryHealthSettings(operations_hours=2, errors_hours=2, performance_hours=4))
    )["dimensions"]

    assert (found["operations"]["figures"]["done"], found["operations"]["figures"]["window_hours"]) == (0, 2)
    assert found["errors"]["figures"]["attempts"] == 0
    assert found["performance"]["figures"]["runs"] == 1


@pytest.mark.parametrize(
    ("done", "failed", "status"),
    [(20, 0, HEALTHY), (39, 2, HEALTHY), (38, 2, WARNING), (11, 1, WARNING), (9, 1, WARNING), (1, 1, WARNING)],
)
async def test_failures_that_success_followed_are_no_more_than_a_warning(
    done: int, failed: int, status: HealthStatus, connect: Connect, records: Records
) -> None:
    await records.account("a")
    for _ in range(failed):
        await records.run("a", state="failed")
    for _ in range(done):
        await records.run("a")

    assert (await checker(connect).report()).dimensions.operations.status is status


@pytest.mark.parametrize(("done", "status"), [(39, WARNING), (9, CRITICAL), (0, CRITICAL)])
async def test_an_account_whose_latest_run_failed_is_a_warning_and_many_failures_are_critical(
    done: int, status: HealthStatus, connect: Connect, records: Records
) -> None:
    await records.account("a")
    for _ in range(done):
        await records.run("a")
    await records.run("a", state="failed")
    await records.run("a", state="interrupted")

    side = (await checker(connect).report()).dimensions.operations

    assert side.status is status
    assert side.figures is not None
    assert (side.figures.failing_accounts, side.figures.interrupted) == (1, 1)


async def test_a_run_that_is_interrupted_is_no_failure(connect: Connect, records: Records) -> None:
    await records.account("a")
    for _ in range(5):
        await records.run("a", state="interrupted")

    side = (await check(connect))["dimensions"]["operations"]

    assert (side["status"], side["figures"]["success_ratio"]) == ("healthy", None)
    assert side["summary"] == "5 interrupted in 6 h"


async def test_a_run_that_never_ended_shows_however_old_it_is(connect: Connect, records: Records) -> None:
    await records.account("a")
    await records.run("a", hours=24 * 40, state="running", quiet_minutes=9_999)

    side = (await checker(connect).report()).dimensions.operations

    assert side.status is WARNING
    assert side.summary == "no run ended in 6 h; 1 running, 1 of them without a sign of life for 15 min"


async def test_a_run_that_takes_long_and_makes_progress_is_fine(connect: Connect, records: Records) -> None:
    await records.account("a")
    await records.run("a", hours=20, state="running", quiet_minutes=14)

    assert (await checker(connect).report()).dimensions.operations.status is HEALTHY


@pytest.mark.parametrize(("hours", "status"), [(0, HEALTHY), (23.9, HEALTHY), (24.1, WARNING), (9_000, WARNING)])
async def test_a_cursor_is_stale_after_a_day(
    hours: float, status: HealthStatus, connect: Connect, records: Records
) -> None:
    await records.account("a")
    await records.cursor("a", hours=hours)

    side = (await checker(connect).report()).dimensions.cursors

    assert side.status is status
    assert side.figures is not None
    assert side.figures.oldest_cursor_hours == pytest.approx(hours, abs=0.01)
    assert [line.account for line in side.figures.listed] == (["a"] if status is WARNING else [])


async def test_a_gap_that_is_open_for_a_day_is_critical_also_without_a_cursor(
    connect: Connect, records: Records
) -> None:
    for name, hours in (("fresh", 1.0), ("waiting", 25.0), ("longest", 50.0)):
        await records.account(name)
        await records.gap(name, hours=hours)
    await records.gap("fresh", hours=90, closed=True)

    side = (await checker(connect).report()).dimensions.cursors

    assert side.status is CRITICAL
    assert side.figures is not None
    assert [line.account for line in side.figures.listed] == ["longest", "waiting"]
    assert (side.figures.open_gaps, side.figures.never_verified) == (3, 3)
    assert "the oldest open for 50.0 h" in side.summary


async def test_how_long_an_account_may_be_left_alone_is_a_setting(connect: Connect, records: Records) -> None:
    await records.account("a")
    await records.cursor("a", hours=3)

    settings = RecoveryHealthSettings(stale_hours=2)

    assert (await checker(connect, settings=settings).report()).dimensions.cursors.status is WARNING


async def test_accounts_that_nobody_uses_are_counted_and_not_judged(connect: Connect, records: Records) -> None:
    await records.account("sandbox")
    await records.account("never", network="telegram")
    await records.account("gone", network="telegram", session="LOGGED_OUT")
    await records.account("real", network="telegram", session="")
    for name in ("sandbox", "never", "gone"):
        await records.gap(name, hours=999)
    await records.cursor("real", hours=1)

    side = (await checker(connect, network="telegram").report()).dimensions.cursors

    assert side.status is HEALTHY
    assert side.figures is not None
    assert (side.figures.accounts, side.figures.not_in_use) == (1, 3)


async def test_a_revoked_session_is_named_before_the_cursor_is_stale(connect: Connect, records: Records) -> None:
    await records.account("real", network="telegram", session="AUTH_KEY_UNREGISTERED")
    await records.cursor("real", hours=1)

    side = (await checker(connect, network="telegram").report()).dimensions.cursors

    assert side.status is WARNING
    assert side.figures is not None
    assert side.figures.listed[0].revoked


async def test_records_of_a_time_to_come_are_a_warning_and_no_negative_age(connect: Connect, records: Records) -> None:
    await records.account("cursor")
    await records.cursor("cursor", hours=-30)
    await records.account("gap")
    await records.gap("gap", hours=-30)
    await records.run("gap", hours=-30, seconds=-90)

    dimensions = (await checker(connect).report()).dimensions

    assert dimensions.cursors.status is WARNING
    assert dimensions.cursors.figures is not None
    assert (dimensions.cursors.figures.oldest_cursor_hours, dimensions.cursors.figures.oldest_gap_hours) == (0, 0)
    assert dimensions.cursors.figures.not_fresh == 2
    assert dimensions.performance.status is HEALTHY
    assert dimensions.performance.figures is not None
    assert (dimensions.performance.figures.p95_seconds, dimensions.performance.figures.messages_per_second) == (0, None)


@pytest.mark.parametrize(
    ("chats", "errors", "status"),
    [(0, 0, HEALTHY), (96, 4, HEALTHY), (95, 5, WARNING), (91, 9, WARNING), (90, 10, CRITICAL), (0, 3, CRITICAL)],
)
async def test_errors_are_a_warning_from_5_percent_and_critical_from_10(
    chats: int, errors: int, status: HealthStatus, connect: Connect, records: Records
) -> None:
    await records.account("a")
    await records.run("a", hours=23, chats=chats, errors=errors)
    await records.run("a", hours=25, chats=0, errors=1_000)

    assert (await checker(connect).report()).dimensions.errors.status is status


async def test_two_errors_are_too_few_to_be_critical(connect: Connect, records: Records) -> None:
    await records.account("a")
    await records.run("a", chats=1, errors=2)

    side = (await checker(connect).report()).dimensions.errors

    assert side.status is WARNING
    assert side.figures is not None
    assert side.figures.listed == []


async def test_one_account_in_trouble_shows_among_many_that_are_fine(connect: Connect, records: Records) -> None:
    for name in ("a", "b"):
        await records.account(name)
    await records.run("a", chats=10_000)
    await records.run("b", chats=1, errors=3)

    side = (await checker(connect).report()).dimensions.errors

    assert side.status is WARNING
    assert side.summary == "3 errors in 10004 attempts (0.0%) in 24 h; most for b (75%)"


async def test_runs_longer_than_chats_are_urgent_are_a_warning(connect: Connect, records: Records) -> None:
    await records.account("a")
    await records.run("a", hours=5, seconds=2.5 * 3600)

    assert (await checker(connect).report()).dimensions.performance.status is WARNING
    slow = RecoveryConfig(tier_1_hours=3)
    assert (await checker(connect, recovery=slow).report()).dimensions.performance.status is HEALTHY


async def test_the_whole_is_as_bad_as_its_worst_side(connect: Connect, records: Records) -> None:
    await records.account("a")
    await records.cursor("a", hours=30)
    await records.run("a", chats=1, errors=3)

    report = await checker(connect).report()

    assert report.status is CRITICAL
    assert report.summary == "critical: cursors, errors"


async def test_tables_that_are_not_there_are_critical_and_the_rest_is_unknown(
    db: Database, database: ClonedDatabase
) -> None:
    owner = Database(dsn=database.owner_dsn, pool_size=2)
    await owner.open()
    async with owner.connection() as conn:
        await conn.execute("DROP TABLE recovery_requests")
        await conn.execute("REVOKE SELECT ON recovery_chats FROM PUBLIC, nadia_app")
    await owner.close()

    report = await checker(db.connection).report()

    assert report.dimensions.database.status is CRITICAL
    assert report.dimensions.database.figures is not None
    assert report.dimensions.database.figures.reachable
    assert report.dimensions.database.figures.unreadable_tables == ["recovery_chats", "recovery_requests"]
    assert report.dimensions.cursors.status is UNKNOWN
    assert report.dimensions.cursors.figures is None


async def test_what_a_run_said_of_a_customer_is_in_no_report(connect: Connect, records: Records) -> None:
    await records.account("a")
    await records.run("a", state="failed", errors=5)

    assert SAID not in json.dumps(await check(connect))
