"""Figures of the batches' way."""

from nadia.metrics import counter, gauge

TRANSITIONS = counter(
    "nadia_batch_transitions_total", "Transitions of batches, by the state before and after.", ("before", "after")
)
MEMORY_READS = counter(
    "nadia_memory_reads_total",
    "Conversations remembered for a draft, by who answered.",
    {"answered_by": ("redis", "postgres")},
)
WAL_ENTRIES = gauge(
    "nadia_wal_entries",
    "Batches on the stream for drafting: not read yet, or read and not done.",
    {"state": ("waiting", "pending")},
)
WAL_OLDEST_SECONDS = gauge(
    "nadia_wal_oldest_seconds", "How long the oldest batch has waited for a draft, 0 for none, seconds."
)
