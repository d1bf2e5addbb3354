"""Figures of the review desk."""

from nadia.conversations.models import BatchState
from nadia.metrics import STAGE_SECONDS, counter, gauge, histogram
from nadia.review.models import DecisionKind

DECISIONS = counter(
    "nadia_review_decisions_total", "Decisions of reviewers, by kind.", {"decision": list(DecisionKind)}
)
APPROVED_DRAFTS = counter(
    "nadia_review_approved_drafts_total",
    "Approved replies that had a draft, by whether a person changed it; the share of edited ones is the edit ratio.",
    {"edited": ("yes", "no")},
)
DECISION_SECONDS = histogram(
    "nadia_review_decision_seconds",
    "Time from a batch's sealing to its approval or rejection.",
    buckets=(*STAGE_SECONDS, 900.0, 3_600.0, 14_400.0, 86_400.0),
)
QUEUE = gauge(
    "nadia_review_queue_items",
    "Items by state; those that wait for a person are sealed, drafted and in_review.",
    {
        "state": (
            BatchState.SEALED,
            BatchState.DRAFTED,
            BatchState.IN_REVIEW,
            BatchState.APPROVED,
            BatchState.SENDING,
            BatchState.PARKED,
        )
    },
)
OLDEST_SECONDS = gauge(
    "nadia_review_oldest_seconds", "How long the oldest item has waited for a person, 0 for none, seconds."
)
