import asyncio

import pytest

from nadia.resilience import BreakerState, CircuitBreaker, CircuitOpenError


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class DownError(Exception):
    pass


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def breaker(clock: Clock) -> CircuitBreaker:
    return CircuitBreaker(name="thing", failures=3, cooldown=10, counts=DownError, clock=clock)


async def fail() -> None:
    raise DownError


async def work() -> str:
    return "done"


def state_of(breaker: CircuitBreaker) -> BreakerState:
    return breaker.state  # a call, so that the type checker does not take an earlier answer for granted


async def open_it(breaker: CircuitBreaker) -> None:
    for _ in range(3):
        with pytest.raises(DownError):
            await breaker.call(fail)


async def test_it_opens_after_consecutive_failures_and_says_when_to_come_back(
    breaker: CircuitBreaker, clock: Clock
) -> None:
    await open_it(breaker)
    assert state_of(breaker) is BreakerState.OPEN
    clock.now += 4
    with pytest.raises(CircuitOpenError) as refused:
        await breaker.call(work)
    assert refused.value.retry_after == pytest.approx(6)
    assert "6 s" in (refused.value.hint or "")


async def test_a_success_in_between_starts_the_count_anew(breaker: CircuitBreaker) -> None:
    for function in (fail, fail, work, fail, fail):
        if function is fail:
            with pytest.raises(DownError):
                await breaker.call(fail)
        else:
            await breaker.call(work)
    assert state_of(breaker) is BreakerState.CLOSED


async def test_a_successful_probe_closes_it(breaker: CircuitBreaker, clock: Clock) -> None:
    await open_it(breaker)
    clock.now += 10
    assert state_of(breaker) is BreakerState.HALF_OPEN
    assert await breaker.call(work) == "done"
    assert state_of(breaker) is BreakerState.CLOSED


async def test_a_failed_probe_starts_the_cool_down_anew(breaker: CircuitBreaker, clock: Clock) -> None:
    await open_it(breaker)
    clock.now += 10
    with pytest.raises(DownError):
        await breaker.call(fail)
    assert breaker.retry_after == pytest.approx(10)


async def test_only_one_probe_goes_through_at_a_time(breaker: CircuitBreaker, clock: Clock) -> None:
    await open_it(breaker)
    clock.now += 10
    entered, release = asyncio.Event(), asyncio.Event()

    async def slow() -> None:
        entered.set()
        await release.wait()

    probe = asyncio.create_task(breaker.call(slow))
    await entered.wait()
    with pytest.raises(CircuitOpenError):
        await breaker.call(work)
    release.set()
    await probe
    assert await breaker.call(work) == "done"


async def test_a_cancelled_probe_leaves_room_for_the_next(breaker: CircuitBreaker, clock: Clock) -> None:
    await open_it(breaker)
    clock.now += 10
    entered = asyncio.Event()

    async def slow() -> None:
        entered.set()
        await asyncio.Event().wait()

    probe = asyncio.create_task(breaker.call(slow))
    await entered.wait()
    probe.cancel()
    with pytest.raises(asyncio.CancelledError):
        await probe
    assert state_of(breaker) is BreakerState.HALF_OPEN
    assert await breaker.call(work) == "done"


async def test_a_call_from_before_it_opened_does_not_close_it(breaker: CircuitBreaker) -> None:
    entered, release = asyncio.Event(), asyncio.Event()

    async def slow() -> None:
        entered.set()
        await release.wait()

    early = asyncio.create_task(breaker.call(slow))
    await entered.wait()
    await open_it(breaker)
    release.set()
    await early
    assert state_of(breaker) is BreakerState.OPEN


async def test_errors_that_do_not_count_mean_that_the_other_side_works(breaker: CircuitBreaker, clock: Clock) -> None:
    await open_it(breaker)
    clock.now += 10
    with pytest.raises(KeyError):
        async with breaker:
            raise KeyError
    assert state_of(breaker) is BreakerState.CLOSED


async def test_a_named_time_keeps_it_open_that_long(breaker: CircuitBreaker, clock: Clock) -> None:
    breaker.hold(60)
    clock.now += 59
    assert state_of(breaker) is BreakerState.OPEN
    clock.now += 1
    assert state_of(breaker) is BreakerState.HALF_OPEN
