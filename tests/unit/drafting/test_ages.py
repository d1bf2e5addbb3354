"""A model is told when messages were written as soon as that matters."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nadia.conversations.memory_entries import Remembered
from nadia.drafting.ages import OLD, age_in_words, note_on_times

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def said(minutes_ago: float, author: str = "customer") -> Remembered:
    return Remembered(author=author, kind="text", text="x", sent_at=NOON - timedelta(minutes=minutes_ago))


@pytest.mark.parametrize("history", [[], [said(0)], [said(29.9), said(10), said(0, "desk")], [said(-5)]])
def test_a_conversation_that_is_going_on_just_now_needs_no_times(history: list[Remembered]) -> None:
    assert note_on_times(history, now=NOON) == ""


def test_an_old_message_is_said_to_be_old() -> None:
    note = note_on_times([said(14 * 60 + 1), said(14 * 60)], now=NOON)
    assert note.splitlines()[:2] == [
        "It is now 2026-03-01 12:00 (UTC). The messages below were written:",
        "- messages 1 to 2: 2026-02-28 21:59 to 2026-02-28 22:00",
    ]
    assert "The customer's newest message is 14 hours old." in note


def test_long_pauses_are_told_although_the_newest_message_is_fresh() -> None:
    note = note_on_times([said(3_000), said(2_999, "desk"), said(120), said(0)], now=NOON)
    assert note.splitlines()[1:] == [
        "- messages 1 to 2: 2026-02-27 10:00 to 2026-02-27 10:01",
        "- message 3: 2026-03-01 10:00",
        "- message 4: 2026-03-01 12:00",
    ]


def test_what_the_desk_said_lately_does_not_make_the_customer_s_words_fresh() -> None:
    assert "45 minutes old" in note_on_times([said(45), said(20, "phone")], now=NOON)


@pytest.mark.parametrize(
    ("age", "words"),
    [
        (timedelta(seconds=-1), "0 minutes"),
        (timedelta(minutes=1), "1 minute"),
        (timedelta(minutes=89), "89 minutes"),
        (timedelta(minutes=90), "2 hours"),
        (timedelta(hours=14, minutes=20), "14 hours"),
        (timedelta(hours=47), "47 hours"),
        (timedelta(days=3), "3 days"),
    ],
)
def test_ages_are_said_as_people_say_them(age: timedelta, words: str) -> None:
    assert age_in_words(age) == words


@given(st.lists(st.floats(min_value=-10_000, max_value=10_000), max_size=60))
def test_every_message_is_named_once_and_in_order(minutes: list[float]) -> None:
    history = [said(ago) for ago in minutes]
    note = note_on_times(history, now=NOON)
    numbers = [
        number
        for line in note.splitlines()
        if line.startswith("- message")
        for number in range(int(line.split(":")[0].split()[2]), int(line.split(":")[0].split()[-1]) + 1)
    ]
    assert numbers == (list(range(1, len(history) + 1)) if note else [])
    if not note and history:
        assert NOON - max(entry.sent_at for entry in history) < OLD
