"""Figures of intake."""

from nadia.metrics import counter, histogram

EVENTS = counter(
    "nadia_inbound_events_total",
    "What Telegram handed over, by what became of it.",
    {
        "event": ("message", "phone_message", "edit", "deletion", "typing", "lost"),
        "outcome": ("recorded", "duplicate", "ignored", "unchanged", "parked"),
    },
)
INTAKE_SECONDS = histogram("nadia_inbound_intake_seconds", "Time to put one message on record and pace it, seconds.")
DELAY_SECONDS = histogram("nadia_inbound_delay_seconds", "Age of a message by Telegram's time at intake, seconds.")
