"""How many of PostgreSQL's connections are taken."""

from dataclasses import dataclass
from typing import ClassVar

from nadia.health.models import HealthStatus
from nadia.health.postgres_reading import PostgresReader
from nadia.health.probe import Finding


@dataclass(frozen=True, kw_only=True)
class PostgresConnectionsProbe:
    """Compares the connections of all databases with how many there may be.

    Parameters
    ----------
    server : PostgresReader
        Whom to ask.
    percent : float
        Share above which there is a warning, %; when all are taken it is critical.
    """

    server: PostgresReader
    percent: float

    id: ClassVar[str] = "postgres-connections"
    title: ClassVar[str] = "PostgreSQL connections"
    group: ClassVar[str] = "postgres"

    async def measure(self) -> Finding:
        """Look; raises UnavailableError while PostgreSQL is away."""
        reading = await self.server.read()
        share = 100 * reading.connections / max(1, reading.places)
        status = HealthStatus.WARNING if share > self.percent else HealthStatus.HEALTHY
        if reading.connections >= reading.places:
            status = HealthStatus.CRITICAL
        hint = None
        if status is not HealthStatus.HEALTHY:
            hint = (
                "`nadia workflow db-stats` says whose they are; lower NADIA_POSTGRES_POOL_SIZE, raise max_connections, "
                "or put a pooler in front"
            )
        return Finding(
            status=status,
            summary=f"{reading.connections} of {reading.places} in use",
            value=share,
            unit="percent",
            threshold=self.percent,
            hint=hint,
            figures={"connections": reading.connections, "places": reading.places},
        )
