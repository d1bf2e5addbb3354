"""Whether the drafting profile has a model that can be asked at all."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from nadia.errors import ConfigurationError
from nadia.health.models import HealthStatus
from nadia.health.probe import Finding
from nadia.llm.registry import Link


@dataclass(frozen=True, kw_only=True)
class ModelChainProbe:
    """Reads the model registry; calls nobody.

    Parameters
    ----------
    chain : callable
        Returns the links of the drafting profile, such as ``ModelRegistry.chain``; raises ConfigurationError.
    """

    chain: Callable[[], Sequence[Link]]

    id: ClassVar[str] = "model-chain"
    title: ClassVar[str] = "Models that can be asked"
    group: ClassVar[str] = "models"

    async def measure(self) -> Finding:
        """Look."""
        try:
            links = self.chain()
        except ConfigurationError:
            return Finding(
                status=HealthStatus.CRITICAL,
                summary="the model registry or its profile is wrong: nothing can be drafted",
                hint="`nadia config check` says what, by line",
            )
        usable = [link.name for link in links if link.skipped is None]
        skipped = [f"{link.name}: {link.skipped}" for link in links if link.skipped is not None]
        passed_over = f"; passed over: {'; '.join(skipped)}" if skipped else ""
        return Finding(
            status=HealthStatus.HEALTHY if usable else HealthStatus.CRITICAL,
            summary=f"{', then '.join(usable) if usable else 'none'}{passed_over}",
            value=len(usable),
            unit="models",
            hint=None if usable else "set the keys that the registry names, or add `offline` to the profile's chain",
            figures={"passed_over": len(skipped)},
        )
