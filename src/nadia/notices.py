"""The port by which any layer says "someone should know"; alerting drains it.

A notice is written in the transaction of its cause: either both are on record or neither. Notices of one topic and the
same labels tell of one thing; the one that says that it is well again ``resolves`` those before it.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import structlog

from nadia.metrics import NOTICES
from nadia.severity import Severity

__all__ = ["Executes", "Notice", "Severity", "record"]

log = structlog.get_logger(__name__)


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


class Executes(Protocol):
    """What of a database connection a notice needs."""

    async def execute(self, query: str, params: Mapping[str, object]) -> object:
        """Run one statement."""


# A notice joins the transaction of its cause.
_RECORD = """
INSERT INTO notices (topic, severity, summary, labels, fingerprint, resolves)
VALUES (%(topic)s, %(severity)s, %(summary)s, %(labels)s::jsonb, %(fingerprint)s, %(resolves)s)
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
    NOTICES.labels(notice.severity).inc()
    log.warning("notice.recorded", topic=notice.topic, severity=notice.severity.value, **notice.labels)
