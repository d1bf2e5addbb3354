"""Figures over time: what all processes counted, in stretches of a few minutes, kept in Redis for a day.

Prometheus keeps the long history. This is what NADIA's own page, checks and workflows look back on without it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from nadia.clock import Clock, utc_now
from nadia.redis.connection import RedisConnection
from nadia.redis.mixin import RedisConnectionMixin

BUCKET_SECONDS: Final = 300
RETENTION: Final = timedelta(hours=24)

Labels = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Distribution:
    """What a histogram counted: upper bounds (seconds; the last infinite) and how many were at or below each."""

    bounds: tuple[float, ...]
    counts: tuple[float, ...]
    total: float

    @property
    def count(self) -> float:
        """How many there were."""
        raise NotImplementedError

    @property
    def mean(self) -> float | None:
        """Mean; None of nothing."""
        raise NotImplementedError

    def quantile(self, q: float) -> float | None:
        """Estimate a quantile by linear interpolation within its bucket, as Prometheus's histogram_quantile does."""
        raise NotImplementedError


class Figures:
    """What was counted in a stretch of time, of all processes together."""

    def increase(self, name: str, **labels: str) -> float:
        """Return how much a counter rose, over all series that have these labels."""
        raise NotImplementedError

    def distribution(self, name: str, **labels: str) -> Distribution:
        """Return what a histogram counted, over all series that have these labels."""
        raise NotImplementedError

    def labels_of(self, name: str) -> Sequence[Labels]:
        """Return the labels of a metric's series that counted anything."""
        raise NotImplementedError

    def steps(self) -> Sequence[tuple[datetime, "Figures"]]:
        """Return each stretch apart, oldest first, those without any figure included: what a chart draws."""
        raise NotImplementedError


class FigureHistory(RedisConnectionMixin):
    """Adds this process's figures, and reads everybody's.

    Parameters
    ----------
    redis : RedisConnection
        Where they are kept.
    process : str
        Names this process.
    clock : callable
        Returns the present.
    """

    def __init__(self, *, redis: RedisConnection, process: str, clock: Clock = utc_now) -> None:
        super().__init__(redis=redis)
        self._process = process
        self._clock = clock

    async def record(self) -> None:
        """Add what this process counted since the last call; raises UnavailableError, and loses nothing then."""
        raise NotImplementedError

    async def read(self, *, since: datetime) -> Figures:
        """Return what was counted since a moment, to the stretch; raises UnavailableError."""
        raise NotImplementedError

    async def gauges(self, name: str) -> Sequence[tuple[str, Labels, float]]:
        """Return a gauge by process, of those that reported in the last stretch; raises UnavailableError."""
        raise NotImplementedError
