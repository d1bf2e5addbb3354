"""Settings of the review desk."""

from pydantic import BaseModel, ConfigDict, Field


class ReviewSettings(BaseModel):
    """Section ``review``."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    claim_seconds: float = Field(
        120.0, ge=5, le=3_600, description="How long a reviewer's claim holds unless renewed, seconds."
    )
    expire_after_hours: float = Field(
        168.0, gt=0, le=8_760, description="Items that nobody answered for so long end as expired, hours."
    )
