"""The MCP server; the section is here because the server is above the settings."""

from pydantic import BaseModel, ConfigDict, Field


class McpSettings(BaseModel):
    """Section ``mcp``: how assistants are served."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    host: str = Field("127.0.0.1", description="Address that the MCP server listens on, with HTTP.")
    port: int = Field(8421, ge=0, le=65535, description="Its port; 0 takes any free one.")
    allowed_hosts: tuple[str, ...] = Field(
        (), description="Further host names that requests may be for, besides loopback's."
    )
    allow_actions: bool = Field(
        False, description="Whether assistants may acknowledge and silence alerts, run checks and plan recovery."
    )
