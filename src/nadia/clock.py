"""Time as data: the one place that reads the wall clock, and how times are written and read (baseline 2.5)."""

from collections.abc import Callable
from datetime import UTC, datetime, tzinfo

from nadia.errors import InvalidInputError

Clock = Callable[[], datetime]
"""Returns the present, zone-aware. Timers take one, so that tests decide what time it is."""

_FORMATS = ("%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%d", "%d.%m.%Y %H:%M:%S", "%d.%m.%Y %H:%M", "%d.%m.%Y")
_STEPS = (("year", 31_536_000), ("month", 2_592_000), ("day", 86_400), ("hour", 3_600), ("minute", 60))


def utc_now() -> datetime:
    """Return the present in UTC, zone-aware."""
    return datetime.now(UTC)


def now_iso() -> str:
    """Return the present in UTC as ISO 8601 with zone and milliseconds."""
    return utc_now().isoformat(timespec="milliseconds")


def parse_datetime(value: str | int | float | datetime) -> datetime:
    """Read a time in any of the usual ways of writing one.

    Parameters
    ----------
    value : str, int, float or datetime
        ISO 8601 (with or without zone, ``Z`` accepted), ``YYYY-MM-DD[ HH:MM[:SS]]``, ``DD.MM.YYYY[ HH:MM[:SS]]``, or
        seconds since 1970. Times without a zone are taken as UTC.

    Returns
    -------
    datetime
        Zone-aware, in UTC.

    Raises
    ------
    InvalidInputError
        If the value is in none of these forms or out of range.
    """
    moment = _read(value)
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    try:
        return aware.astimezone(UTC)
    except OverflowError as exc:
        raise _unreadable(value) from exc


def format_datetime(moment: datetime, pattern: str | None = None, *, zone: tzinfo = UTC) -> str:
    """Write a time in a zone.

    Parameters
    ----------
    moment : datetime
        Without a zone it is taken as UTC.
    pattern : str, optional
        As for ``strftime``; ISO 8601 to the second when absent.
    zone : tzinfo
        The zone to write it in.
    """
    aware = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(zone)
    return aware.strftime(pattern) if pattern else aware.isoformat(timespec="seconds")


def time_ago_text(moment: datetime, *, now: datetime | None = None) -> str:
    """Say how far away a time is, as a person would: ``5 minutes ago``, ``in 2 days``, ``just now``."""
    present = utc_now() if now is None else parse_datetime(now)
    seconds = (present - parse_datetime(moment)).total_seconds()
    for name, length in _STEPS:
        count = int(abs(seconds) // length)
        if count:
            amount = f"{count} {name}{'s' if count > 1 else ''}"
            return f"{amount} ago" if seconds > 0 else f"in {amount}"
    return "just now"


def _read(value: str | int | float | datetime) -> datetime:
    if isinstance(value, datetime):
        return value
    try:
        if isinstance(value, int | float):
            return datetime.fromtimestamp(value, UTC)
        text = value.strip()
        try:
            return datetime.fromisoformat(text)
        except ValueError:
            return _read_by_pattern(text)
    except (ValueError, OverflowError, OSError) as exc:
        raise _unreadable(value) from exc


def _read_by_pattern(text: str) -> datetime:
    for pattern in _FORMATS:
        try:
            return datetime.strptime(text, pattern)
        except ValueError:
            continue
    raise ValueError(text)


def _unreadable(value: object) -> InvalidInputError:
    return InvalidInputError(
        f"{str(value)[:60]!r} is not a time", field="datetime", hint="write it as 2026-01-31T18:30:00Z"
    )
