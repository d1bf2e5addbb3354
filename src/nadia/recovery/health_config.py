"""When recovery counts as fine (baseline 1.2)."""

from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


class RecoveryHealthSettings(BaseModel):
    """Section ``recovery_health``: windows and thresholds of `RecoveryHealthChecker`."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    operations_hours: float = Field(
        6.0, gt=0, le=720, description="How far back the health check looks at runs of recovery, hours."
    )
    errors_hours: float = Field(24.0, gt=0, le=720, description="How far back it counts errors, hours.")
    performance_hours: float = Field(24.0, gt=0, le=720, description="How far back it measures speed, hours.")
    stale_hours: float = Field(
        24.0,
        gt=0,
        le=8_760,
        description="An account that was not looked through for so many hours, or a gap open for so long, is stale.",
    )
    warning_rate: float = Field(
        0.05, gt=0, le=1, description="Share of failures, of one, from which there is a warning."
    )
    critical_rate: float = Field(0.10, gt=0, le=1, description="Share of failures, of one, from which it is critical.")

    @model_validator(mode="after")
    def _warns_before_it_is_critical(self) -> Self:
        if self.warning_rate > self.critical_rate:
            raise ValueError(
                f"warning_rate ({self.warning_rate:g}) must not be above critical_rate ({self.critical_rate:g})"
            )
        return self
