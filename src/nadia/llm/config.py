"""Settings of the language models."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field


class LlmSettings(BaseModel):
    """Which models draft, and what the desk's saved replies are."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    profile: str = Field("default", description="Profile of the model registry that drafts are written with.")
    models_file: Path | None = Field(None, description="Model registry, a YAML file; the shipped one when empty.")
    saved_replies_file: Path | None = Field(
        None, description="The desk's saved replies, a text file; the shipped ones when empty."
    )
    model: str | None = Field(
        None,
        min_length=1,
        max_length=200,
        description="Replaces the model name of the profile's first OpenAI-compatible entry; its prices stay.",
    )
