"""How long a burst is waited for."""

from pydantic import BaseModel, ConfigDict, Field

from nadia.constants import TYPING_DEBOUNCE_DELAY


class PacingSettings(BaseModel):
    """The trailing window and its bounds (baseline 2.4)."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    window_seconds: float = Field(
        5.0, gt=0, le=600, description="A burst is over when the customer was silent for so long, seconds."
    )
    longest_seconds: float = Field(
        float(TYPING_DEBOUNCE_DELAY), gt=0, le=3_600, description="Longest that a burst is waited for, seconds."
    )
    largest_batch: int = Field(
        20,
        ge=1,
        le=1_000,
        description="A burst of so many messages is over at once. What comes later joins its batch, without bound.",
    )
    flush_words: tuple[str, ...] = Field(
        ("stop", "urgent"), description="Words that end the burst at once and put it in front of the queue."
    )
    lease_seconds: float = Field(
        30.0,
        gt=0,
        le=600,
        description="After how long the work of a process that fell silent goes to another, seconds.",
    )
