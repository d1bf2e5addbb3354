"""How long a batch has waited for a draft."""

from dataclasses import dataclass
from typing import ClassVar

from nadia.health.models import HealthStatus
from nadia.health.probe import Finding
from nadia.health.queue_reading import QueueReader
from nadia.health.wording import count, lasting


@dataclass(frozen=True, kw_only=True)
class WalOldestProbe:
    """Asks PostgreSQL, which knows also what the stream lost. Where drafting is paused, waiting is no trouble.

    Parameters
    ----------
    queues : QueueReader
        What waits.
    seconds : float
        Age above which there is a warning.
    """

    queues: QueueReader
    seconds: float

    id: ClassVar[str] = "wal-oldest"
    title: ClassVar[str] = "Longest wait for a draft"
    group: ClassVar[str] = "queues"

    async def measure(self) -> Finding:
        """Look; raises UnavailableError while PostgreSQL is away."""
        reading = await self.queues.read()
        oldest = reading.undrafted_seconds or 0.0
        summary = f"{count(reading.undrafted, 'batch', 'batches')} without a draft"
        if reading.undrafted_seconds is not None:
            summary += f", the oldest for {lasting(oldest)}"
        if reading.undrafted_paused:
            summary += f"; {reading.undrafted_paused} wait because drafting is paused"
        is_old = oldest > self.seconds
        return Finding(
            status=HealthStatus.WARNING if is_old else HealthStatus.HEALTHY,
            summary=summary,
            value=oldest,
            unit="seconds",
            threshold=self.seconds,
            hint="does a worker run (`nadia run worker`), and does the model answer? The log's `drafting.` events say"
            if is_old
            else None,
            figures={"undrafted": reading.undrafted, "paused": reading.undrafted_paused},
        )
