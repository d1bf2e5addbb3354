"""Whether this machine and PostgreSQL agree on the time: pacing, ownership and undo go by both clocks."""

from dataclasses import dataclass
from typing import ClassVar

from nadia.health.models import HealthStatus
from nadia.health.postgres_reading import PostgresReader
from nadia.health.probe import Finding


@dataclass(frozen=True, kw_only=True)
class ClockSkewProbe:
    """Compares the two clocks.

    Parameters
    ----------
    server : PostgresReader
        Reads PostgreSQL's.
    seconds : float
        Difference above which there is a warning.
    """

    server: PostgresReader
    seconds: float

    id: ClassVar[str] = "clock-skew"
    title: ClassVar[str] = "Clocks"
    group: ClassVar[str] = "installation"

    async def measure(self) -> Finding:
        """Look; raises UnavailableError while PostgreSQL is away."""
        reading = await self.server.read()
        apart = abs(reading.skew_seconds)
        # PostgreSQL looked at its clock at some moment of the round trip: within that, nobody can tell them apart.
        differs = apart - reading.latency_seconds / 2 > self.seconds
        direction = "behind" if reading.skew_seconds > 0 else "ahead of"
        return Finding(
            status=HealthStatus.WARNING if differs else HealthStatus.HEALTHY,
            summary=f"this machine's is {apart:.1f} s {direction} PostgreSQL's"
            if differs
            else "this machine and PostgreSQL agree on the time",
            value=apart,
            unit="seconds",
            threshold=self.seconds,
            hint="let both machines keep the time by NTP: `timedatectl` says whether they do" if differs else None,
        )
