"""Whether the servers that follow PostgreSQL keep up, where there are any."""

from dataclasses import dataclass
from typing import ClassVar

from nadia.health.models import HealthStatus
from nadia.health.postgres_reading import PostgresReader, PostgresReading
from nadia.health.probe import Finding
from nadia.health.wording import count, lasting


@dataclass(frozen=True, kw_only=True)
class PostgresReplicationProbe:
    """Looks at replicas and at replication slots that nobody reads.

    Parameters
    ----------
    server : PostgresReader
        Whom to ask.
    lag_seconds : float
        Lag above which there is a warning.
    """

    server: PostgresReader
    lag_seconds: float

    id: ClassVar[str] = "postgres-replication"
    title: ClassVar[str] = "PostgreSQL replication"
    group: ClassVar[str] = "postgres"

    async def measure(self) -> Finding:
        """Look; raises UnavailableError while PostgreSQL is away."""
        reading = await self.server.read()
        status, summary, hint = self._judge(reading)
        return Finding(
            status=status,
            summary=summary,
            value=reading.lag_seconds,
            unit="seconds",
            threshold=self.lag_seconds,
            hint=hint,
            figures={"replicas": reading.replicas, "unread_slots": reading.unread_slots},
        )

    def _judge(self, reading: PostgresReading) -> tuple[HealthStatus, str, str | None]:
        if reading.unread_slots:
            return (
                HealthStatus.WARNING,
                f"nobody reads {count(reading.unread_slots, 'replication slot')}: WAL is kept for them without bound",
                "bring the replica back, or drop its slot: SELECT pg_drop_replication_slot('…')",
            )
        if not reading.replicas:
            return HealthStatus.HEALTHY, "no replica", None
        if (reading.lag_seconds or 0.0) > self.lag_seconds:
            return (
                HealthStatus.WARNING,
                f"a replica is {lasting(reading.lag_seconds or 0.0)} behind",
                "look at the replica's load, its disk and the network between",
            )
        if reading.replicas_not_streaming:
            return (
                HealthStatus.WARNING,
                f"{count(reading.replicas_not_streaming, 'replica')} of {reading.replicas} not streaming yet",
                "it is catching up, or cannot: its log says which",
            )
        if reading.hidden_replicas:
            return (
                HealthStatus.UNKNOWN,
                f"{count(reading.replicas, 'replica')}, whose lag this role may not see",
                "as a superuser: GRANT pg_read_all_stats TO the application's role",
            )
        return HealthStatus.HEALTHY, f"{count(reading.replicas, 'replica')}, in step", None
