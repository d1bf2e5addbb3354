"""The port by which any layer says "someone should know"; alerting drains it.

A notice is written in the transaction of its cause: either both are on record or neither.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

import structlog

log = structlog.get_logger(__name__)


class Severity(StrEnum):
    """How much a notice matters."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


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
    """

    topic: str
    summary: str
    severity: Severity = Severity.WARNING
    labels: Mapping[str, str] = field(default_factory=dict)


class Executes(Protocol):
    """What of a database connection a notice needs."""

    async def execute(self, query: str, params: Mapping[str, object]) -> object:
        """Run one statement."""


# A notice joins the transaction of its cause.
_RECORD = """
INSERT INTO notices (topic, severity, summary, labels)
VALUES (%(topic)s, %(severity)s, %(summary)s, %(labels)s::jsonb)
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
        },
    )
    log.warning("notice.recorded", topic=notice.topic, severity=notice.severity.value, **notice.labels)
