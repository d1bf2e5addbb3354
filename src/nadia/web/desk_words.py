"""Words, small marks and durations that the desk's pages share."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from nadia.conversations.models import BatchState

DECIDABLE: Final = frozenset({BatchState.SEALED, BatchState.DRAFTED, BatchState.IN_REVIEW})
"""States in which a reviewer decides."""

_HIGH_RISK: Final = 0.7
SOME_RISK: Final = 0.3
"""From here on a risk is marked."""

OFFLINE: Final = "offline"
"""The drafter that takes the nearest saved reply: its score is nearness, and it costs neither time nor money."""

LATE: Final = "It reached the desk long after it was written: NADIA or Telegram was away"
"""What the mark of a late message means."""

STATE_NAMES: Final[Mapping[BatchState, str]] = {
    BatchState.BUFFERING: "still writing",
    BatchState.SEALED: "waits for a draft",
    BatchState.DRAFTED: "draft ready",
    BatchState.IN_REVIEW: "in review",
    BatchState.APPROVED: "approved",
    BatchState.SENDING: "being sent",
    BatchState.SENT: "sent",
    BatchState.REJECTED: "rejected",
    BatchState.EXPIRED: "expired",
    BatchState.PARKED: "parked",
}


@dataclass(frozen=True, slots=True)
class Mark:
    """A small label; ``tone`` as the style sheet's badges have it."""

    text: str
    tone: str = ""
    title: str = ""


def duration(seconds: float) -> str:
    """Write a duration as ``static/js/desk/times.js`` does: ``45 s``, ``12 min``, ``3 h 05``, ``2 d``."""
    whole = max(0, int(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min"
    if whole < 86_400:
        return f"{whole // 3600} h {whole % 3600 // 60:02}"
    return f"{whole // 86_400} d"


def seconds_left(until: datetime | None, now: datetime) -> int:
    """Return whole seconds until a moment, 0 when it is past or there is none."""
    return 0 if until is None else max(0, round((until - now).total_seconds()))


def risk_marks(risk: float | None, flags: tuple[str, ...]) -> Iterator[Mark]:
    """Yield what a draft is marked with: a risk worth a look, and its flags."""
    if risk is not None and risk >= SOME_RISK:
        yield Mark(f"Risk {risk:.1f}", "bad" if risk >= _HIGH_RISK else "warn")
    for flag in flags:
        yield Mark(flag.replace("_", " "), "warn")
