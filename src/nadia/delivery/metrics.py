"""Figures of delivery."""

from enum import StrEnum

from nadia.metrics import STAGE_SECONDS, counter, gauge, histogram


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
OUTBOX = gauge(
    "nadia_outbox_replies", "Approved replies that have not left in full, of all accounts, those held back included."
)
OUTBOX_OLDEST_SECONDS = gauge(
    "nadia_outbox_oldest_seconds",
    "How long ago the oldest reply was approved that is due and has not left in full, 0 for none, seconds.",
)
BUBBLE_SECONDS = histogram(
    "nadia_delivery_bubble_seconds",
    "Time that Telegram took to answer when one bubble was sent, seconds.",
    buckets=STAGE_SECONDS,
)
