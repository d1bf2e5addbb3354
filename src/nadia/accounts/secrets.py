"""Secrets that are handed out once: random, with only a digest kept."""

import hashlib
import secrets
from typing import Final

TOKEN_PREFIX: Final = "nadia_"  # noqa: S105 - the prefix, not a token
"""Marks API tokens, so that secret scanners and people recognise them."""

_BYTES: Final = 32
_CODE_ALPHABET: Final = "abcdefghjkmnpqrstuvwxyz23456789"  # without what is easily mistaken
_CODE_LENGTH: Final = 16


def new_secret(prefix: str = "") -> str:
    """Return a fresh secret of 256 random bits, safe in URLs and headers."""
    return prefix + secrets.token_urlsafe(_BYTES)


def new_recovery_code() -> str:
    """Return a code for a slip of paper, 79 random bits: ``abcd-efgh-jkmn-pqrs``."""
    letters = "".join(secrets.choice(_CODE_ALPHABET) for _ in range(_CODE_LENGTH))
    return "-".join(letters[start : start + 4] for start in range(0, _CODE_LENGTH, 4))


def digest(secret: str) -> bytes:
    """Return what is stored of a secret.

    A plain hash is enough: these secrets are random and long, there is nothing to guess.
    """
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()


def digest_of_code(code: str) -> bytes:
    """Return what is stored of a recovery code, however it was typed."""
    return digest("".join(letter for letter in code.lower() if letter.isalnum()))
