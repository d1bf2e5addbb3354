"""A probe that finds what a test tells it to."""

from dataclasses import dataclass, field

from nadia.health.models import HealthStatus
from nadia.health.probe import Finding


@dataclass
class PlantedProbe:
    """Healthy until told otherwise."""

    id: str = "redis-memory"
    title: str = "Redis memory"
    group: str = "redis"
    finding: Finding = field(default=Finding(status=HealthStatus.HEALTHY, summary="2 MB in use"))
    looks: int = 0

    async def measure(self) -> Finding:
        self.looks += 1
        return self.finding
