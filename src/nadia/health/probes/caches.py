"""How many look-ups the caches answered, and the calls to Telegram and PostgreSQL that were saved by it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar, Final

from nadia.clock import Clock, utc_now
from nadia.health.figures import FigureHistory
from nadia.health.models import HealthStatus
from nadia.health.probe import Finding

WINDOW: Final = timedelta(hours=1)

FEW: Final = 100
"""Fewer look-ups say little: a cache that was just emptied has to ask once for each customer."""


@dataclass(frozen=True, slots=True)
class _Cache:
    name: str
    metric: str
    label: str
    hits: frozenset[str]
    is_judged: bool


CACHES: Final = (
    _Cache(
        "peers",
        "nadia_telegram_entity_lookups_total",
        "result",
        frozenset({"memory", "store", "shared"}),
        is_judged=True,
    ),
    # Each process remembers for a short while only, and asks anew after each change: how many of its look-ups that
    # answers depends on how often it looks, and a sound desk of many quiet processes has few hits.
    _Cache("silences", "nadia_quarantine_status_lookups_total", "answered_by", frozenset({"cache"}), is_judged=False),
)


@dataclass(frozen=True, kw_only=True)
class CachesProbe:
    """Compares hits with all look-ups of the last hour, of all processes.

    Parameters
    ----------
    figures : FigureHistory
        What the processes counted.
    percent : float
        Share of hits below which there is a warning.
    clock : callable
        Returns the present.
    """

    figures: FigureHistory
    percent: float
    clock: Clock = utc_now

    id: ClassVar[str] = "caches"
    title: ClassVar[str] = "Caches"
    group: ClassVar[str] = "jobs"

    async def measure(self) -> Finding:
        """Look; raises UnavailableError while Redis is away."""
        counted = await self.figures.read(since=self.clock() - WINDOW)
        shares: dict[str, float] = {}
        saved = lookups = 0.0
        for cache in CACHES:
            by_label: Mapping[str, float] = {
                value: counted.increase(cache.metric, **{cache.label: value})
                for value in {labels[cache.label] for labels in counted.labels_of(cache.metric)}
            }
            total, hits = sum(by_label.values()), sum(by_label[label] for label in by_label.keys() & cache.hits)
            lookups, saved = lookups + total, saved + hits
            if total >= FEW:
                shares[cache.name] = 100 * hits / total
        judged = {cache.name: shares[cache.name] for cache in CACHES if cache.is_judged and cache.name in shares}
        cold = [name for name, share in judged.items() if share < self.percent]
        summary = f"{saved:.0f} of {lookups:.0f} calls saved in an hour" if lookups else "no look-up in an hour"
        return Finding(
            status=HealthStatus.WARNING if cold else HealthStatus.HEALTHY,
            summary=f"{summary}; {', '.join(f'{name} only {judged[name]:.0f} %' for name in cold)}"
            if cold
            else summary,
            value=min(judged.values(), default=None),
            unit="percent",
            threshold=self.percent,
            hint="a cache that is emptied over and over: do processes restart, or is Redis full?" if cold else None,
            figures={"lookups": lookups, "saved": saved} | {f"{name}_percent": share for name, share in shares.items()},
        )
