"""How long an item has waited for a person."""

from dataclasses import dataclass
from typing import ClassVar

from nadia.health.models import HealthStatus
from nadia.health.probe import Finding
from nadia.health.queue_reading import QueueReader
from nadia.health.wording import lasting


@dataclass(frozen=True, kw_only=True)
class ReviewWaitProbe:
    """Looks at the oldest item on the desk: a customer waits for it.

    Parameters
    ----------
    queues : QueueReader
        What waits.
    seconds : float
        Age above which there is a warning.
    """

    queues: QueueReader
    seconds: float

    id: ClassVar[str] = "review-wait"
    title: ClassVar[str] = "Longest wait for a person"
    group: ClassVar[str] = "queues"

    async def measure(self) -> Finding:
        """Look; raises UnavailableError while PostgreSQL is away."""
        reading = await self.queues.read()
        oldest = reading.review_seconds or 0.0
        is_old = oldest > self.seconds
        return Finding(
            status=HealthStatus.WARNING if is_old else HealthStatus.HEALTHY,
            summary="nobody waits" if reading.review_seconds is None else f"the oldest item for {lasting(oldest)}",
            value=oldest,
            unit="seconds",
            threshold=self.seconds,
            hint="is anybody at the desk? Items that nobody answers expire after NADIA_REVIEW_EXPIRE_AFTER_HOURS"
            if is_old
            else None,
        )
