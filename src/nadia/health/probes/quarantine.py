"""Whether messages of silenced customers wait for a decision whose time runs out."""

from dataclasses import dataclass
from typing import ClassVar

from nadia.health.models import HealthStatus
from nadia.health.postgres_reading import Connect, asking
from nadia.health.probe import Finding
from nadia.health.wording import count, lasting

# What nobody decides about expires unanswered.
_HELD = """
SELECT count(*)::int AS held, count(DISTINCT person_id)::int AS people,
       extract(epoch FROM min(expires_at) - clock_timestamp())::float8 AS seconds_left
FROM quarantine_messages WHERE state = 'held'
"""


@dataclass(frozen=True, kw_only=True)
class QuarantineProbe:
    """Looks at held messages. That some are held is what silencing is for; that they expire unseen is not.

    Parameters
    ----------
    connect : callable
        Yields a connection.
    seconds_left : float
        Time before the end of a held message from which there is a warning.
    """

    connect: Connect
    seconds_left: float

    id: ClassVar[str] = "quarantine"
    title: ClassVar[str] = "Messages in quarantine"
    group: ClassVar[str] = "queues"

    async def measure(self) -> Finding:
        """Look; raises UnavailableError while PostgreSQL is away."""
        async with asking(self.connect) as conn:
            row = await (await conn.execute(_HELD)).fetchone()
        assert row is not None, "an aggregate without GROUP BY always has a row"
        figures = {"held": row["held"], "people": row["people"]}
        if not row["held"]:
            return Finding(status=HealthStatus.HEALTHY, summary="none is held", figures=figures)
        left = max(0.0, row["seconds_left"])
        is_urgent = left < self.seconds_left
        held = f"{count(row['held'], 'message')} of {count(row['people'], 'person', 'people')} held"
        return Finding(
            status=HealthStatus.WARNING if is_urgent else HealthStatus.HEALTHY,
            summary=f"{held}; the first expires in {lasting(left)}",
            value=left,
            unit="seconds",
            threshold=self.seconds_left,
            hint="release or discard them: the desk's Quarantine page, or `nadia quarantine`" if is_urgent else None,
            figures=figures,
        )
