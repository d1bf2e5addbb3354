"""The process's Prometheus registry, and the helpers by which each domain declares its metrics on it.

Domains declare theirs at module level in ``<domain>/metrics.py``; what a page or a scrape reads is `render`.
"""

import itertools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final, TypeVar

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
    start_http_server,
)

from nadia.errors import ConfigurationError
from nadia.severity import Severity

REGISTRY: Final = CollectorRegistry(auto_describe=True)
"""Everything that `/metrics` shows. Our own, so that a library's import adds nothing to it."""

STAGE_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)
"""Histogram buckets for a stage of a message's way, seconds: from a database round trip to a burst's longest wait."""

Labels = Mapping[str, Iterable[str]] | Sequence[str]
"""Label names, or label names with the values known beforehand, whose combinations then export zero from the start."""

_NAME = re.compile(r"nadia(_[a-z][a-z0-9]*)+")
_LABEL = re.compile(r"[a-z][a-z0-9_]*")
_RESERVED_SUFFIXES = ("_count", "_sum", "_bucket", "_created", "_info")
_NOT_BASE_UNITS = ("_ms", "_us", "_milliseconds", "_microseconds", "_minutes", "_hours", "_kb", "_mb", "_percent")

_Metric = TypeVar("_Metric", Counter, Gauge, Histogram)

disable_created_metrics()  # type: ignore[no-untyped-call]  # the library leaves it untyped; `_created` doubles the series
ProcessCollector(registry=REGISTRY)
PlatformCollector(registry=REGISTRY)
GCCollector(registry=REGISTRY)


def counter(name: str, documentation: str, labels: Labels = ()) -> Counter:
    """Declare a counter, ``nadia_<domain>_<thing>[_<unit>]_total``.

    Parameters
    ----------
    name : str
        Full name, with prefix and ``_total``.
    documentation : str
        One line of help.
    labels : sequence or mapping
        Label names; as a mapping, each with its known values.

    Raises
    ------
    ValueError
        If the name breaks the Prometheus naming rules, or is taken.
    """
    if not name.endswith("_total"):
        raise ValueError(f"{name}: a counter's name ends in _total")
    return _with_known_values(Counter(_checked(name), documentation, _names(labels), registry=REGISTRY), labels)


def gauge(name: str, documentation: str, labels: Labels = ()) -> Gauge:
    """Declare a gauge, ``nadia_<domain>_<thing>[_<unit>]``; parameters and errors as for `counter`."""
    if name.endswith("_total"):
        raise ValueError(f"{name}: only a counter's name ends in _total")
    return _with_known_values(Gauge(_checked(name), documentation, _names(labels), registry=REGISTRY), labels)


def info(name: str, documentation: str, labels: Labels) -> Gauge:
    """Declare a gauge ``nadia_<domain>_info`` that is always 1 and tells by its labels; errors as for `counter`."""
    if not name.endswith("_info"):
        raise ValueError(f"{name}: what only tells by its labels ends in _info")
    _checked(name.removesuffix("_info"))
    return Gauge(name, documentation, _names(labels), registry=REGISTRY)


def histogram(
    name: str, documentation: str, labels: Labels = (), *, buckets: Sequence[float] = STAGE_SECONDS
) -> Histogram:
    """Declare a histogram, ``nadia_<domain>_<thing>_<unit>``; parameters and errors as for `counter`."""
    if name.endswith("_total"):
        raise ValueError(f"{name}: only a counter's name ends in _total")
    metric = Histogram(_checked(name), documentation, _names(labels), registry=REGISTRY, buckets=buckets)
    return _with_known_values(metric, labels)


def render() -> tuple[bytes, str]:
    """Return the present values in Prometheus's text format, with its content type."""
    return generate_latest(REGISTRY), CONTENT_TYPE_LATEST


@contextmanager
def serve(port: int, *, host: str = "127.0.0.1") -> Iterator[None]:
    """Answer scrapes on a port, in a thread, for processes without the web.

    Raises
    ------
    ConfigurationError
        If the port is taken, or the address is not this machine's.
    """
    try:
        server, thread = start_http_server(port, addr=host, registry=REGISTRY)
    except OSError as exc:
        raise ConfigurationError(
            f"metrics cannot be served on {host}, port {port}: {exc.strerror}",
            hint="choose another: NADIA_METRICS_PORT, NADIA_METRICS_HOST",
        ) from exc
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _checked(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name}: a metric is named nadia_<domain>_<thing>, in lower case")
    stem = name.removesuffix("_total")
    if stem.endswith(_RESERVED_SUFFIXES):
        raise ValueError(f"{name}: Prometheus keeps this suffix for itself")
    if stem.endswith(_NOT_BASE_UNITS):
        raise ValueError(f"{name}: use base units (seconds, bytes, ratio)")
    return name


def _names(labels: Labels) -> list[str]:
    names = list(labels)
    for label in names:
        if not _LABEL.fullmatch(label) or label in ("le", "quantile"):
            raise ValueError(f"label {label!r}: lower case letters, digits and underscores; le and quantile are taken")
    return names


def _with_known_values(metric: _Metric, labels: Labels) -> _Metric:
    if isinstance(labels, Mapping) and labels:
        for values in itertools.product(*labels.values()):
            metric.labels(*values)
    return metric


# Of `nadia.notices`, which is one module and has no folder to declare it in.
NOTICES: Final = counter(
    "nadia_notices_total", "Notices recorded, by how much they matter.", {"severity": list(Severity)}
)
