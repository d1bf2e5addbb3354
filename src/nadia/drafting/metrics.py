"""Figures of drafting."""

from nadia.metrics import counter, gauge, histogram

DRAFTS = counter(
    "nadia_drafting_drafts_total",
    "Attempts at a draft, by what became of them.",
    {"outcome": ("drafted", "outdated", "no_draft", "parked", "not_wanted", "paused", "taken", "failed")},
)
DRAFT_SECONDS = histogram("nadia_drafting_draft_seconds", "Time from taking a batch up to its stored draft, seconds.")
IN_PROGRESS = gauge("nadia_drafting_in_progress", "Drafts being written.")
WAIT_SECONDS = histogram(
    "nadia_drafting_wait_seconds", "Time from a batch's sealing, or from asking for another draft, to its drafting."
)
