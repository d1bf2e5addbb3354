"""How to reach Redis."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr


class RedisSettings(BaseModel):
    """Where Redis is; without a URL the embedded server is started."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    url: SecretStr | None = Field(
        None,
        description="Connection URL: redis://, rediss:// or unix://; of any node of a cluster, or of a sentinel.",
    )
    mode: Literal["single", "cluster", "sentinel"] = Field("single", description="What the URL leads to.")
    sentinel_service: str = Field("nadia", description="Name of the monitored primary, with Sentinel.")
    timeout_seconds: float = Field(
        2.0, ge=1.5, le=60, description="Longest that one command may take, seconds; readers of streams wait for one."
    )
