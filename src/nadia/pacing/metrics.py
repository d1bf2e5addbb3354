"""Figures of pacing."""

from nadia.metrics import counter, gauge, histogram

MESSAGES = counter("nadia_pacing_messages_total", "Messages taken into bursts.")
BATCHES = counter(
    "nadia_pacing_sealings_total",
    "Bursts that ended, by what became of them.",
    {"outcome": ("new_batch", "joined", "held", "nothing_left", "postponed", "failed")},
)
SEALED_MESSAGES = counter("nadia_pacing_sealed_messages_total", "Messages that became part of a batch.")
BURST_SECONDS = histogram("nadia_pacing_seal_seconds", "Time from a burst's end to its sealed batch, seconds.")
OPEN_BURSTS = gauge("nadia_pacing_open_bursts", "Bursts that are being waited for.")
REBUILT = counter(
    "nadia_pacing_rebuilt_total",
    "Entries of Redis that were rebuilt from PostgreSQL.",
    {"what": ("burst", "wal_entry")},
)
FALLBACKS = counter("nadia_pacing_fallback_seals_total", "Bursts that PostgreSQL's clock ended instead of Redis.")
CLOCK_SKEW = gauge(
    "nadia_clock_skew_seconds", "How far this process's clock is ahead of PostgreSQL's; negative if behind, seconds."
)
