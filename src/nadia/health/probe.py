"""What a probe is: one look at one thing."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from nadia.health.models import HealthStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What a probe found; `HealthChecker` makes a `ProbeResult` of it.

    Parameters
    ----------
    status : HealthStatus
        How it is.
    summary : str
        One sentence; no customer's text, no secrets, no error's own words.
    value, threshold : float, optional
        What was measured, and the bound it was compared with.
    unit : str, optional
        Of both.
    hint : str, optional
        What to do; left out while it is healthy.
    figures : mapping
        What else explains it.
    """

    status: HealthStatus
    summary: str
    value: float | None = None
    unit: str | None = None
    threshold: float | None = None
    hint: str | None = None
    figures: Mapping[str, str | int | float | bool | None] = field(default_factory=dict)


class Probe(Protocol):
    """One look at one thing. A probe only reads; it may be run by several processes at once."""

    @property
    def id(self) -> str:
        """Constant name, words joined by hyphens; also the heading of its section in docs/operations/health.md."""

    @property
    def title(self) -> str:
        """What it looks at, for people."""

    @property
    def group(self) -> str:
        """The part that it belongs to; see `nadia.health.checker.GROUPS`."""

    async def measure(self) -> Finding:
        """Look.

        Raises
        ------
        UnavailableError
            If what the probe needs in order to judge is away. The thing is unknown then; a probe whose very question
            is whether that answers says critical instead of raising.
        """
