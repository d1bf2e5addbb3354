"""Figures of recovery."""

from nadia.metrics import counter, gauge, histogram

OPERATIONS = counter(
    "nadia_recovery_operations_total",
    "Runs over a gap, by how they ended.",
    {"state": ("done", "interrupted", "failed")},
)
CHATS = counter(
    "nadia_recovery_chats_total",
    "Chats read after downtime, by tier and by what became of it.",
    {"tier": ("1", "2", "3"), "outcome": ("done", "failed")},
)
MESSAGES = counter(
    "nadia_recovery_messages_total",
    "Messages met in histories, by what became of them.",
    {"outcome": ("recorded", "duplicate", "too_old")},
)
CHANGES = counter(
    "nadia_recovery_changes_total",
    "Edits and deletions that no update had told of.",
    {"change": ("edit", "deletion")},
)
OPERATION_SECONDS = histogram(
    "nadia_recovery_operation_seconds",
    "Length of a run, seconds.",
    buckets=(0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3_600.0, 14_400.0),
)
OPEN_GAP = gauge("nadia_recovery_gap_open", "1 while something of the account's may be missing.", ("account",))
