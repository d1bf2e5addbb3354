"""What a check of NADIA's health reports, as data with a published schema.

The schema is ``docs/reference/health.schema.json``. A report holds numbers, names of parts and sentences of NADIA's
own: nothing of a customer's, no secrets, and no text of an error. `SCHEMA_VERSION` rises when a field goes away or
changes its meaning, not when one is added.
"""

from collections.abc import Iterable
from enum import StrEnum
from typing import Annotated, Final

from pydantic import AwareDatetime, ConfigDict, Field, PlainSerializer

from nadia.documented import Documented

SCHEMA_VERSION: Final = 1

Figure = Annotated[float, PlainSerializer(lambda value: round(value, 3), when_used="json")]
"""A number as a report shows it: beyond a thousandth it would be noise."""


class HealthStatus(StrEnum):
    """How something is; in the order of concern."""

    HEALTHY = "healthy"
    UNKNOWN = "unknown"
    WARNING = "warning"
    CRITICAL = "critical"

    @classmethod
    def worst(cls, statuses: Iterable["HealthStatus"]) -> "HealthStatus":
        """Return the one to worry about most; healthy of none."""
        return max(statuses, key=list(cls).index, default=cls.HEALTHY)


class _Part(Documented):
    model_config = ConfigDict(extra="forbid")


class ProbeResult(_Part):
    """What one probe found."""

    id: str
    """Name of the probe, constant, such as ``redis-memory``."""
    title: str
    """What it looks at, for people."""
    group: str
    """The part it belongs to, such as ``redis``."""
    status: HealthStatus
    summary: str
    """One sentence."""
    value: Figure | None = None
    """What was measured; null where it could not be, or is no number."""
    unit: str | None = None
    """Of value and threshold: ``bytes``, ``seconds``, ``percent``, ``items`` and the like."""
    threshold: Figure | None = None
    """The bound that value was compared with."""
    hint: str | None = None
    """What to do about it; null while it is healthy."""
    docs: str
    """Page and section that explain it, from the project's root."""
    seconds: Figure
    """How long the probe took."""
    figures: dict[str, str | int | Figure | bool | None] = Field(default_factory=dict)
    """Further numbers and names that explain the finding."""


class HealthReport(_Part):
    """What all probes found."""

    schema_version: int = SCHEMA_VERSION
    checked_at: AwareDatetime
    status: HealthStatus
    """That of the probe to worry about most."""
    summary: str
    """One sentence for people."""
    seconds: Figure
    """How long all of it took."""
    probes: list[ProbeResult]

    def of(self, probe_id: str) -> ProbeResult:
        """Return the result of one probe.

        Raises
        ------
        KeyError
            If it was not run.
        """
        for result in self.probes:
            if result.id == probe_id:
                return result
        raise KeyError(probe_id)
