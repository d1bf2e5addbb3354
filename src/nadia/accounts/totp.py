"""One-time codes of an authenticator app (RFC 6238), and their secret at rest."""

import base64
import hmac
from datetime import datetime
from typing import Final

import pyotp
from cryptography.fernet import Fernet, InvalidToken
from pydantic import SecretStr

from nadia.errors import ConfigurationError

STEP_SECONDS: Final = 30
# A clock may be off by one step, as RFC 6238 section 5.2 recommends.
_STEPS_AROUND: Final = 1
_ISSUER: Final = "NADIA"


def new_totp_secret() -> str:
    """Return a fresh secret, base32 as authenticator apps take it."""
    return pyotp.random_base32()


def enrolment_uri(secret: str, *, name: str) -> str:
    """Return the ``otpauth://`` address that an authenticator app opens."""
    return pyotp.TOTP(secret, interval=STEP_SECONDS).provisioning_uri(name=name, issuer_name=_ISSUER)


def matching_step(secret: str, code: str, *, now: datetime) -> int | None:
    """Return the time step that a code belongs to, None if to none around now."""
    totp = pyotp.TOTP(secret, interval=STEP_SECONDS)
    digits = "".join(code.split())
    current = int(now.timestamp()) // STEP_SECONDS
    found = None
    for step in range(current - _STEPS_AROUND, current + _STEPS_AROUND + 1):
        # All steps are compared, so that time does not tell which was near.
        if hmac.compare_digest(totp.generate_otp(step).encode(), digits.encode(errors="replace")):
            found = step
    return found


class SecretBox:
    """Keeps TOTP secrets encrypted at rest.

    Parameters
    ----------
    secret_key : SecretStr
        The installation's secret key, which is not in the database.
    """

    def __init__(self, secret_key: SecretStr) -> None:
        key = hmac.digest(secret_key.get_secret_value().encode(), b"nadia totp v1", "sha256")
        self._fernet = Fernet(base64.urlsafe_b64encode(key))

    def seal(self, secret: str) -> bytes:
        """Encrypt a secret."""
        return self._fernet.encrypt(secret.encode())

    def open(self, sealed: bytes) -> str:
        """Decrypt a secret.

        Raises
        ------
        ConfigurationError
            If it was encrypted under another key.
        """
        try:
            return self._fernet.decrypt(bytes(sealed)).decode()
        except InvalidToken as exc:
            raise ConfigurationError(
                "a second factor cannot be read: the secret key is not the one it was stored under",
                hint="restore NADIA_WEB_SECRET_KEY, or let an admin remove the second factor",
            ) from exc
