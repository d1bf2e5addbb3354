"""Figures of delivery."""

from enum import StrEnum

from nadia.metrics import counter, gauge, histogram


class Failure(StrEnum):
    """Why a bubble did not leave at once."""

    DISCONNECTED = "disconnected"
    UNCERTAIN = "uncertain"
    DUPLICATE = "duplicate"
    REFUSED = "refused"
    FLOOD_WAIT = "flood_wait"
    PEER_FLOOD = "peer_flood"
    REVOKED = "revoked"
    STALE = "stale"
    SILENCED = "silenced"
    AMBIGUOUS = "ambiguous"
    INTERNAL = "internal"


BUBBLES_SENT = counter("nadia_delivery_bubbles_sent_total", "Bubbles that reached Telegram and are on record.")
FAILURES = counter(
    "nadia_delivery_failures_total", "Attempts to send that did not go through, by reason.", {"reason": list(Failure)}
)
APPROVAL_TO_SENT_SECONDS = histogram(
    "nadia_delivery_approval_to_sent_seconds", "Time from a reply's approval until its last bubble was sent."
)
WAITING = gauge(
    "nadia_delivery_waiting_replies",
    "Approved replies that have not left in full, of the accounts that this process owns.",
)
