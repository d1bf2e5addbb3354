"""How many batches wait for a draft on the WAL stream (baseline 1.1: 100)."""

from dataclasses import dataclass
from typing import ClassVar

from nadia.health.models import HealthStatus
from nadia.health.probe import Finding
from nadia.health.wal_reading import WalReader
from nadia.health.wording import count


@dataclass(frozen=True, kw_only=True)
class WalEntriesProbe:
    """Counts what the drafting group has not read and what it has read and not finished; parked items are apart.

    Parameters
    ----------
    wal : WalReader
        The stream.
    entries : int
        Number above which there is a warning.
    """

    wal: WalReader
    entries: int

    id: ClassVar[str] = "wal-entries"
    title: ClassVar[str] = "Batches waiting for a draft"
    group: ClassVar[str] = "queues"

    async def measure(self) -> Finding:
        """Look; raises UnavailableError while Redis is away."""
        reading = await self.wal.read()
        summary = f"{reading.entries - reading.pending} not taken up, {reading.pending} being drafted"
        status, hint = HealthStatus.HEALTHY, None
        if reading.entries > self.entries:
            status = HealthStatus.WARNING
            hint = "run more workers (`nadia run worker`), or raise NADIA_DRAFTING_CONCURRENCY; is the model slow?"
        if reading.entries and not reading.has_group:
            status = HealthStatus.WARNING
            summary = f"{count(reading.entries, 'batch', 'batches')}, and no worker ever read the stream"
            hint = "start a worker: `nadia run worker`"
        return Finding(
            status=status,
            summary=summary,
            value=reading.entries,
            unit="batches",
            threshold=self.entries,
            hint=hint,
            figures={"lag": reading.entries - reading.pending, "pending": reading.pending},
        )
