"""How drafts are written."""

from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict, Field

_WAL_MARGIN_SECONDS: Final = 10.0


class DraftingSettings(BaseModel):
    """The persona, and how much drafting goes on at once."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    persona_file: Path | None = Field(
        None, description="The persona that drafts are written in, a text file; the shipped one when empty."
    )
    disclosure_file: Path | None = Field(
        None, description="What a new customer is told first, a text file; the shipped one when empty."
    )
    concurrency: int = Field(32, ge=1, le=256, description="Drafts that one process writes at once.")
    timeout_seconds: float = Field(
        60.0, gt=0, le=600, description="Longest that a draft may take over all models of the chain, seconds."
    )
    most_attempts: int = Field(
        5, ge=1, le=100, description="Attempts that crashed or never ended after which a batch is parked."
    )

    @property
    def wal_lease_seconds(self) -> float:
        """After so long a stream entry goes to another worker: later than the longest draft, and the batch's lease."""
        return self.timeout_seconds + _WAL_MARGIN_SECONDS
