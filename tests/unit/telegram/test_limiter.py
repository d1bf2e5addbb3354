"""Reading keeps below the ceiling and obeys flood waits, for one account's readers in turn."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nadia.telegram.errors import FloodWaitError, GatewayDisconnectedError
from nadia.telegram.limiter import LONGEST_WAIT_SECONDS, MOST_FLOOD_WAITS, REQUESTS_PER_SECOND, RequestLimiter
from support.sleeping import SleepingClock

Answer = TypeVar("Answer")

INTERVAL = 1 / REQUESTS_PER_SECOND
TOLERANCE = 1e-6


class Server:
    """Notes when requests come, and answers each with what the test says."""

    def __init__(self, clock: SleepingClock, *answers: Exception | None) -> None:
        self.clock = clock
        self.answers = list(answers)
        self.times: list[float] = []

    async def __call__(self) -> str:
        self.times.append(self.clock.now)
        answer = self.answers.pop(0) if self.answers else None
        if answer is not None:
            raise answer
        return "page"


async def asked(limiter: RequestLimiter, server: Callable[[], Awaitable[Answer]]) -> Answer:
    """Ask patiently for what takes one request in its turn, as a reader does through its gateway."""

    async def in_turn() -> Answer:
        async with limiter.turn():
            return await server()

    return await limiter.call(in_turn)


@pytest.fixture
def clock() -> SleepingClock:
    return SleepingClock()


@pytest.fixture
def limiter(clock: SleepingClock) -> RequestLimiter:
    return RequestLimiter(account_id="desk", monotonic=clock, sleep=clock.sleep)


def most_in_a_second(times: list[float]) -> int:
    return max(sum(begin <= time < begin + 1 - TOLERANCE for time in times) for begin in times)


async def test_the_first_request_does_not_wait(limiter: RequestLimiter, clock: SleepingClock) -> None:
    assert await asked(limiter, Server(clock)) == "page"
    assert clock.slept == []


async def test_at_full_speed_the_ceiling_is_reached_and_never_exceeded(
    limiter: RequestLimiter, clock: SleepingClock
) -> None:
    server = Server(clock)
    await asyncio.gather(*(asked(limiter, server) for _ in range(300)))
    assert most_in_a_second(server.times) == REQUESTS_PER_SECOND
    assert server.times[-1] - server.times[0] == pytest.approx(299 * INTERVAL)


async def test_a_long_rest_allows_no_burst(limiter: RequestLimiter, clock: SleepingClock) -> None:
    server = Server(clock)
    await asked(limiter, server)
    clock.now += 3_600
    for _ in range(60):
        await asked(limiter, server)
    assert most_in_a_second(server.times) == REQUESTS_PER_SECOND


@given(
    steps=st.lists(
        st.tuples(st.floats(0, 700), st.one_of(st.none(), st.integers(0, LONGEST_WAIT_SECONDS))),
        min_size=2,
        max_size=60,
    )
)
async def test_whatever_telegram_answers_no_second_sees_more_than_the_ceiling(
    steps: list[tuple[float, int | None]],
) -> None:
    clock = SleepingClock()
    limiter = RequestLimiter(account_id="desk", monotonic=clock, sleep=clock.sleep)
    server = Server(clock, *(None if seconds is None else FloodWaitError(seconds) for _, seconds in steps))
    pauses: list[tuple[float, float]] = []
    for rest, _ in steps:
        clock.now += rest
        try:
            await limiter.wait()
            await server()
        except FloodWaitError as flood:
            pauses.append((clock.now, clock.now + flood.seconds))
            limiter.slow_down(flood)
        assert limiter.rate <= REQUESTS_PER_SECOND
    assert most_in_a_second(server.times) <= REQUESTS_PER_SECOND
    assert [time for time in server.times for begin, end in pauses if begin < time < end - TOLERANCE] == []


async def test_a_flood_wait_is_waited_for_and_the_request_made_again_at_half_the_rate(
    limiter: RequestLimiter, clock: SleepingClock
) -> None:
    server = Server(clock, None, FloodWaitError(30))
    await asked(limiter, server)
    assert await asked(limiter, server) == "page"
    assert server.times[2] == pytest.approx(server.times[1] + 30)
    assert limiter.rate == REQUESTS_PER_SECOND / 2
    assert limiter.flood_wait_seconds == pytest.approx(30)
    await asked(limiter, server)
    assert server.times[3] - server.times[2] == pytest.approx(2 * INTERVAL, rel=1e-3)


async def test_requests_that_were_under_way_together_halve_the_rate_once(
    limiter: RequestLimiter, clock: SleepingClock
) -> None:
    for _ in range(4):
        await limiter.wait()
    for seconds in (20, 25, 10, 25):
        limiter.slow_down(FloodWaitError(seconds))
    assert limiter.rate == REQUESTS_PER_SECOND / 2
    assert limiter.flood_wait_seconds == pytest.approx(25)
    flooded_at = clock.now
    await limiter.wait()
    assert clock.now == pytest.approx(flooded_at + 25)


async def test_the_rate_doubles_in_ten_quiet_minutes_up_to_the_ceiling(
    limiter: RequestLimiter, clock: SleepingClock
) -> None:
    for _ in range(3):
        await limiter.wait()
        limiter.slow_down(FloodWaitError(1))
    slow = REQUESTS_PER_SECOND / 8
    assert limiter.rate == pytest.approx(slow, rel=1e-2)
    clock.now += 1 + 600
    assert limiter.rate == pytest.approx(2 * slow, rel=1e-2)
    clock.now += 600
    assert limiter.rate == pytest.approx(4 * slow, rel=1e-2)
    clock.now += 1e12
    assert limiter.rate == REQUESTS_PER_SECOND


async def test_however_often_telegram_asks_for_pauses_reading_goes_on(
    limiter: RequestLimiter, clock: SleepingClock
) -> None:
    for _ in range(40):
        await limiter.wait()
        limiter.slow_down(FloodWaitError(1))
    before = clock.now
    await limiter.wait()
    assert clock.now - before <= 10 + TOLERANCE


async def test_a_server_that_allows_ten_in_thirty_seconds_gets_no_flood_of_refused_requests(
    limiter: RequestLimiter, clock: SleepingClock
) -> None:
    answered: list[float] = []
    refused: list[float] = []

    async def request() -> None:
        recent = [time for time in answered if time > clock.now - 30]
        if len(recent) >= 10:
            refused.append(clock.now)
            raise FloodWaitError(int(30 - (clock.now - recent[0])) + 1)
        answered.append(clock.now)

    begun = clock.now
    while clock.now - begun < 3_600:
        await asked(limiter, request)
    assert len(answered) >= 0.6 * 1_200
    assert len(refused) <= 0.03 * len(answered)


async def test_a_pause_that_is_too_long_is_told_to_everyone_at_once(
    limiter: RequestLimiter, clock: SleepingClock
) -> None:
    server = Server(clock, FloodWaitError(86_400))
    with pytest.raises(FloodWaitError) as told:
        await asked(limiter, server)
    assert told.value.seconds == 86_400
    clock.now += 400
    with pytest.raises(FloodWaitError) as remaining:
        await asked(limiter, server)
    assert remaining.value.seconds == 86_000
    assert len(server.times) == 1
    assert clock.slept == []
    clock.now += 85_999 - LONGEST_WAIT_SECONDS + 1
    assert await asked(limiter, server) == "page"
    assert limiter.flood_wait_seconds == pytest.approx(86_400)


async def test_who_reports_a_pause_that_is_too_long_is_told_not_to_wait_for_it(limiter: RequestLimiter) -> None:
    limiter.slow_down(FloodWaitError(LONGEST_WAIT_SECONDS))
    flood = FloodWaitError(LONGEST_WAIT_SECONDS + 1)
    with pytest.raises(FloodWaitError) as told:
        limiter.slow_down(flood)
    assert told.value is flood


async def test_a_server_that_only_ever_asks_to_wait_is_given_up(limiter: RequestLimiter, clock: SleepingClock) -> None:
    server = Server(clock, *(FloodWaitError(1) for _ in range(100)))
    with pytest.raises(FloodWaitError):
        await asked(limiter, server)
    assert len(server.times) == MOST_FLOOD_WAITS + 1


async def test_what_else_goes_wrong_is_the_callers_concern(limiter: RequestLimiter, clock: SleepingClock) -> None:
    server = Server(clock, GatewayDisconnectedError("the link is down"))
    with pytest.raises(GatewayDisconnectedError):
        await asked(limiter, server)
    assert limiter.rate == REQUESTS_PER_SECOND
    assert await asked(limiter, server) == "page"


async def test_readers_get_their_turns_in_the_order_of_asking(limiter: RequestLimiter) -> None:
    served: list[str] = []

    async def read(name: str) -> None:
        for _ in range(5):
            await limiter.wait()
            served.append(name)

    await limiter.wait()
    await asyncio.gather(read("a"), read("b"), read("c"))
    assert served == ["a", "b", "c"] * 5


class Alarm:
    """A sleep that ends when the test says so."""

    def __init__(self, clock: SleepingClock) -> None:
        self.clock = clock
        self.asleep = asyncio.Event()
        self.wake = asyncio.Event()

    async def __call__(self, seconds: float) -> None:
        self.asleep.set()
        await self.wake.wait()
        self.clock.now += seconds


async def test_a_reader_that_is_cancelled_takes_no_turn_and_holds_up_nobody(clock: SleepingClock) -> None:
    alarm = Alarm(clock)
    limiter = RequestLimiter(account_id="desk", monotonic=clock, sleep=alarm)
    await limiter.wait()
    begun = clock.now
    sleeping, queued, last = (asyncio.create_task(limiter.wait()) for _ in range(3))
    await alarm.asleep.wait()
    sleeping.cancel()
    queued.cancel()
    alarm.wake.set()
    await asyncio.wait_for(last, 5)
    assert clock.now == pytest.approx(begun + INTERVAL)
    assert sleeping.cancelled()
    assert queued.cancelled()


async def test_a_flood_wait_reaches_those_who_are_waiting_already(clock: SleepingClock) -> None:
    alarm = Alarm(clock)
    limiter = RequestLimiter(account_id="desk", monotonic=clock, sleep=alarm)
    await limiter.wait()
    waiting = asyncio.create_task(limiter.wait())
    await alarm.asleep.wait()
    begun = clock.now
    limiter.slow_down(FloodWaitError(20))
    alarm.wake.set()
    await asyncio.wait_for(waiting, 5)
    assert clock.now >= begun + 20


async def test_a_flood_wait_of_one_holds_up_those_who_never_heard_of_it(
    limiter: RequestLimiter, clock: SleepingClock
) -> None:
    with pytest.raises(FloodWaitError):
        async with limiter.turn():
            raise FloodWaitError(20)
    flooded_at = clock.now
    async with limiter.turn():
        assert clock.now == pytest.approx(flooded_at + 20)
    assert limiter.flood_wait_seconds == pytest.approx(20)


async def test_whoever_asks_a_gateway_takes_no_turn_of_its_own(limiter: RequestLimiter, clock: SleepingClock) -> None:
    """A turn belongs to a request, and one question to a gateway may take none or several."""

    async def answered_from_memory() -> str:
        return "page"

    for _ in range(100):
        await limiter.call(answered_from_memory)
    assert clock.slept == []


async def test_whoever_asks_a_gateway_that_takes_no_turns_sits_pauses_out_all_the_same(
    limiter: RequestLimiter, clock: SleepingClock
) -> None:
    server = Server(clock, FloodWaitError(20))
    begun = clock.now
    assert await limiter.call(server) == "page"
    assert server.times == [begun, pytest.approx(begun + 20)]
