"""How to reach PostgreSQL."""

from pydantic import BaseModel, ConfigDict, Field, SecretStr


class PostgresSettings(BaseModel):
    """Where PostgreSQL is; without a URL the embedded server is started."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    url: SecretStr | None = Field(
        None, description="Connection URL of the application's role, as postgresql://user:password@host/database."
    )
    owner_url: SecretStr | None = Field(
        None,
        description="Connection URL of the role that owns the schema, for migrations; the URL if unset.",
    )
    pool_size: int = Field(10, ge=2, le=200, description="Most connections that one process holds.")
    statement_timeout_seconds: float = Field(
        15.0, gt=0, le=300, description="Longest that one statement may run, seconds."
    )
