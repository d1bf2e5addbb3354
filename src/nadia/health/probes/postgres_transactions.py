"""Whether a transaction has been open for too long: it holds locks, and keeps vacuum from cleaning up."""

from dataclasses import dataclass
from typing import ClassVar

from nadia.health.models import HealthStatus
from nadia.health.postgres_reading import PostgresReader
from nadia.health.probe import Finding
from nadia.health.wording import count, lasting


@dataclass(frozen=True, kw_only=True)
class PostgresTransactionsProbe:
    """Looks for old transactions in this database, at work or idle; a backup's is told of and not judged.

    Parameters
    ----------
    server : PostgresReader
        Whom to ask.
    seconds : float
        Age above which there is a warning.
    """

    server: PostgresReader
    seconds: float

    id: ClassVar[str] = "postgres-transactions"
    title: ClassVar[str] = "PostgreSQL transactions"
    group: ClassVar[str] = "postgres"

    async def measure(self) -> Finding:
        """Look; raises UnavailableError while PostgreSQL is away."""
        reading = await self.server.read()
        oldest = reading.transaction_seconds or 0.0
        idle = reading.idle_in_transaction_seconds or 0.0
        is_old = oldest > self.seconds
        summary = "none is open for long"
        if is_old:
            doing = f", {lasting(idle)} of it idle" if idle > self.seconds else ""
            summary = f"one is open for {lasting(oldest)}{doing}: {_whose(reading.transaction_application)}"
        if reading.backup_sessions:
            age = f" for {lasting(reading.backup_seconds)}" if reading.backup_seconds is not None else ""
            summary += f"; a backup runs{age}"
        if reading.hidden_sessions:
            summary += f"; {count(reading.hidden_sessions, 'session')} of other roles not visible"
        return Finding(
            status=HealthStatus.WARNING if is_old else HealthStatus.HEALTHY,
            summary=summary,
            value=oldest,
            unit="seconds",
            threshold=self.seconds,
            hint=f"if nobody needs it: SELECT pg_terminate_backend({reading.transaction_pid})" if is_old else None,
            figures={
                "application": reading.transaction_application if is_old else None,
                "pid": reading.transaction_pid if is_old else None,
                "idle_seconds": idle,
                "backup_sessions": reading.backup_sessions,
                "backup_seconds": reading.backup_seconds,
                "hidden_sessions": reading.hidden_sessions,
            },
        )


def _whose(application: str | None) -> str:
    return f"application {application}" if application else "an application without a name"
