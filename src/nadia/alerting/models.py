"""What an alert is, and what people say about one."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from nadia.notices import Severity


@dataclass(frozen=True, slots=True)
class Matcher:
    """What a silence looks for: a label and its exact value. The topic of an alert is its label ``topic``."""

    name: str
    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """Something that is wrong and not known to be over.

    Parameters
    ----------
    fingerprint : str
        Tells it apart from others; the same each time it comes.
    topic, severity, summary, labels
        Those of its newest notice.
    count : int
        Notices since it began.
    first_at, last_at : datetime
        The first and the newest of them, UTC.
    acknowledged_by, acknowledged_by_name : str or None
        Who looks after it, as the audit log names them and as people do.
    acknowledged_at : datetime or None
        Since when.
    note : str
        What they said about it.
    silenced_by : tuple of int
        Ids of the silences that match it now.
    """

    fingerprint: str
    topic: str
    severity: Severity
    summary: str
    labels: Mapping[str, str]
    count: int
    first_at: datetime
    last_at: datetime
    acknowledged_by: str | None
    acknowledged_by_name: str | None
    acknowledged_at: datetime | None
    note: str
    silenced_by: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertEvent:
    """One notice: something became or stayed wrong, or ``resolves`` what was."""

    id: int
    at: datetime
    fingerprint: str | None
    topic: str
    severity: Severity
    summary: str
    labels: Mapping[str, str]
    resolves: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Silence:
    """Alerts that have all of these labels bother nobody for a while; they are listed all the same."""

    id: int
    matchers: tuple[Matcher, ...]
    starts_at: datetime
    ends_at: datetime
    created_by: str
    created_by_name: str
    reason: str
