"""Probes that hang, fail, or are asked for by a wrong name: what the others' results are worth all the same."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import pytest

from nadia.errors import InvalidInputError, UnavailableError
from nadia.health import metrics
from nadia.health.checker import HealthChecker
from nadia.health.models import HealthReport, HealthStatus
from nadia.health.probe import Finding

HEALTHY, UNKNOWN, WARNING, CRITICAL = HealthStatus
FINE = Finding(status=HEALTHY, summary="fine", value=1.23456, figures={"a": 1})


@dataclass
class Scripted:
    """A probe that does what a test says."""

    id: str
    what: Callable[[], Awaitable[Finding]]
    group: str = "system"

    @property
    def title(self) -> str:
        return self.id.title()

    async def measure(self) -> Finding:
        return await self.what()


async def fine() -> Finding:
    return FINE


def saying(status: HealthStatus) -> Callable[[], Awaitable[Finding]]:
    async def say() -> Finding:
        return Finding(status=status, summary=f"it is {status}", hint="do something")

    return say


async def hanging() -> Finding:
    await asyncio.Event().wait()
    return FINE


async def stubborn() -> Finding:
    """Hang, and take the first cancellation for a wish, as psycopg does while its server is stopped."""
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        await asyncio.Event().wait()
    return FINE


async def deaf() -> Finding:
    while True:
        try:
            await release.wait()
        except asyncio.CancelledError:
            continue
        else:
            return FINE


release = asyncio.Event()


async def away() -> Finding:
    raise UnavailableError("Redis cannot be reached", hint="start it")


async def wrong() -> Finding:
    raise ZeroDivisionError("the secret of a customer")


def checker(
    *probes: Scripted, timeout: float = 0.1, told: Callable[[HealthReport], None] | None = None
) -> HealthChecker:
    return HealthChecker(probes=probes, timeout_seconds=timeout, told=told)


async def test_everything_well_is_healthy() -> None:
    well = checker(Scripted("a", fine), Scripted("b", fine))

    report = await well.report()

    assert (report.status, report.summary) == (HEALTHY, "everything is well")
    assert await well.check_all()


async def test_no_probe_at_all_is_healthy() -> None:
    assert await checker().check_all()


@pytest.mark.parametrize("hang", [hanging, stubborn, deaf])
async def test_one_that_hangs_delays_and_spoils_no_other(hang: Callable[[], Awaitable[Finding]]) -> None:
    release.clear()
    begun = time.monotonic()
    report = await checker(Scripted("hangs", hang), *(Scripted(f"p{number}", fine) for number in range(20))).report()
    took = time.monotonic() - begun
    release.set()

    assert took < 1.0
    assert report.of("hangs").status is UNKNOWN
    assert report.of("hangs").summary == "did not answer within 0.1 s"
    assert {result.status for result in report.probes if result.id != "hangs"} == {HEALTHY}


async def test_what_is_away_makes_a_probe_unknown_with_the_reason() -> None:
    result = (await checker(Scripted("a", away)).report()).of("a")

    assert (result.status, result.hint) == (UNKNOWN, "start it")
    assert result.summary == "cannot be judged: Redis cannot be reached"


async def test_a_probe_that_fails_is_named_without_the_error_s_words() -> None:
    report = await checker(Scripted("a", wrong), Scripted("b", fine)).report()

    assert report.of("a").summary == "the probe itself failed (ZeroDivisionError)"
    assert "secret" not in report.model_dump_json()
    assert report.of("b").status is HEALTHY


async def test_the_whole_is_as_bad_as_its_worst_probe_which_it_names_first() -> None:
    report = await checker(
        Scripted("a", saying(WARNING)),
        Scripted("b", saying(CRITICAL)),
        Scripted("c", saying(UNKNOWN)),
        Scripted("d", saying(WARNING)),
        Scripted("e", fine),
    ).report()

    assert report.status is CRITICAL
    assert report.summary == "B: it is critical; A: it is warning; D: it is warning; and 1 more"


async def test_only_the_probes_asked_for_are_run() -> None:
    report = await checker(Scripted("a", fine), Scripted("b", wrong)).report(("a",))

    assert [result.id for result in report.probes] == ["a"]
    assert report.status is HEALTHY


async def test_an_unknown_name_is_refused_with_those_there_are() -> None:
    with pytest.raises(InvalidInputError) as refused:
        await checker(Scripted("a", fine)).report(("a", "x"))

    assert "'x'" in refused.value.message
    assert refused.value.hint == "there are a"


async def test_a_part_can_be_looked_at_alone() -> None:
    both = checker(Scripted("memory", fine, group="memory"), Scripted("redis", saying(WARNING), group="redis"))

    assert [result.id for result in await both.check_redis_connection()] == ["redis"]
    assert [result.id for result in await both.check_conversation_memory()] == ["memory"]
    assert await both.check_message_queues() == []
    assert await both.check_system_resources() == []


async def test_whoever_gives_up_a_check_leaves_no_probe_behind() -> None:
    ended = asyncio.Event()

    async def noting() -> Finding:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        return FINE

    check = asyncio.create_task(checker(Scripted("a", noting), timeout=30).report())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    check.cancel()
    with pytest.raises(asyncio.CancelledError):
        await check

    assert ended.is_set()


async def test_many_checks_at_once_do_not_disturb_each_other() -> None:
    one = checker(Scripted("a", fine), Scripted("b", hanging))

    reports = await asyncio.gather(*(one.report() for _ in range(20)))

    assert {report.status for report in reports} == {UNKNOWN}


async def test_a_long_process_shows_what_its_last_check_found() -> None:
    report = await checker(Scripted("probe-a", saying(CRITICAL)), Scripted("probe-b", fine), told=metrics.show).report()

    assert metrics.STATUS.labels("probe-a")._value.get() == 3
    assert metrics.STATUS.labels("probe-b")._value.get() == 0
    assert metrics.CHECKED._value.get() == report.checked_at.timestamp()


async def test_numbers_are_rounded_where_people_and_programs_read_them() -> None:
    report = await checker(Scripted("a", fine)).report()

    assert report.model_dump(mode="json")["probes"][0]["value"] == 1.235
