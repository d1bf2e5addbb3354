"""The MCP server; the section is here because the server is above the settings."""

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from nadia.errors import ConfigurationError
from nadia.settings.web import answered_names, is_loopback


class McpSettings(BaseModel):
    """Section ``mcp``: how assistants are served."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    host: str = Field("127.0.0.1", description="Address that the MCP server listens on, with HTTP.")
    port: int = Field(8421, ge=0, le=65535, description="Its port; 0 takes any free one.")
    allowed_hosts: tuple[str, ...] = Field(
        (), description="Further host names that requests may be for, besides loopback's."
    )
    allow_actions: bool = Field(
        False, description="Whether assistants may acknowledge and silence alerts, run checks and start recovery."
    )

    @property
    def host_names(self) -> frozenset[str]:
        """Every host name that a request may be for, lower case, without port."""
        return answered_names(self.host, self.allowed_hosts)

    def require_startable(self, *, secret_key: SecretStr | None) -> None:
        """Check what must hold before the server listens, as the web's does.

        Raises
        ------
        ConfigurationError
            If others than this machine could reach it and no secret key is set.
        """
        if not is_loopback(self.host) and secret_key is None:
            raise ConfigurationError(
                f"listening on {self.host} needs NADIA_WEB_SECRET_KEY",
                hint="set it (openssl rand -base64 48), or let NADIA_MCP_HOST be 127.0.0.1",
            )
