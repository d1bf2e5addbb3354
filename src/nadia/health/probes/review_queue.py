"""How many items wait for a person (baseline 1.1: 50)."""

from dataclasses import dataclass
from typing import ClassVar

from nadia.health.models import HealthStatus
from nadia.health.probe import Finding
from nadia.health.queue_reading import QueueReader
from nadia.health.wording import count


@dataclass(frozen=True, kw_only=True)
class ReviewQueueProbe:
    """Counts what the desk shows as waiting, drafted or not.

    Parameters
    ----------
    queues : QueueReader
        What waits.
    items : int
        Number above which there is a warning.
    """

    queues: QueueReader
    items: int

    id: ClassVar[str] = "review-queue"
    title: ClassVar[str] = "Review queue"
    group: ClassVar[str] = "queues"

    async def measure(self) -> Finding:
        """Look; raises UnavailableError while PostgreSQL is away."""
        reading = await self.queues.read()
        is_long = reading.review > self.items
        return Finding(
            status=HealthStatus.WARNING if is_long else HealthStatus.HEALTHY,
            summary=f"{count(reading.review, 'item')}, {reading.review_ready} of them ready for a decision",
            value=reading.review,
            unit="items",
            threshold=self.items,
            hint="more people at the desk; or `nadia pause drafting` and `nadia workflow find-error` if it is a flood"
            if is_long
            else None,
            figures={"ready": reading.review_ready},
        )
