"""Settings of the Telegram side: which network, which account, how long to wait for an answer."""

import re
from pathlib import Path
from typing import Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from nadia.errors import ConfigurationError
from nadia.telegram.session_material import ApiCredentials, DataCentre

ACCOUNT_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
"""What `telegram_accounts.id` accepts."""

NAME_RULE: Final = "must begin with a lower-case letter or digit and have up to 63 of a-z 0-9 - _"

_API_HASH: Final = re.compile(r"[0-9a-f]{32}")
_PEM: Final = "-----BEGIN"


class TelegramSettings(BaseModel):
    """Section ``telegram``."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True, hide_input_in_errors=True)

    gateway: Literal["sandbox", "telethon"] = Field(
        "sandbox",
        description="Network to connect to: sandbox, a Telegram of this machine's own, or telethon, the real one.",
    )
    account: str = Field(
        "sandbox",
        description="Name of the sandbox's account, and of the one that `nadia telegram` means unless told otherwise; "
        "lower-case letters, digits, - and _.",
    )
    api_id: int | None = Field(None, ge=1, description="Number of your application at https://my.telegram.org.")
    api_hash: SecretStr | None = Field(None, description="The secret that belongs to the api id, 32 hex digits.")
    session_key: SecretStr | None = Field(
        None,
        description="Key that sessions are encrypted with, AGE-SECRET-KEY-1…; if unset: "
        "~/.config/nadia/<installation>/session.key, made at the first log-in.",
    )
    dc_id: int = Field(2, ge=1, le=99_999, description="Number of the data centre at dc_address.")
    dc_address: str = Field(
        "", description="Address of a test data centre or a server of your own; empty: Telegram's own."
    )
    dc_port: int = Field(443, ge=1, le=65535, description="Port of the data centre at dc_address.")
    dc_public_key: str = Field(
        "",
        description="RSA public key of the data centre at dc_address: PEM, or the path of a PEM file. "
        "Empty: one of Telegram's own.",
    )
    address: str = Field(
        "",
        description="Where the sandbox listens: the path of a unix socket, or host:port on loopback. "
        "Empty: `nadia up` starts one under its home.",
    )
    request_timeout: float = Field(
        10.0, gt=0, le=300, description="Longest wait for an answer from Telegram, in seconds."
    )
    lease_seconds: float = Field(
        30.0, ge=2, le=600, description="How long a process owns the account without renewing, in seconds."
    )
    lease_grace_seconds: float = Field(
        10.0,
        ge=0,
        le=600,
        description="How much longer a successor waits for the old owner to have stopped, in seconds.",
    )

    @field_validator("account")
    @classmethod
    def _account_is_a_plain_name(cls, value: str) -> str:
        if not ACCOUNT_NAME.fullmatch(value):
            raise ValueError(NAME_RULE)
        return value

    @field_validator("api_hash")
    @classmethod
    def _api_hash_looks_like_one(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not _API_HASH.fullmatch(value.get_secret_value()):
            raise ValueError("must be the 32 hex digits that https://my.telegram.org shows as api_hash")
        return value

    @field_validator("dc_public_key")
    @classmethod
    def _public_key_is_there(cls, value: str) -> str:
        if not value or value.startswith(_PEM):
            return value
        try:
            text = Path(value).expanduser().read_text("ascii")
        except (OSError, ValueError, RuntimeError) as exc:
            raise ValueError("must be a PEM text or the path of a PEM file; there is no such file to read") from exc
        if not text.startswith(_PEM):
            raise ValueError(f"must be a PEM text or the path of a PEM file; the file does not begin with {_PEM}")
        return text

    @model_validator(mode="after")
    def _the_real_network_wants_credentials(self) -> Self:
        if self.gateway == "telethon":
            self.api_credentials()
        return self

    @property
    def runs_sandbox(self) -> bool:
        """Whether this installation's sandbox is its own, rather than another process's."""
        return self.gateway == "sandbox" and not self.address

    def api_credentials(self) -> ApiCredentials:
        """Return which application asks.

        Raises
        ------
        ConfigurationError
            If it is not set.
        """
        missing = [name for name, value in (("API_ID", self.api_id), ("API_HASH", self.api_hash)) if value is None]
        if self.api_id is None or self.api_hash is None:
            raise ConfigurationError(
                f"Telegram wants to know which application asks: {' and '.join(missing)} must be set",
                hint="make an application at https://my.telegram.org (API development tools) and take them from there",
            )
        return ApiCredentials(api_id=self.api_id, api_hash=self.api_hash)

    @property
    def data_centre(self) -> DataCentre | None:
        """The data centre to talk to; None for Telegram's own."""
        if not self.dc_address:
            return None
        return DataCentre(
            dc_id=self.dc_id, host=self.dc_address, port=self.dc_port, public_key=self.dc_public_key or None
        )
