from urllib.error import URLError
from urllib.request import urlopen

import pytest
from prometheus_client.parser import text_string_to_metric_families

from nadia import metrics
from nadia.errors import ConfigurationError
from support.ports import free_ports


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


def test_what_only_tells_by_its_labels_is_an_info() -> None:
    metrics.info("nadia_unit_build_info", "The build.", ("version",)).labels("1.2").set(1)
    assert exported()["nadia_unit_build_info"] == [({"version": "1.2"}, 1.0)]
    for name in ("nadia_unit_build", "unit_build_info", "nadia_unit_wait_ms_info"):
        with pytest.raises(ValueError, match=r"nadia_<domain>|ends in _info|base units"):
            metrics.info(name, "x", ("version",))


def test_a_scrape_answers_where_it_is_asked_to_listen_and_nowhere_else() -> None:
    (port,) = free_ports(1)
    with metrics.serve(port, host="127.0.0.2"):
        with urlopen(f"http://127.0.0.2:{port}/metrics") as answer:
            assert b"process_resident_memory_bytes" in answer.read()
        with pytest.raises(URLError):
            urlopen(f"http://127.0.0.1:{port}/metrics")
        with pytest.raises(ConfigurationError) as taken, metrics.serve(port, host="127.0.0.2"):
            pass
    assert "NADIA_METRICS_PORT" in (taken.value.hint or "")
    with pytest.raises(ConfigurationError, match="cannot be served"), metrics.serve(port, host="203.0.113.7"):
        pass
