"""Figures of the batches' way."""

from nadia.metrics import counter

TRANSITIONS = counter(
    "nadia_batch_transitions_total", "Transitions of batches, by the state before and after.", ("before", "after")
)
