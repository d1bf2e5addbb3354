"""Figures of tracing."""

from nadia.metrics import counter

TRACES = counter(
    "nadia_tracing_traces_total",
    "Messages that were to be traced, by what became of it.",
    {"outcome": ("sent", "refused", "not_sampled")},
)
