"""How many batches wait for a draft on the WAL stream (baseline 1.1: 100)."""

from dataclasses import dataclass
from typing import ClassVar

from nadia.health.models import HealthStatus
from nadia.health.probe import Finding
from nadia.health.queue_reading import QueueReader
from nadia.health.wal_reading import WalReader
from nadia.health.wording import count


@dataclass(frozen=True, kw_only=True)
class WalEntriesProbe:
    """Counts what the drafting group has not read and what it has read and not finished; parked items are apart.

    A pause leaves its batches on the stream on purpose: they are counted and not judged.

    Parameters
    ----------
    wal : WalReader
        The stream.
    queues : QueueReader
        Knows what waits because drafting is paused.
    entries : int
        Number above which there is a warning.
    """

    wal: WalReader
    queues: QueueReader
    entries: int

    id: ClassVar[str] = "wal-entries"
    title: ClassVar[str] = "Batches waiting for a draft"
    group: ClassVar[str] = "queues"

    async def measure(self) -> Finding:
        """Look; raises UnavailableError while Redis is away, or PostgreSQL while anything is on the stream."""
        reading = await self.wal.read()
        paused = (await self.queues.read()).undrafted_paused if reading.entries else 0
        # What Redis lost of the paused ones is not on the stream.
        waiting = max(0, reading.entries - paused)
        summary = f"{reading.entries - reading.pending} not taken up, {reading.pending} being drafted"
        if paused:
            summary += f"; {paused} wait because drafting is paused"
        status, hint = HealthStatus.HEALTHY, None
        if waiting > self.entries:
            status = HealthStatus.WARNING
            hint = "run more workers (`nadia run worker`), or raise NADIA_DRAFTING_CONCURRENCY; is the model slow?"
        if waiting and not reading.has_group:
            status = HealthStatus.WARNING
            summary = f"{count(waiting, 'batch', 'batches')}, and no worker ever read the stream"
            hint = "start a worker: `nadia run worker`"
        return Finding(
            status=status,
            summary=summary,
            value=waiting,
            unit="batches",
            threshold=self.entries,
            hint=hint,
            figures={"lag": reading.entries - reading.pending, "pending": reading.pending, "paused": paused},
        )
