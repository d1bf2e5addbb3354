"""Whether batches hang at a worker that fell silent, and nobody took them over."""

from dataclasses import dataclass
from typing import ClassVar

from nadia.health.models import HealthStatus
from nadia.health.probe import Finding
from nadia.health.wal_reading import MOST_STUCK, WalReader
from nadia.health.wording import count, lasting


@dataclass(frozen=True, kw_only=True)
class WalStuckProbe:
    """Looks for entries that were read, not acknowledged, and not touched since for longer than their lease.

    Parameters
    ----------
    wal : WalReader
        The stream.
    """

    wal: WalReader

    id: ClassVar[str] = "wal-stuck"
    title: ClassVar[str] = "Batches stuck at a worker"
    group: ClassVar[str] = "queues"

    async def measure(self) -> Finding:
        """Look; raises UnavailableError while Redis is away."""
        reading = await self.wal.read()
        if not reading.stuck:
            return Finding(status=HealthStatus.HEALTHY, summary="none", value=0, unit="batches", threshold=0)
        stuck = ("at least " if reading.stuck == MOST_STUCK else "") + count(reading.stuck, "batch", "batches")
        return Finding(
            status=HealthStatus.WARNING,
            summary=f"{stuck}, untouched for up to {lasting(reading.idle_seconds)}",
            value=reading.stuck,
            unit="batches",
            threshold=0,
            hint="no worker lives to take them over, or all are at their limit: `nadia run worker`",
            figures={"idle_seconds": reading.idle_seconds},
        )
