"""Settings of the Telegram side: which network, which account, how long to wait for an answer."""

import re
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

_ACCOUNT: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
"""What `telegram_accounts.id` accepts."""


class TelegramSettings(BaseModel):
    """Section ``telegram``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    gateway: Literal["sandbox"] = Field(
        "sandbox", description="Network to connect to: sandbox, a Telegram of this machine's own."
    )
    account: str = Field(
        "sandbox",
        description="Name of the account that customers write to; lower-case letters, digits, - and _.",
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
        if not _ACCOUNT.fullmatch(value):
            raise ValueError("must begin with a lower-case letter or digit and have up to 63 of a-z 0-9 - _")
        return value
