"""When a whole account has to wait, and the numbers that make a message known again."""

from nadia.delivery.hold import Hold
from nadia.delivery.outbox import new_random_id


class Stopwatch:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_hold_lasts_as_long_as_the_longest_that_was_asked_for() -> None:
    watch = Stopwatch()
    hold = Hold(monotonic=watch)
    assert not hold.is_on
    hold.for_seconds(10)
    hold.for_seconds(3)
    assert hold.remaining == 10
    watch.now += 10
    assert not hold.is_on


def test_a_lost_link_is_tried_less_and_less_often_until_something_goes_through() -> None:
    watch = Stopwatch()
    hold = Hold(monotonic=watch)
    waits = []
    for _ in range(8):
        hold.after_lost_link()
        waits.append(hold.remaining)
        watch.now += hold.remaining
    assert waits == [0.5, 1, 2, 4, 8, 15, 15, 15]
    hold.clear()
    hold.after_lost_link()
    assert hold.remaining == 0.5


def test_many_replies_that_meet_one_lost_link_count_once() -> None:
    watch = Stopwatch()
    hold = Hold(monotonic=watch)
    for _ in range(20):
        hold.after_lost_link()
    assert hold.remaining == 0.5


def test_random_ids_are_signed_64_bit_never_zero_and_differ() -> None:
    numbers = {new_random_id() for _ in range(2_000)}
    assert len(numbers) == 2_000
    assert all(-(2**63) <= number < 2**63 and number != 0 for number in numbers)
    assert min(numbers) < 0 < max(numbers)
