"""What a process's counters and histograms rose by, told apart from what was already taken note of."""

from collections.abc import Iterator, Mapping
from typing import Final

from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import Metric

from nadia.health.series import SUM, Series

_OWN: Final = "nadia_"


class Increases:
    """What this process counted since it was last asked.

    Parameters
    ----------
    registry : CollectorRegistry
        Where the process counts. What it counted before belongs to nobody.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        self._known = dict(_counted(registry))

    def take(self) -> Mapping[Series, float]:
        """Return what rose since the last call, by how much."""
        risen = {}
        for series, value in _counted(self._registry):
            before = self._known.get(series, 0.0)
            # One that fell was begun anew: all of it came since, as Prometheus reads a reset.
            if increase := value - before if value >= before else value:
                risen[series] = increase
            self._known[series] = value
        return risen


def gauges(registry: CollectorRegistry) -> Mapping[Series, float]:
    """Return the process's gauges at present; those that are no number apart."""
    return {
        Series(sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in registry.collect()
        if family.type == "gauge" and family.name.startswith(_OWN)
        for sample in family.samples
        if sample.value == sample.value  # not NaN
    }


def _counted(registry: CollectorRegistry) -> Iterator[tuple[Series, float]]:
    for family in registry.collect():
        if not family.name.startswith(_OWN):
            continue
        if family.type == "counter":
            for sample in family.samples:
                yield Series(sample.name, tuple(sorted(sample.labels.items()))), sample.value
        elif family.type == "histogram":
            yield from _parts(family)


def _parts(family: Metric) -> Iterator[tuple[Series, float]]:
    """Return a histogram's ranges, each for itself: as exported, every bucket includes those below it."""
    below, lower = 0.0, "0"
    for sample in family.samples:
        labels = dict(sample.labels)
        upper = labels.pop("le", None)
        key = tuple(sorted(labels.items()))
        if upper is not None:
            yield Series(family.name, key, f"{lower}:{upper}"), sample.value - below
            below, lower = (0.0, "0") if upper == "+Inf" else (sample.value, upper)
        elif sample.name.endswith("_sum"):
            yield Series(family.name, key, SUM), sample.value
