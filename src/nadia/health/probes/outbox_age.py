"""How long ago the oldest reply was approved that is not out."""

from dataclasses import dataclass
from typing import ClassVar

from nadia.health.models import HealthStatus
from nadia.health.probe import Finding
from nadia.health.queue_reading import QueueReader
from nadia.health.wording import count, lasting


@dataclass(frozen=True, kw_only=True)
class OutboxAgeProbe:
    """Looks at approved replies; what waits because sending is paused or a chat is read again first is no trouble.

    Parameters
    ----------
    queues : QueueReader
        What waits.
    seconds : float
        Age above which there is a warning.
    """

    queues: QueueReader
    seconds: float

    id: ClassVar[str] = "outbox-age"
    title: ClassVar[str] = "Approved replies not sent"
    group: ClassVar[str] = "queues"

    async def measure(self) -> Finding:
        """Look; raises UnavailableError while PostgreSQL is away."""
        reading = await self.queues.read()
        oldest = reading.unsent_seconds or 0.0
        summary = count(reading.unsent, "reply", "replies")
        if reading.unsent_seconds is not None:
            summary += f", the oldest approved {lasting(oldest)} ago"
        if reading.unsent_paused:
            summary += f"; {reading.unsent_paused} held back because sending is paused"
        if reading.unsent_behind:
            summary += f"; {reading.unsent_behind} until what was missed in the chat is read"
        is_old = oldest > self.seconds
        return Finding(
            status=HealthStatus.WARNING if is_old else HealthStatus.HEALTHY,
            summary=summary,
            value=oldest,
            unit="seconds",
            threshold=self.seconds,
            hint="does a bot run and is it connected (`nadia telegram status`)? The item on the desk says why it waits"
            if is_old
            else None,
            figures={
                "unsent": reading.unsent,
                "paused": reading.unsent_paused,
                "until_read": reading.unsent_behind,
            },
        )
