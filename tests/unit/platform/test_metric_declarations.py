import pytest
from prometheus_client.parser import text_string_to_metric_families

from nadia import metrics


def exported() -> dict[str, list[tuple[dict[str, str], float]]]:
    body, content_type = metrics.render()
    assert content_type.startswith("text/plain")
    found: dict[str, list[tuple[dict[str, str], float]]] = {}
    for family in text_string_to_metric_families(body.decode()):
        for sample in family.samples:
            found.setdefault(sample.name, []).append((dict(sample.labels), sample.value))
    return found


def test_known_label_values_export_zero_from_the_start() -> None:
    metrics.counter(
        "nadia_unit_parcels_total", "Parcels.", {"colour": ("red", "blue"), "size": ("small", "large")}
    ).labels("red", "small").inc()
    samples = exported()["nadia_unit_parcels_total"]
    assert len(samples) == 4
    assert ({"colour": "blue", "size": "large"}, 0.0) in samples
    assert ({"colour": "red", "size": "small"}, 1.0) in samples


def test_unlabelled_metrics_export_zero_and_no_creation_times() -> None:
    metrics.gauge("nadia_unit_waiting", "Waiting.")
    metrics.histogram("nadia_unit_step_seconds", "Step.")
    names = exported()
    assert names["nadia_unit_waiting"] == [({}, 0.0)]
    assert names["nadia_unit_step_seconds_count"] == [({}, 0.0)]
    assert len(names["nadia_unit_step_seconds_bucket"]) == len(metrics.STAGE_SECONDS) + 1
    assert not [name for name in names if name.startswith("nadia_") and name.endswith("_created")]


def test_the_process_is_described() -> None:
    assert {"process_resident_memory_bytes", "python_info"} <= exported().keys()


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("parcels_total", "nadia_<domain>"),
        ("nadia_Parcels_total", "lower case"),
        ("nadia_unit__x_total", "lower case"),
        ("nadia_unit_parcels", "ends in _total"),
        ("nadia_unit_wait_ms_total", "base units"),
        ("nadia_unit_items_count_total", "for itself"),
    ],
)
def test_a_counter_name_against_the_rules_is_refused(name: str, rule: str) -> None:
    with pytest.raises(ValueError, match=rule):
        metrics.counter(name, "x")


def test_only_counters_end_in_total() -> None:
    with pytest.raises(ValueError, match="only a counter"):
        metrics.gauge("nadia_unit_parcels_total", "x")
    with pytest.raises(ValueError, match="only a counter"):
        metrics.histogram("nadia_unit_seconds_total", "x")


def test_reserved_label_names_are_refused() -> None:
    with pytest.raises(ValueError, match="taken"):
        metrics.histogram("nadia_unit_labelled_seconds", "x", ["le"])
