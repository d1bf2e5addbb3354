"""Charts that the server draws."""

from datetime import UTC, datetime, timedelta

import pytest

from nadia.web.charts import HEIGHT, WIDTH, Chart, chart

BEGIN = datetime(2026, 11, 1, 12, tzinfo=UTC)


def drawn(*values: float | None) -> Chart:
    points = [(BEGIN + timedelta(minutes=5 * index), value) for index, value in enumerate(values)]
    return chart("Waiting", points, words="{:g} items".format)


def test_the_line_runs_over_the_whole_width_from_zero_to_the_highest_value() -> None:
    line = drawn(0, 10, 5).line
    assert line == f"M0.0,{HEIGHT}.0 L{WIDTH / 2:.1f},4.0 L{WIDTH}.0,34.0"


def test_what_was_not_measured_is_a_gap_and_not_a_zero() -> None:
    gapped = drawn(1, 1, None, 1, 1)
    assert gapped.line.count("M") == 2
    assert gapped.spots[2].words == "12:10 UTC: nothing measured"


def test_a_single_measurement_can_be_seen() -> None:
    assert " L" in drawn(None, 3, None).line


def test_the_latest_value_is_that_of_the_last_measurement() -> None:
    one = drawn(1, 7, 4, None)
    assert (one.latest, one.highest) == ("4 items", "7 items")


@pytest.mark.parametrize("values", [(None, None), (0.0, 0.0), (None,), (0.0,)])
def test_nothing_measured_and_nothing_happened_can_be_drawn(values: tuple[float | None, ...]) -> None:
    empty = drawn(*values)
    assert "nan" not in empty.line + empty.area
    assert empty.latest == ("–" if values[0] is None else "0 items")


def test_what_was_measured_long_ago_is_not_the_latest() -> None:
    assert drawn(40, None, None, None).latest == "–"


def test_of_what_still_grows_the_last_whole_stretch_is_the_latest() -> None:
    points = [(BEGIN + timedelta(minutes=5 * index), value) for index, value in enumerate((9.0, 8.0, 1.0))]
    assert chart("Messages", points, words="{:g}".format, grows=True).latest == "8"
    assert chart("Messages", points[2:], words="{:g}".format, grows=True).latest == "1"
