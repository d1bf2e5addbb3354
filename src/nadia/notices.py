"""The port by which any layer says "someone should know"; alerting drains it.

A notice is written in the transaction of its cause: either both are on record or neither. Notices of one topic and the
same labels tell of one thing.

Most tell of something that lasts, such as an item that waits for a person. Whoever ends it says so with `record_end`:
that notice ``resolves`` those before it. A few tell of something that has happened and never ends (`EVENTS`); those are
news for a day.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final, Protocol

import structlog

from nadia.metrics import NOTICES
from nadia.severity import Severity

__all__ = ["EVENTS", "EVENT_FIRES_FOR", "FIRES_FOR", "Executes", "Notice", "Severity", "record", "record_end"]

log = structlog.get_logger(__name__)

FIRES_FOR: Final = timedelta(days=7)
"""What nobody has heard of for so long is no longer news, though nothing said that it is over."""

EVENTS: Final = frozenset({"batch.expired", "quarantine.expired", "recovery.gap_unreadable", "update.parked"})
"""Topics of what has happened and nothing will undo: no `record_end` follows."""

EVENT_FIRES_FOR: Final = timedelta(hours=24)
"""An event is seen by the next shift, and then it is history."""


@dataclass(frozen=True, slots=True)
class Notice:
    """Something that a person should know.

    Parameters
    ----------
    topic : str
        Dotted name of what happened, constant, such as ``batch.parked``.
    summary : str
        One sentence with the remedy; no customer's text, no secrets.
    severity : Severity
        How much it matters.
    labels : mapping
        What it concerns, as short strings.
    resolves : bool
        Whether it says that what earlier notices of the same fingerprint told is over.
    """

    topic: str
    summary: str
    severity: Severity = Severity.WARNING
    labels: Mapping[str, str] = field(default_factory=dict)
    resolves: bool = False

    @property
    def fingerprint(self) -> str:
        """What tells things apart: 16 hexadecimal digits of topic and labels, whatever the labels' order."""
        return hashlib.sha256(json.dumps([self.topic, sorted(self.labels.items())]).encode()).hexdigest()[:16]


class Answers(Protocol):
    """What of a database cursor a notice needs."""

    async def fetchone(self) -> Mapping[str, Any] | None:
        """Return the next row."""


class Executes(Protocol):
    """What of a database connection a notice needs."""

    async def execute(self, query: str, params: Mapping[str, object]) -> Answers:
        """Run one statement."""


# A notice joins the transaction of its cause.
_RECORD = """
INSERT INTO notices (topic, severity, summary, labels, fingerprint, resolves)
VALUES (%(topic)s, %(severity)s, %(summary)s, %(labels)s::jsonb, %(fingerprint)s, %(resolves)s)
"""

# The newest of its fingerprint says whether there is anything to end; as severe as what ends.
_RECORD_END = """
INSERT INTO notices (topic, severity, summary, labels, fingerprint, resolves)
SELECT topic, severity, %(summary)s, labels, fingerprint, true FROM notices
WHERE id = (SELECT max(id) FROM notices WHERE fingerprint = %(fingerprint)s) AND NOT resolves
RETURNING severity
"""


async def record(conn: Executes, notice: Notice) -> None:
    """Write a notice within the caller's transaction."""
    await conn.execute(
        _RECORD,
        {
            "topic": notice.topic,
            "severity": notice.severity.value,
            "summary": notice.summary,
            "labels": json.dumps(dict(notice.labels)),
            "fingerprint": notice.fingerprint,
            "resolves": notice.resolves,
        },
    )
    _count(notice.topic, notice.severity, notice.labels)


async def record_end(conn: Executes, topic: str, labels: Mapping[str, str], *, summary: str) -> bool:
    """Say within the caller's transaction that something is over; False, and nothing written, if nothing was open.

    Parameters
    ----------
    conn : Executes
        The transaction that ends it.
    topic, labels
        Those of the notice that told of it.
    summary : str
        One sentence: what is well again.
    """
    values = {"summary": summary, "fingerprint": Notice(topic, summary, labels=labels).fingerprint}
    row = await (await conn.execute(_RECORD_END, values)).fetchone()
    if row is None:
        return False
    _count(topic, Severity(row["severity"]), labels, resolves=True)
    return True


def _count(topic: str, severity: Severity, labels: Mapping[str, str], *, resolves: bool = False) -> None:
    NOTICES.labels(severity).inc()
    if resolves:
        log.info("notice.resolved", topic=topic, **labels)
    else:
        log.warning("notice.recorded", topic=topic, severity=severity.value, **labels)
