"""Figures of quarantine."""

from nadia.metrics import counter, gauge

STEPS = counter(
    "nadia_quarantine_steps_total",
    "Steps of the silence protocol.",
    {
        "event": (
            "activated",
            "deactivated",
            "pass_granted",
            "pass_used",
            "held",
            "released",
            "discarded",
            "expired",
        )
    },
)
MESSAGES = counter(
    "nadia_quarantine_messages_total",
    "Messages of silenced customers, by what became of them; one can be held and then released.",
    {"outcome": ("held", "released", "discarded", "expired")},
)
REFUSED_APPROVALS = counter(
    "nadia_quarantine_refused_approvals_total", "Approvals that were refused because the customer is silenced."
)
HELD = gauge("nadia_quarantine_held_messages", "Messages that wait in quarantine for a decision.")
SILENCED = gauge("nadia_quarantine_silenced_people", "Customers who are silenced.")
OLDEST_SECONDS = gauge(
    "nadia_quarantine_oldest_held_seconds", "How long the oldest held message has waited for a decision, seconds."
)
LOOKUPS = counter(
    "nadia_quarantine_status_lookups_total",
    "Questions whether a customer is silenced, by who answered.",
    {"answered_by": ("cache", "database")},
)
CACHED = gauge("nadia_quarantine_status_cached", "Conversations with silenced customers that this process remembers.")
