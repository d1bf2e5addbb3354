"""How many calls of a model failed lately."""

from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar, Final

from nadia.clock import Clock, utc_now
from nadia.health.figures import FigureHistory
from nadia.health.models import HealthStatus
from nadia.health.probe import Finding
from nadia.llm.errors import Outcome

CALLS: Final = "nadia_llm_calls_total"
WINDOW: Final = timedelta(minutes=10)
FEW: Final = 3
"""Fewer failures say little about a rate."""

NOT_TRIED: Final = frozenset({Outcome.CIRCUIT_OPEN, Outcome.CANCELLED})
"""Outcomes that say nothing about the model: it was not asked, or nobody waited for the answer."""

NO_FAILURE: Final = frozenset({Outcome.OK, Outcome.NO_MATCH})
"""A saved reply that fits nothing is an answer too."""


@dataclass(frozen=True, kw_only=True)
class ModelErrorsProbe:
    """Compares failed calls with all, of each model, over the last ten minutes of all processes.

    Parameters
    ----------
    figures : FigureHistory
        What the processes counted.
    rate : float
        Share of failures, of one, above which there is a warning.
    clock : callable
        The present.
    """

    figures: FigureHistory
    rate: float
    clock: Clock = utc_now

    id: ClassVar[str] = "model-errors"
    title: ClassVar[str] = "Failed calls of models"
    group: ClassVar[str] = "models"

    async def measure(self) -> Finding:
        """Look; raises UnavailableError while Redis is away."""
        counted = await self.figures.read(since=self.clock() - WINDOW)
        worst, calls, failed = 0.0, 0.0, 0.0
        name: str | None = None
        for model in sorted({labels["model"] for labels in counted.labels_of(CALLS)}):
            by_outcome = {outcome: counted.increase(CALLS, model=model, outcome=outcome) for outcome in Outcome}
            tried = sum(number for outcome, number in by_outcome.items() if outcome not in NOT_TRIED)
            bad = tried - sum(by_outcome[outcome] for outcome in NO_FAILURE)
            calls, failed = calls + tried, failed + bad
            if tried and bad / tried > worst and bad >= FEW:
                worst, name = bad / tried, model
        is_bad = name is not None and worst > self.rate
        overall = failed / calls if calls else 0.0
        summary = f"{failed:.0f} of {calls:.0f} in 10 min" if calls else "no call in 10 min"
        return Finding(
            status=HealthStatus.WARNING if is_bad else HealthStatus.HEALTHY,
            summary=f"{summary}; most of {name}, {worst:.0%}" if is_bad else summary,
            value=worst if is_bad else overall,
            unit="ratio",
            threshold=self.rate,
            hint="`nadia_llm_calls_total` by outcome says how they fail; docs/guides/models.md what helps"
            if is_bad
            else None,
            figures={"calls": calls, "failed": failed, "model": name},
        )
