"""Figures over time: what all processes counted, in stretches of a few minutes, kept in Redis for a day.

Prometheus keeps the long history. This is what NADIA's own page, checks and workflows look back on without it.
"""

import asyncio
import json
import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, cast

from nadia.clock import Clock, utc_now
from nadia.health.series import HIGHEST, SUM, Series
from nadia.redis import keys
from nadia.redis.commands import Command, SendsCommands

BUCKET_SECONDS: Final = 300
RETENTION: Final = timedelta(hours=24)

GAUGES_LIVE_SECONDS: Final = 90
"""How long a process that says nothing more is taken for alive: a few times as long as they are silent."""

_KEPT: Final = int(RETENTION.total_seconds()) // BUCKET_SECONDS
_READ_AT_ONCE: Final = 24
"""Stretches: others want answers from Redis too."""

# A whole hash as one text, which the driver reads several times as fast as word by word. It is sent as it stands, not
# as a script that Redis knows: readers without the driver do not ask again.
_READ: Final = "return cjson.encode(redis.call('HGETALL', KEYS[1]))"

KEPT_GAUGES: Final = ("nadia_review_queue_items", "nadia_delivery_waiting_replies")
"""Gauges whose highest value is kept for each stretch: how long queues were."""

LEFT_OUT: Final = Series("left_out", ())
"""How often a series was left out of a stretch that was full."""

Labels = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Distribution:
    """What a histogram counted: upper bounds (seconds; the last infinite) and how many were at or below each.

    Only bounds between which something was counted are named; the others would say nothing more.
    """

    bounds: tuple[float, ...]
    counts: tuple[float, ...]
    total: float

    @property
    def count(self) -> float:
        """How many there were."""
        return self.counts[-1]

    @property
    def mean(self) -> float | None:
        """Mean; None of nothing."""
        return self.total / self.count if self.count else None

    def quantile(self, q: float) -> float | None:
        """Estimate a quantile by linear interpolation within its bucket, as Prometheus's histogram_quantile does.

        Parameters
        ----------
        q : float
            From 0 to 1.

        Returns
        -------
        float or None
            The highest finite bound when it lies above that; None of nothing.

        Raises
        ------
        ValueError
            If ``q`` is out of range.
        """
        if not 0 <= q <= 1:
            raise ValueError(f"a quantile is from 0 to 1, not {q}")
        if not self.count:
            return None
        rank = q * self.count
        place = next(index for index, count in enumerate(self.counts) if count and count >= rank)
        lower = self.bounds[place - 1] if place else 0.0
        below = self.counts[place - 1] if place else 0.0
        upper = self.bounds[place]
        if math.isinf(upper):
            return lower
        return lower + (upper - lower) * max(0.0, rank - below) / (self.counts[place] - below)


@dataclass(frozen=True, slots=True)
class _Stretch:
    begun_at: datetime
    counted: Mapping[str, Sequence[tuple[Series, float]]]
    """By the metric's name."""


class Figures:
    """What was counted in a stretch of time, of all processes together."""

    def __init__(self, stretches: Sequence[_Stretch]) -> None:
        self._stretches = stretches

    def __bool__(self) -> bool:
        """Whether anything at all was counted: if not, no process ran."""
        return any(stretch.counted for stretch in self._stretches)

    def increase(self, name: str, /, **labels: str) -> float:
        """Return how much a counter rose, over all series that have these labels."""
        return sum(value for series, value in self._of(name, labels) if not series.part)

    def distribution(self, name: str, /, **labels: str) -> Distribution:
        """Return what a histogram counted, over all series that have these labels."""
        return _distribution(self._of(name, labels))

    def distributions(self, name: str, /) -> Sequence[tuple[Labels, Distribution]]:
        """Return what a histogram counted, for each of its labels' values apart."""
        found: defaultdict[tuple[tuple[str, str], ...], list[tuple[Series, float]]] = defaultdict(list)
        for series, value in self._of(name, {}):
            found[series.labels].append((series, value))
        return [(dict(labels), _distribution(found[labels])) for labels in sorted(found)]

    def highest(self, name: str, /, **labels: str) -> float | None:
        """Return the highest value of a gauge of `KEPT_GAUGES` that any process saw; None where nobody looked.

        It is summed over the series that have these labels, in each stretch for itself.
        """
        sums = []
        for _, step in self.steps():
            values = [value for series, value in step._of(name, labels) if series.part == HIGHEST]
            if values:
                sums.append(sum(values))
        return max(sums, default=None)

    def labels_of(self, name: str, /) -> Sequence[Labels]:
        """Return the labels of a metric's series that counted anything."""
        return [dict(labels) for labels in sorted({series.labels for series, _ in self._of(name, {})})]

    @property
    def are_complete(self) -> bool:
        """Whether all that was counted is in them: a stretch that is full leaves new series out."""
        return not self.increase(LEFT_OUT.name)

    def steps(self) -> "Sequence[tuple[datetime, Figures]]":
        """Return each stretch apart, oldest first, those without any figure included: what a chart draws."""
        return [(stretch.begun_at, Figures([stretch])) for stretch in self._stretches]

    def _of(self, name: str, labels: Labels) -> Iterator[tuple[Series, float]]:
        wanted = labels.items()
        for stretch in self._stretches:
            for series, value in stretch.counted.get(name, ()):
                if not wanted or wanted <= dict(series.labels).items():
                    yield series, value


class FigureHistory:
    """Reads what all processes recorded; see `nadia.health.figure_recorder`.

    Parameters
    ----------
    redis : SendsCommands
        Where it is kept.
    clock : callable
        Returns the present.
    """

    def __init__(self, *, redis: SendsCommands, clock: Clock = utc_now) -> None:
        self._redis = redis
        self._clock = clock

    async def read(self, *, since: datetime) -> Figures:
        """Return what was counted since a moment, to the stretch; raises UnavailableError."""
        last = bucket_at(self._clock())
        first = max(bucket_at(since), last - _KEPT)
        stretches = []
        for begin in range(first, last + 1, _READ_AT_ONCE):
            buckets = range(begin, min(begin + _READ_AT_ONCE, last + 1))
            answers = await self._read([keys.figures_of(bucket) for bucket in buckets])
            stretches += [
                _Stretch(begun_at=_begin_of(bucket), counted=_by_name(_numbers(answer)))
                for bucket, answer in zip(buckets, answers, strict=True)
            ]
            await asyncio.sleep(0)  # a day of many series takes a while to sort
        return Figures(stretches)

    async def gauges(self, name: str) -> Sequence[tuple[str, Labels, float]]:
        """Return a gauge by process, of those that reported lately; raises UnavailableError."""
        living = Command(
            ("ZRANGEBYSCORE", keys.GAUGE_PROCESSES, self._clock().timestamp() - GAUGES_LIVE_SECONDS, "+inf")
        )
        (answer,) = await self._redis.send([living])
        alive = cast("Sequence[str]", answer)
        answers = await self._read([keys.gauges_of(one) for one in alive])
        return [
            (process, dict(series.labels), value)
            for process, answer in zip(alive, answers, strict=True)
            for series, value in _numbers(answer)
            if series.name == name
        ]

    async def _read(self, hashes: Sequence[str]) -> Sequence[str]:
        answers = await self._redis.send([Command(("EVAL", _READ, 1, key)) for key in hashes])
        return cast("Sequence[str]", answers)


def bucket_at(moment: datetime) -> int:
    """Return the number of the stretch that a moment lies in."""
    return int(moment.timestamp()) // BUCKET_SECONDS


def _begin_of(bucket: int) -> datetime:
    return datetime.fromtimestamp(bucket * BUCKET_SECONDS, UTC)


def _distribution(numbers: Iterable[tuple[Series, float]]) -> Distribution:
    total, within = 0.0, defaultdict[float, float](float)
    for series, value in numbers:
        if series.part == SUM:
            total += value
        elif ":" in series.part:
            lower, _, upper = series.part.partition(":")
            within[float(lower)] += 0
            within[float(upper)] += value
    within.pop(0.0, None)  # below the lowest bound there is nothing
    within[math.inf] += 0
    bounds, counts, below = sorted(within), [], 0.0
    for bound in bounds:
        below += within[bound]
        counts.append(below)
    return Distribution(bounds=tuple(bounds), counts=tuple(counts), total=total)


def _numbers(answer: str) -> Iterator[tuple[Series, float]]:
    """Return what a hash holds, names and values in turn; what is not a number of ours is passed over."""
    words = iter(json.loads(answer))
    for text, value in zip(words, words, strict=True):
        if series := Series.read(text):
            try:
                yield series, float(value)
            except ValueError:
                continue


def _by_name(numbers: Iterator[tuple[Series, float]]) -> Mapping[str, Sequence[tuple[Series, float]]]:
    found: defaultdict[str, list[tuple[Series, float]]] = defaultdict(list)
    for series, value in numbers:
        found[series.name].append((series, value))
    return found
