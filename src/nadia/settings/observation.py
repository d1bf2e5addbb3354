"""Where a process is scraped; the section is here because `app` alone reads it."""

from pydantic import BaseModel, ConfigDict, Field


class MetricsSettings(BaseModel):
    """Section ``metrics``: how roles without pages are scraped."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    port: int = Field(
        0,
        ge=0,
        le=65535,
        description="Port at which a bot, worker or daemon answers Prometheus, each at its own; 0 for none.",
    )
    host: str = Field(
        "127.0.0.1", description="Address that it answers on. There is no log-in: whoever reaches it reads the figures."
    )
