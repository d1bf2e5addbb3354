"""Whether one measurement is faster than another, or only noisier.

Two questions are asked of each figure. Could both be the same, going by the order of all their values? The rank test of
Mann and Whitney (Annals of Mathematical Statistics 18, 1947) answers without supposing how noise is distributed; with
its correction for ties it serves counts in buckets too. And is the difference one that anybody would notice? Only where
both say so is there a verdict: with enough values a test finds differences that do not matter, with few of them large
ones by chance. As many figures are compared at once, each test is as much stricter (Bonferroni).
"""

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from statistics import NormalDist, median
from typing import Final

from nadia.workflows.performance.figures import Counted, Measured, Samples

CHANCE: Final = 0.05
"""How often a comparison of two equal measurements may name any difference at all."""

LEAST_CHANGE: Final = 0.15
"""Of the median, of what was measured. Between two runs on a quiet machine there is about half of that."""

LEAST_CHANGE_COUNTED: Final = 0.5
"""Of the median, of what was counted: its buckets are about twice as wide as the one before."""

LEAST_VALUES: Final = 6
"""Rounds below which even complete separation may be chance."""

LEAST_COUNTED: Final = 30
"""Below so many, a latency says more about what happened to be asked than about speed."""


class Verdict(StrEnum):
    """What became of a figure."""

    BETTER = "better"
    SAME = "same"
    WORSE = "worse"
    NOT_COMPARABLE = "not comparable"


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """A figure then and now.

    Parameters
    ----------
    before, after : float or None
        Medians, seconds; None where there is none.
    change : float or None
        Of the median, as a share of the former.
    verdict : Verdict
        Whether it matters.
    why : str or None
        Why it cannot be told.
    """

    before: float | None
    after: float | None
    change: float | None
    verdict: Verdict
    why: str | None = None


def compare(
    before: Mapping[str, Measured], after: Mapping[str, Measured], *, same_machine: bool
) -> dict[str, Comparison]:
    """Compare two measurements, figure by figure, in the order of the later one.

    Parameters
    ----------
    before, after : mapping of str to Measured
        Figures by name.
    same_machine : bool
        Whether both were measured on alike machines; others are not compared.
    """
    names = [*after, *(name for name in before if name not in after)]
    together = sum(name in before and name in after for name in names)
    return {
        name: _compare_one(
            before.get(name), after.get(name), chance=CHANCE / max(1, together), same_machine=same_machine
        )
        for name in names
    }


def middle(measured: Measured) -> float | None:
    """Return the median, seconds; of counts, by linear interpolation within its bucket; None of nothing."""
    if isinstance(measured, Samples):
        return median(measured.values) if measured.values else None
    half, below, lower = sum(measured.counts.values()) / 2, 0.0, 0.0
    for upper, count in sorted(measured.counts.items()):
        if count and below + count >= half:
            return lower if math.isinf(upper) else lower + (upper - lower) * (half - below) / count
        below, lower = below + count, upper
    return None


def rank_test(before: Mapping[float, float], after: Mapping[float, float]) -> float:
    """Return how likely so different an order of values is by chance, two-sided.

    Parameters
    ----------
    before, after : mapping of float to float
        How often each value occurred.
    """
    n, m = sum(before.values()), sum(after.values())
    # Twice the number of pairs in which the later value is the greater one; a tie counts once.
    pairs, smaller, ties = 0.0, 0.0, 0.0
    for value in sorted({*before, *after}):
        here, there = before.get(value, 0.0), after.get(value, 0.0)
        pairs += there * (2 * smaller + here)
        smaller += here
        ties += (here + there) ** 3 - (here + there)
    size = n + m
    variance = n * m / 12 * (size + 1 - ties / (size * (size - 1))) if size > 1 else 0.0
    if variance <= 0:  # one value only
        return 1.0
    distance = max(0.0, abs(pairs / 2 - n * m / 2) - 0.5)  # continuity: counts are whole
    return 2 * NormalDist().cdf(-distance / math.sqrt(variance))


def _compare_one(before: Measured | None, after: Measured | None, *, chance: float, same_machine: bool) -> Comparison:
    then, now = (middle(one) if one is not None else None for one in (before, after))
    why = _why_not(before, after, same_machine=same_machine)
    change = now / then - 1 if then and now is not None else None
    if why is not None or change is None or before is None or after is None:
        return Comparison(before=then, after=now, change=change, verdict=Verdict.NOT_COMPARABLE, why=why)
    least = LEAST_CHANGE if isinstance(after, Samples) else LEAST_CHANGE_COUNTED
    is_noticed = change >= least or change <= 1 / (1 + least) - 1
    verdict = Verdict.SAME
    if is_noticed and rank_test(_occurrences(before), _occurrences(after)) < chance:
        verdict = Verdict.WORSE if change > 0 else Verdict.BETTER
    return Comparison(before=then, after=now, change=change, verdict=verdict)


def _why_not(before: Measured | None, after: Measured | None, *, same_machine: bool) -> str | None:
    if before is None:
        return "was not measured then"
    if after is None:
        return "was not measured now"
    if not same_machine:
        return "the machine is another one"
    if before.kind != after.kind:
        return "is measured in another way now"
    for one, when in ((before, "then"), (after, "now")):
        enough = LEAST_VALUES if isinstance(one, Samples) else LEAST_COUNTED
        if (number := sum(_occurrences(one).values())) < enough:
            return f"only {number:.0f} {when}; {enough} are needed"
    return None


def _occurrences(measured: Measured) -> Mapping[float, float]:
    return measured.counts if isinstance(measured, Counted) else Counter(measured.values)
