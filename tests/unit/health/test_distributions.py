"""What a histogram's ranges tell of those that were counted."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from nadia.health.counting import Increases, gauges
from nadia.health.figures import Distribution
from nadia.health.series import Series

# 10 up to 0.1 s, 20 more up to 0.5 s, 10 more up to 1 s, none above.
FORTY = Distribution(bounds=(0.1, 0.5, 1.0, math.inf), counts=(10.0, 30.0, 40.0, 40.0), total=14.0)


@pytest.mark.parametrize(
    ("q", "seconds"), [(0.0, 0.0), (0.25, 0.1), (0.5, 0.3), (0.75, 0.5), (0.875, 0.75), (1.0, 1.0)]
)
def test_a_quantile_lies_within_its_bucket_by_its_rank(q: float, seconds: float) -> None:
    assert FORTY.quantile(q) == pytest.approx(seconds)


def test_of_nothing_there_is_no_quantile_and_no_mean() -> None:
    nothing = Distribution(bounds=(math.inf,), counts=(0.0,), total=0.0)
    assert (nothing.count, nothing.mean, nothing.quantile(0.5)) == (0, None, None)


def test_what_lies_above_all_bounds_is_told_as_the_highest_of_them() -> None:
    assert Distribution(bounds=(1.0, math.inf), counts=(0.0, 5.0), total=50.0).quantile(0.99) == 1.0


@pytest.mark.parametrize("q", [-0.1, 1.1, math.nan])
def test_a_quantile_out_of_range_is_refused(q: float) -> None:
    with pytest.raises(ValueError, match="from 0 to 1"):
        FORTY.quantile(q)


@given(
    counts=st.lists(st.integers(0, 50), min_size=2, max_size=12).filter(any),
    qs=st.tuples(st.floats(0, 1), st.floats(0, 1)),
)
def test_quantiles_rise_and_stay_between_the_bounds(counts: list[int], qs: tuple[float, float]) -> None:
    bounds = (*(0.1 * (index + 1) for index in range(len(counts) - 1)), math.inf)
    cumulative = tuple(float(sum(counts[: index + 1])) for index in range(len(counts)))
    found = [Distribution(bounds=bounds, counts=cumulative, total=1.0).quantile(q) for q in sorted(qs)]
    assert all(value is not None and 0 <= value <= bounds[-2] for value in found)
    assert found == sorted(found, key=lambda value: value or 0.0)


def test_only_what_rose_is_told_and_a_fall_is_a_new_beginning() -> None:
    registry = CollectorRegistry()
    calls = Counter("nadia_test_calls", "Calls.", ["kind"], registry=registry)
    calls.labels("before").inc(7)
    increases = Increases(registry)
    assert increases.take() == {}
    calls.labels("before").inc(2)
    calls.labels("new").inc()
    assert increases.take() == {_calls("before"): 2, _calls("new"): 1}
    calls.clear()
    calls.labels("before").inc(3)
    assert increases.take() == {_calls("before"): 3}
    assert increases.take() == {}


def test_of_a_histogram_only_ranges_that_counted_are_told() -> None:
    registry = CollectorRegistry()
    increases = Increases(registry)
    spans = Histogram("nadia_test_seconds", "Spans.", registry=registry, buckets=(0.1, 0.5, 1.0))
    for seconds in (0.2, 0.3, 70.0):
        spans.observe(seconds)
    told = {series.part: value for series, value in increases.take().items()}
    assert told == {"0.1:0.5": 2.0, "1.0:+Inf": 1.0, "sum": pytest.approx(70.5)}


def test_of_others_metrics_nothing_is_told_and_gauges_that_are_no_number_are_left_out() -> None:
    registry = CollectorRegistry()
    increases = Increases(registry)
    Counter("process_things", "Not ours.", registry=registry).inc()
    for name, value in (("nadia_test_level", 3.0), ("nadia_test_unknown", math.nan), ("other_level", 1.0)):
        Gauge(name, "A level.", registry=registry).set(value)
    assert increases.take() == {}
    assert gauges(registry) == {Series("nadia_test_level", ()): 3.0}


@given(
    name=st.text(),
    labels=st.dictionaries(st.text(min_size=1), st.text(), max_size=3),
    part=st.sampled_from(["", "sum", "0:0.5"]),
)
def test_a_series_is_read_as_it_was_written(name: str, labels: dict[str, str], part: str) -> None:
    series = Series(name, tuple(sorted(labels.items())), part)
    assert Series.read(series.text) == series


@pytest.mark.parametrize(
    "text", ["", "by:worker", "[]", "3", '"a"', '["a"]', '["a",[]]', '["a",{"b":[]}]', '["a",{},1,2,3]']
)
def test_what_is_no_series_is_passed_over(text: str) -> None:
    assert Series.read(text) is None


def _calls(kind: str) -> Series:
    return Series("nadia_test_calls_total", (("kind", kind),))
