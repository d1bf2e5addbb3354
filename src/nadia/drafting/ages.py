"""How old what a customer wrote is, as a model is told: after downtime a question may be from yesterday."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from math import inf
from typing import Final

from nadia.conversations.memory_entries import Remembered

OLD: Final = timedelta(minutes=30)
"""From here on an age changes what a good reply says, and a pause begins a new stretch of the conversation."""

_UNITS: Final = (("minute", 60, 90.0), ("hour", 3_600, 48.0), ("day", 86_400, inf))
"""Name, seconds, and how many of it are said before the next unit is."""


def note_on_times(history: Sequence[Remembered], *, now: datetime) -> str:
    """Return when the messages were written; empty for a conversation that is going on just now.

    Parameters
    ----------
    history : sequence of Remembered
        What the model is shown, in order.
    now : datetime
        The present.
    """
    stretches = list(_stretches(history))
    newest = max((entry.sent_at for entry in history if entry.author == "customer"), default=now)
    is_old = now - newest >= OLD
    if len(stretches) < 2 and not is_old:
        return ""
    lines = [f"It is now {_written(now)} (UTC). The messages below were written:"]
    lines += [_line(history, first, last) for first, last in stretches]
    if is_old:
        lines.append(
            f"The customer's newest message is {age_in_words(now - newest)} old. Write as one who answers late: what "
            "they said about today or now was said then, and what they asked for may have settled itself."
        )
    return "\n".join(lines)


def age_in_words(age: timedelta) -> str:
    """Return an age as a person would say it: ``45 minutes``, ``14 hours``, ``3 days``."""
    seconds = max(0.0, age.total_seconds())
    number, unit = next((number, unit) for unit, length, most in _UNITS if (number := round(seconds / length)) < most)
    return f"{number} {unit}" if number == 1 else f"{number} {unit}s"


def _stretches(history: Sequence[Remembered]) -> Iterator[tuple[int, int]]:
    """Yield the first and last index of what was written without a long pause."""
    first = 0
    for index, entry in enumerate(history):
        if index + 1 == len(history) or history[index + 1].sent_at - entry.sent_at >= OLD:
            yield first, index
            first = index + 1


def _line(history: Sequence[Remembered], first: int, last: int) -> str:
    begun, ended = history[first].sent_at, history[last].sent_at
    which = f"message {first + 1}" if first == last else f"messages {first + 1} to {last + 1}"
    until = "" if _written(begun) == _written(ended) else f" to {_written(ended)}"
    return f"- {which}: {_written(begun)}{until}"


def _written(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M}"
