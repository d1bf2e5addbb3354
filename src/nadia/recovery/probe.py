"""Recovery after downtime as one probe of the health check; `nadia recover health` shows its six sides."""

from dataclasses import dataclass
from typing import ClassVar

from nadia.errors import UnavailableError
from nadia.health.models import HealthStatus
from nadia.health.probe import Finding
from nadia.recovery.health import RecoveryHealthChecker


@dataclass(frozen=True, kw_only=True)
class RecoveryProbe:
    """Looks at recovery from all its sides.

    Parameters
    ----------
    checker : RecoveryHealthChecker
        Looks.
    """

    checker: RecoveryHealthChecker

    id: ClassVar[str] = "recovery"
    title: ClassVar[str] = "Recovery after downtime"
    group: ClassVar[str] = "telegram"

    async def measure(self) -> Finding:
        """Look; raises UnavailableError while PostgreSQL is away."""
        report = await self.checker.report()
        sides = report.dimensions
        database = sides.database.figures
        if database is not None and not database.reachable:
            raise UnavailableError("PostgreSQL cannot be reached", hint="see postgres-connection")
        concerned = [
            f"{name}: {side.summary}"
            for name, side in ((name, getattr(sides, name)) for name in type(sides).model_fields)
            if side.status not in (HealthStatus.HEALTHY, HealthStatus.UNKNOWN)
        ]
        cursors = sides.cursors.figures
        return Finding(
            status=report.status,
            summary="; ".join(concerned) or "nothing is missing",
            value=cursors.oldest_gap_hours if cursors is not None else None,
            unit="hours",
            threshold=cursors.stale_after_hours if cursors is not None else None,
            hint="`nadia recover health` shows every side" if concerned else None,
        )
