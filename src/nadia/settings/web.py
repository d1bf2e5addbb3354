"""Where the web listens and how sessions live."""

import ipaddress
from collections.abc import Collection
from typing import Final, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from nadia.errors import ConfigurationError

_LOOPBACK_NAMES: Final = ("localhost", "127.0.0.1", "[::1]")
_SHORTEST_SECRET: Final = 32


class WebSettings(BaseModel):
    """The web server's settings."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True, hide_input_in_errors=True)

    host: str = Field("127.0.0.1", description="Address to listen on; elsewhere than loopback a secret key is needed.")
    port: int = Field(8420, ge=0, le=65535, description="Port to listen on; 0 takes any free one.")
    public_url: str | None = Field(
        None, description="Address that people open, as https://nadia.example.org; links are made with it."
    )
    allowed_hosts: tuple[str, ...] = Field(
        (), description="Further host names that requests may be for, besides loopback's and the public URL's."
    )
    secret_key: SecretStr | None = Field(
        None,
        description="Protects sessions and second factors, 32 characters or more; made once per home if unset.",
    )
    secure_cookies: bool | None = Field(
        None, description="Send cookies over HTTPS only; if unset: unless listening on loopback without an HTTPS URL."
    )
    trusted_proxies: tuple[str, ...] = Field(
        (), description="Addresses of reverse proxies whose X-Forwarded-For is believed."
    )
    session_idle_seconds: int = Field(
        43_200, ge=300, le=604_800, description="A session unused for this long ends, seconds."
    )
    session_lifetime_seconds: int = Field(
        604_800, ge=300, le=7_776_000, description="A session ends after this long in any case, seconds."
    )

    @field_validator("public_url")
    @classmethod
    def _public_url_is_an_origin(cls, value: str | None) -> str | None:
        if value is None:
            return None
        parts = urlsplit(value)
        if "@" in parts.netloc:
            raise ValueError("must not hold a user or password: it stands in every link")
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.path.strip("/") or parts.query:
            raise ValueError("must be a scheme and a host, as https://nadia.example.org")
        return f"{parts.scheme}://{parts.netloc}"

    @field_validator("secret_key")
    @classmethod
    def _secret_key_is_long(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and len(value.get_secret_value()) < _SHORTEST_SECRET:
            raise ValueError(f"must have {_SHORTEST_SECRET} characters or more; make one with: openssl rand -base64 48")
        return value

    @model_validator(mode="after")
    def _idle_within_lifetime(self) -> Self:
        if self.session_idle_seconds > self.session_lifetime_seconds:
            raise ValueError("session_idle_seconds must not exceed session_lifetime_seconds")
        return self

    @property
    def listens_on_loopback(self) -> bool:
        """Whether only this machine can reach the server."""
        return is_loopback(self.host)

    @property
    def cookies_are_secure(self) -> bool:
        """Whether cookies are sent over HTTPS only."""
        if self.secure_cookies is not None:
            return self.secure_cookies
        return not self.listens_on_loopback or (self.public_url or "").startswith("https://")

    @property
    def host_names(self) -> frozenset[str]:
        """Every host name that a request may be for, lower case, without port."""
        names = answered_names(self.host, self.allowed_hosts)
        return names | {bare_host(urlsplit(self.public_url).netloc)} if self.public_url else names

    def require_startable(self) -> None:
        """Check what must hold before the server listens.

        Raises
        ------
        ConfigurationError
            If others than this machine could reach it and no secret key is set.
        """
        if not self.listens_on_loopback and self.secret_key is None:
            raise ConfigurationError(
                f"listening on {self.host} needs NADIA_WEB_SECRET_KEY",
                hint="set it (openssl rand -base64 48), or listen on 127.0.0.1",
            )


def is_loopback(host: str) -> bool:
    """Say whether only this machine can reach what listens on an address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def answered_names(host: str, allowed_hosts: Collection[str]) -> frozenset[str]:
    """Return the host names that requests may be for, lower case, without port, given where a server listens."""
    names = {*_LOOPBACK_NAMES, *(name.lower() for name in allowed_hosts)}
    if host not in ("0.0.0.0", "::", ""):  # noqa: S104 - compared, not listened on
        names.add(f"[{host}]" if ":" in host else host.lower())
    return frozenset(names)


def base_url(settings: WebSettings, *, port: int | None = None) -> str:
    """Return the address that people open.

    Parameters
    ----------
    settings : WebSettings
        Where the server listens.
    port : int, optional
        The one that it really has, where the settings let the system choose.
    """
    if settings.public_url:
        return settings.public_url
    host = "localhost" if settings.host in ("0.0.0.0", "::") else settings.host  # noqa: S104 - compared only
    authority = f"[{host}]" if ":" in host else host
    return f"http://{authority}:{port or settings.port}"


def bare_host(authority: str) -> str:
    """Return the host of ``host[:port]`` in lower case, brackets of IPv6 kept."""
    authority = authority.rpartition("@")[2].lower()
    if authority.startswith("["):
        return authority.partition("]")[0] + "]"
    return authority.partition(":")[0].rstrip(".")
