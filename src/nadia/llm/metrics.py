"""Metrics of the language models. Models are known when a chain is built, which makes their zeroes."""

from collections.abc import Iterable

from nadia.llm.errors import Outcome
from nadia.metrics import counter, gauge, histogram

CALLS = counter("nadia_llm_calls_total", "Attempts at a model, by how they ended.", ("model", "outcome"))
TOKENS = counter("nadia_llm_tokens_total", "Tokens charged by providers.", ("model", "direction"))
COST = counter("nadia_llm_cost_usd_total", "Cost of model calls in US dollars, by the registry's prices.", ("model",))
SECONDS = histogram("nadia_llm_call_seconds", "Duration of an attempt at a model.", ("model",))
CIRCUIT_OPEN = gauge("nadia_llm_circuit_open", "1 while a model is left alone after failures.", ("model",))


def start_at_zero(models: Iterable[str]) -> None:
    """Export zero for every model of the registry."""
    for model in models:
        for outcome in Outcome:
            CALLS.labels(model, outcome)
        for direction in ("input", "output"):
            TOKENS.labels(model, direction)
        COST.labels(model)
        SECONDS.labels(model)
