"""How long what a silenced customer writes is kept for a decision."""

from pydantic import BaseModel, ConfigDict, Field


class QuarantineSettings(BaseModel):
    """The silence protocol."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    keep_hours: float = Field(
        168.0,
        gt=0,
        le=8_760,
        description="A silenced customer's message that nobody decided about expires after so long, hours. "
        "Holds for the silences that begin after it was set.",
    )
    status_cache_seconds: float = Field(
        300.0, gt=0, le=3_600, description="How long a process may remember who is silenced, seconds."
    )
    status_cache_size: int = Field(
        10_000,
        ge=1,
        le=1_000_000,
        description="Most conversations with silenced customers that a process remembers; beyond, it asks about each.",
    )
