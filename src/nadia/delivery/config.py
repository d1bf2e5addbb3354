"""Settings of delivery."""

from pydantic import BaseModel, ConfigDict, Field


class DeliverySettings(BaseModel):
    """Section ``delivery``."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    undo_seconds: float = Field(
        5.0, ge=0, le=300, description="How long an approval can be taken back before the reply leaves, seconds."
    )
    words_per_minute: float = Field(
        60.0, gt=0, le=1_000, description="Typing speed that customers see, words of five characters a minute."
    )
    variance: float = Field(
        0.25, ge=0, le=0.9, description="How far typing speed and pauses stray to either side, as a share of one."
    )
    reading_words_per_minute: float = Field(
        240.0, gt=0, le=5_000, description="Speed at which the customer's messages are read before typing begins."
    )
    bubble_pause_seconds: float = Field(1.0, ge=0, le=60, description="Pause between two bubbles, seconds.")
    max_total_seconds: float = Field(
        30.0, ge=0, le=600, description="Longest that reading, typing and pauses of one reply take together, seconds."
    )
    speed: float = Field(
        1.0, gt=0, le=10_000, description="How many times faster than life reading and typing are shown; for demos."
    )
    sending_timeout: float = Field(
        300.0,
        ge=10,
        le=3_600,
        description="How long an attempt without an answer is repeated as it is, before Telegram's history is asked, "
        "seconds.",
    )
    settle_seconds: float = Field(
        5.0,
        ge=0,
        le=300,
        description="How long after an attempt without an answer Telegram's history is believed not to have the "
        "message, seconds.",
    )
    concurrency: int = Field(
        100, ge=1, le=10_000, description="Most conversations of one account that are replied to at the same time."
    )
