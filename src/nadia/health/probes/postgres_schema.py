"""Whether the database's schema is the one that this version works with."""

from dataclasses import dataclass
from typing import ClassVar

from nadia.health.models import HealthStatus
from nadia.health.postgres_reading import Connect, asking
from nadia.health.probe import Finding
from nadia.postgres.revisions import applied_on, heads, is_ahead, lacking


@dataclass(frozen=True, kw_only=True)
class PostgresSchemaProbe:
    """Compares the migrations that are applied with those that this version has.

    Parameters
    ----------
    connect : callable
        Yields a connection.
    """

    connect: Connect

    id: ClassVar[str] = "postgres-schema"
    title: ClassVar[str] = "Database schema"
    group: ClassVar[str] = "postgres"

    async def measure(self) -> Finding:
        """Look; raises UnavailableError while PostgreSQL is away."""
        async with asking(self.connect) as conn:
            found = await applied_on(conn)
        missing = lacking(found)
        status, summary, hint = HealthStatus.HEALTHY, f"at {_said(found)}", None
        if missing:
            status = HealthStatus.CRITICAL
            summary, hint = f"at {_said(found)}, this version needs {_said(missing)}", "run `nadia db upgrade`"
        elif is_ahead(found):  # migrations only expand: an older version goes on working
            summary = f"at {_said(found)}, newer than this version"
        return Finding(
            status=status,
            summary=summary,
            value=len(missing),
            unit="revisions",
            threshold=0,
            hint=hint,
            figures={"applied": _said(found), "needed": _said(heads())},
        )


def _said(revisions: tuple[str, ...]) -> str:
    return ", ".join(revisions) or "nothing"
