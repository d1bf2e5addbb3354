"""How findings say numbers."""

from typing import Final

_UNITS: Final = ((86_400.0, 48 * 3_600.0, "days"), (3_600.0, 5_400.0, "h"), (60.0, 120.0, "min"), (1.0, 1.0, "s"))
"""Seconds of a unit, the seconds from which it is used, and its name."""


def lasting(seconds: float) -> str:
    """Return a duration as people read it: ``40 ms``, ``12 s``, ``3 min``, ``5 h``, ``3 days``."""
    for length, least, name in _UNITS:
        if seconds >= least:
            return f"{seconds / length:.0f} {name}"
    return f"{max(0.0, seconds) * 1000:.0f} ms"


def count(number: int, noun: str, plural: str | None = None) -> str:
    """Return a number with its noun: ``1 item``, ``2 items``."""
    return f"{number} {noun if number == 1 else plural or noun + 's'}"
