"""Whether models are left alone because they kept failing."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Final

from nadia.errors import ConfigurationError
from nadia.health.figures import FigureHistory
from nadia.health.models import HealthStatus
from nadia.health.probe import Finding
from nadia.llm.registry import Link

OPEN: Final = "nadia_llm_circuit_open"


@dataclass(frozen=True, kw_only=True)
class ModelCircuitsProbe:
    """Looks at the circuit breakers of every process that drafts.

    Parameters
    ----------
    chain : callable
        Returns the links of the drafting profile; raises ConfigurationError.
    figures : FigureHistory
        What the processes say of themselves.
    """

    chain: Callable[[], Sequence[Link]]
    figures: FigureHistory

    id: ClassVar[str] = "model-circuits"
    title: ClassVar[str] = "Models left alone after failures"
    group: ClassVar[str] = "models"

    async def measure(self) -> Finding:
        """Look; raises UnavailableError while Redis is away."""
        given_up = {labels["model"] for _, labels, value in await self.figures.gauges(OPEN) if value}
        try:
            usable = [link.name for link in self.chain() if link.skipped is None]
        except ConfigurationError:  # model-chain says so
            usable = []
        left = [name for name in usable if name in given_up]
        if not left:
            return Finding(status=HealthStatus.HEALTHY, summary="none", value=0, unit="models", threshold=0)
        others = [name for name in usable if name not in given_up]
        return Finding(
            status=HealthStatus.WARNING if others else HealthStatus.CRITICAL,
            summary=f"{', '.join(left)}; {'drafts come from ' + ', '.join(others) if others else 'nothing is drafted'}",
            value=len(left),
            unit="models",
            threshold=0,
            hint="each is tried again every half minute; look at the provider's status page, the key and the quota",
        )
