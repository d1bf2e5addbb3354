"""What it takes to be an account at Telegram: who asks, where, and with which key."""

from dataclasses import dataclass, field

from pydantic import SecretStr


@dataclass(frozen=True, slots=True)
class ApiCredentials:
    """Which application asks, as registered at my.telegram.org."""

    api_id: int
    api_hash: SecretStr


@dataclass(frozen=True, slots=True)
class DataCentre:
    """A server of Telegram's, or of one's own."""

    dc_id: int
    host: str
    port: int
    public_key: str | None = None
    """Its RSA key, PEM; None where it is one of those that Telethon knows."""


@dataclass(frozen=True, slots=True)
class SessionMaterial:
    """An account that is logged in. Whoever holds the key is the account."""

    dc_id: int
    host: str
    port: int
    auth_key: bytes = field(repr=False)
    """256 bytes, agreed upon with the data centre (core.telegram.org/mtproto/auth_key)."""
    user_id: int
    is_bot: bool
