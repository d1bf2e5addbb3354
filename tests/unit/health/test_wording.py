"""How findings say numbers."""

import pytest

from nadia.health.wording import count, lasting


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (-1, "0 ms"),
        (0, "0 ms"),
        (0.0042, "4 ms"),
        (0.9994, "999 ms"),
        (1, "1 s"),
        (119, "119 s"),
        (120, "2 min"),
        (5_399, "90 min"),
        (5_400, "2 h"),
        (47 * 3_600, "47 h"),
        (48 * 3_600, "2 days"),
        (30 * 86_400, "30 days"),
    ],
)
def test_durations_are_said_in_the_unit_that_people_use(seconds: float, said: str) -> None:
    assert lasting(seconds) == said


@pytest.mark.parametrize(
    ("number", "noun", "plural", "said"),
    [(0, "item", None, "0 items"), (1, "item", None, "1 item"), (2, "reply", "replies", "2 replies")],
)
def test_a_number_has_its_noun(number: int, noun: str, plural: str | None, said: str) -> None:
    assert count(number, noun, plural) == said
