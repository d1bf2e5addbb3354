"""Whether items were taken out of the way for a person to look at."""

from dataclasses import dataclass
from typing import ClassVar

from nadia.health.models import HealthStatus
from nadia.health.probe import Finding
from nadia.health.queue_reading import QueueReader
from nadia.health.wording import count, lasting


@dataclass(frozen=True, kw_only=True)
class ParkedItemsProbe:
    """Counts parked items: each is a customer who gets no answer until a person takes it up.

    Parameters
    ----------
    queues : QueueReader
        What waits.
    """

    queues: QueueReader

    id: ClassVar[str] = "parked-items"
    title: ClassVar[str] = "Parked items"
    group: ClassVar[str] = "queues"

    async def measure(self) -> Finding:
        """Look; raises UnavailableError while PostgreSQL is away."""
        reading = await self.queues.read()
        if not reading.parked:
            return Finding(status=HealthStatus.HEALTHY, summary="none", value=0, unit="items", threshold=0)
        return Finding(
            status=HealthStatus.WARNING,
            summary=f"{count(reading.parked, 'item')}, the oldest for {lasting(reading.parked_seconds or 0.0)}",
            value=reading.parked,
            unit="items",
            threshold=0,
            hint="the desk lists them under Parked, each with its reason: take them up or reject them",
        )
