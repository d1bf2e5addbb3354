"""Times, written and read (baseline 2.5)."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nadia.clock import format_datetime, now_iso, parse_datetime, time_ago_text, utc_now
from nadia.errors import InvalidInputError

NOON = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    "written",
    [
        "2026-01-31T12:00:00Z",
        "2026-01-31T12:00:00+00:00",
        "2026-01-31T13:00:00+01:00",
        "2026-01-31 12:00:00",
        " 2026-01-31 12:00 ",
        "20260131T120000Z",
        "31.01.2026 12:00",
        "31.01.2026 12:00:00",
        int(NOON.timestamp()),
        NOON.timestamp(),
        NOON,
        NOON.replace(tzinfo=None),
        NOON.astimezone(timezone(timedelta(hours=-5))),
    ],
)
def test_the_usual_ways_of_writing_a_time_are_read(written: str | float | datetime) -> None:
    assert parse_datetime(written) == NOON
    assert parse_datetime(written).tzinfo is UTC


def test_a_day_is_its_midnight() -> None:
    assert parse_datetime("31.01.2026") == parse_datetime("2026-01-31") == datetime(2026, 1, 31, tzinfo=UTC)


@pytest.mark.parametrize(
    "written",
    ["", "soon", "2026-13-01", "31.02.2026", "0001-01-01T00:00:00+23:00", 1e20, float("nan"), float("inf"), "9" * 5000],
)
def test_what_is_no_time_is_refused_with_the_remedy(written: str | float) -> None:
    with pytest.raises(InvalidInputError) as caught:
        parse_datetime(written)

    assert caught.value.field == "datetime"
    assert caught.value.hint == "write it as 2026-01-31T18:30:00Z"
    assert len(caught.value.message) < 120


@given(st.datetimes(min_value=datetime(1, 1, 3), max_value=datetime(9999, 12, 29), timezones=st.just(UTC)))
def test_what_is_written_is_read_back_to_the_second(moment: datetime) -> None:
    assert parse_datetime(format_datetime(moment)) == moment.replace(microsecond=0)


def test_a_time_is_written_in_the_zone_and_pattern_asked_for() -> None:
    assert format_datetime(NOON) == "2026-01-31T12:00:00+00:00"
    assert format_datetime(NOON.replace(tzinfo=None)) == "2026-01-31T12:00:00+00:00"
    assert format_datetime(NOON, zone=timezone(timedelta(hours=1))) == "2026-01-31T13:00:00+01:00"
    assert format_datetime(NOON, "%d.%m. %H:%M", zone=timezone(timedelta(hours=-5))) == "31.01. 07:00"


def test_now_is_in_utc_with_milliseconds() -> None:
    before = utc_now()
    written = now_iso()

    assert written.endswith("+00:00")
    assert len(written) == len("2026-01-31T12:00:00.000+00:00")
    assert abs(parse_datetime(written) - before) < timedelta(seconds=5)


@pytest.mark.parametrize(
    ("distance", "text"),
    [
        (timedelta(0), "just now"),
        (timedelta(seconds=59), "just now"),
        (timedelta(seconds=-59), "just now"),
        (timedelta(minutes=1), "1 minute ago"),
        (timedelta(minutes=119), "1 hour ago"),
        (timedelta(hours=23, minutes=59), "23 hours ago"),
        (timedelta(days=29), "29 days ago"),
        (timedelta(days=30), "1 month ago"),
        (timedelta(days=365), "1 year ago"),
        (timedelta(days=-2), "in 2 days"),
    ],
)
def test_a_distance_is_said_as_a_person_would(distance: timedelta, text: str) -> None:
    assert time_ago_text(NOON - distance, now=NOON) == text


def test_times_without_a_zone_are_utc_also_in_distances() -> None:
    naive = NOON.replace(tzinfo=None)

    assert time_ago_text(naive - timedelta(hours=2), now=naive) == "2 hours ago"
