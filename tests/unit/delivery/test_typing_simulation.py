"""How long replies seem to take, and that showing it never harms them."""

import asyncio
import random
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nadia.delivery.config import DeliverySettings
from nadia.delivery.typing import Beat, TypingSimulator

TEXTS = st.lists(st.text(min_size=1, max_size=4096), min_size=1, max_size=10)


class Sleeps:
    """Records waits instead of waiting; others get a turn."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)
        await asyncio.sleep(0)


class Screen:
    """Stands where a gateway is and shows typing."""

    def __init__(self, trouble: Callable[[], None] = lambda: None) -> None:
        self.shown: list[int] = []
        self._trouble = trouble

    async def set_typing(self, *, chat_id: int, active: bool = True) -> None:
        assert active
        self.shown.append(chat_id)
        self._trouble()


def simulator(sleeps: Sleeps | None = None, *, seed: int = 7, **settings: float) -> TypingSimulator:
    return TypingSimulator(
        settings=DeliverySettings.model_validate(settings), rng=random.Random(seed), sleep=sleeps or Sleeps()
    )


@given(TEXTS, st.integers(0, 100_000), st.floats(0, 60), st.integers())
def test_a_reply_never_takes_longer_than_the_bound(bubbles: list[str], read: int, bound: float, seed: int) -> None:
    cadence = simulator(seed=seed, max_total_seconds=bound).plan(characters_to_read=read, bubbles=bubbles)
    assert cadence.total <= bound + 1e-9
    assert len(cadence.beats) == len(bubbles)
    assert cadence.reading >= 0
    assert all(beat.pause >= 0 and beat.typing >= 0 for beat in cadence.beats)


@given(TEXTS, st.integers())
def test_every_duration_stays_within_its_variance(bubbles: list[str], seed: int) -> None:
    planned = simulator(seed=seed, max_total_seconds=600, variance=0.25)
    for text in bubbles:
        nominal = len(text) / 5 / 60 * 60
        assert nominal * 0.75 <= planned.typing_time(text) <= nominal * 1.25
        assert 0.75 <= planned.pause_time() <= 1.25


def test_sixty_words_a_minute_is_a_word_a_second() -> None:
    steady = simulator(variance=0)
    assert steady.typing_time("x" * 50) == pytest.approx(10)
    assert steady.reading_time(200) == pytest.approx(10)


def test_cadence_differs_from_reply_to_reply() -> None:
    varied = simulator()
    assert len({varied.typing_time("hello there") for _ in range(20)}) > 15


def test_the_first_bubble_is_not_preceded_by_a_pause() -> None:
    cadence = simulator(variance=0).plan(characters_to_read=0, bubbles=["one", "two"])
    assert [beat.pause for beat in cadence.beats] == [0, 1]


def test_shortening_keeps_the_proportions() -> None:
    free = simulator(variance=0, max_total_seconds=600).plan(characters_to_read=100, bubbles=["x" * 200, "y" * 100])
    bound = simulator(variance=0, max_total_seconds=10).plan(characters_to_read=100, bubbles=["x" * 200, "y" * 100])
    assert bound.total == pytest.approx(10)
    assert bound.beats[0].typing / bound.beats[1].typing == pytest.approx(free.beats[0].typing / free.beats[1].typing)


def test_speed_shortens_everything_alike() -> None:
    real = simulator(variance=0).plan(characters_to_read=40, bubbles=["hello"])
    demo = simulator(variance=0, speed=20).plan(characters_to_read=40, bubbles=["hello"])
    assert demo.total == pytest.approx(real.total / 20)


async def test_the_indicator_is_refreshed_before_it_goes_out() -> None:
    screen, sleeps = Screen(), Sleeps()

    async def wait(seconds: float) -> None:
        # Eleven seconds of writing last until the signals have had theirs.
        if seconds > 10:
            while len(screen.shown) < 3:
                await asyncio.sleep(0)
        await sleeps(seconds)

    writing = TypingSimulator(settings=DeliverySettings.model_validate({}), rng=random.Random(1), sleep=wait)
    await writing.write(screen, chat_id=5, beat=Beat(pause=0, typing=11))
    assert screen.shown == [5, 5, 5]
    assert max(seconds for seconds in sleeps.seconds if seconds < 10) < 6


@pytest.mark.parametrize("error", [RuntimeError("no"), ConnectionError("gone"), ValueError("bad peer")])
async def test_a_typing_failure_does_not_reach_the_reply(error: Exception) -> None:
    def fail() -> None:
        raise error

    screen, sleeps = Screen(fail), Sleeps()
    await simulator(sleeps).write(screen, chat_id=5, beat=Beat(pause=1, typing=3))
    assert sleeps.seconds == [1, 3]
    assert screen.shown == [5]


async def test_a_typing_signal_that_hangs_does_not_hold_up_the_reply() -> None:
    class Stuck(Screen):
        async def set_typing(self, *, chat_id: int, active: bool = True) -> None:
            await asyncio.Event().wait()

    async with asyncio.timeout(5):
        await simulator().write(Stuck(), chat_id=5, beat=Beat(pause=0, typing=3))


async def test_nothing_is_shown_where_nothing_is_written() -> None:
    screen, sleeps = Screen(), Sleeps()
    await simulator(sleeps).write(screen, chat_id=5, beat=Beat(pause=0, typing=0))
    assert (screen.shown, sleeps.seconds) == ([], [])


async def test_writing_ends_at_once_when_it_is_cancelled() -> None:
    screen = Screen()
    writing = TypingSimulator(settings=DeliverySettings.model_validate({}), rng=random.Random(1))
    task = asyncio.create_task(writing.write(screen, chat_id=5, beat=Beat(pause=0, typing=600)))
    while not screen.shown:
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert task.cancelled()
