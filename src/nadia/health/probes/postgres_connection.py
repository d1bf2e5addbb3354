"""Whether PostgreSQL answers, in good time, and takes writes."""

import asyncio
from dataclasses import dataclass
from typing import ClassVar, Final

from nadia.errors import UnavailableError
from nadia.health.models import HealthStatus
from nadia.health.postgres_reading import PostgresReader
from nadia.health.probe import Finding
from nadia.health.wording import lasting

SLOW_SECONDS: Final = 1.0
"""No single answer may take what the whole check is to take (baseline 1.2)."""


@dataclass(frozen=True, kw_only=True)
class PostgresConnectionProbe:
    """Asks PostgreSQL for the time.

    Parameters
    ----------
    server : PostgresReader
        Whom to ask.
    patience_seconds : float
        After which no answer is an answer: less than the time that the checker gives a probe.
    """

    server: PostgresReader
    patience_seconds: float

    id: ClassVar[str] = "postgres-connection"
    title: ClassVar[str] = "PostgreSQL"
    group: ClassVar[str] = "postgres"

    async def measure(self) -> Finding:
        """Look; no answer is critical here, not unknown."""
        try:
            async with asyncio.timeout(self.patience_seconds):
                reading = await self.server.read()
        except TimeoutError:
            return Finding(
                status=HealthStatus.CRITICAL,
                summary=f"did not answer within {lasting(self.patience_seconds)}",
                value=self.patience_seconds,
                unit="seconds",
                threshold=SLOW_SECONDS,
                hint="the server accepts and does not answer: is it stopped, out of memory, or its disk full?",
            )
        except UnavailableError as exc:
            return Finding(status=HealthStatus.CRITICAL, summary=exc.message, hint=exc.hint)
        status, summary, hint = HealthStatus.HEALTHY, f"answers in {lasting(reading.latency_seconds)}", None
        if reading.is_standby:
            status = HealthStatus.CRITICAL
            summary, hint = "is a standby and takes no writes", "point DATABASE_URL at the primary, or promote this one"
        elif reading.latency_seconds > SLOW_SECONDS:
            status = HealthStatus.WARNING
            summary, hint = f"takes {lasting(reading.latency_seconds)} to answer", "`nadia workflow slow-api` says why"
        return Finding(
            status=status,
            summary=summary,
            value=reading.latency_seconds,
            unit="seconds",
            threshold=SLOW_SECONDS,
            hint=hint,
        )
