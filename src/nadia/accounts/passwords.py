"""Passwords: what is accepted, and hashing them without holding up anything else."""

import asyncio
import unicodedata
from typing import Final

from argon2 import PasswordHasher as Argon2
from argon2 import Type
from argon2.exceptions import InvalidHashError, VerificationError

from nadia.accounts.secrets import new_secret
from nadia.errors import InvalidInputError

SHORTEST: Final = 12
LONGEST: Final = 256
_LEAST_DIFFERENT: Final = 5

# OWASP Password Storage Cheat Sheet, Argon2id: 19 MiB, two passes, one lane.
_MEMORY_KIB: Final = 19_456
_PASSES: Final = 2
_LANES: Final = 1
# Each hash holds its memory for tens of milliseconds; two at once keep the process small under a flood of guesses.
_AT_ONCE: Final = 2


def checked_password(password: str, *, name: str, field: str = "password") -> str:
    """Return the password in the form that is hashed.

    Parameters
    ----------
    password : str
        As typed.
    name : str
        The account's name, which must not be part of it.
    field : str
        The field that an error names.

    Raises
    ------
    InvalidInputError
        If it would be guessed too easily.
    """
    normal = _normal(password)
    if len(normal) < SHORTEST:
        raise InvalidInputError(
            f"must have {SHORTEST} characters or more", field=field, hint="a few unrelated words are easy to remember"
        )
    if len(normal) > LONGEST:
        raise InvalidInputError(f"must have {LONGEST} characters or fewer", field=field)
    if len(set(normal)) < _LEAST_DIFFERENT:
        raise InvalidInputError(f"must have {_LEAST_DIFFERENT} different characters or more", field=field)
    if name.lower() in normal.lower():
        raise InvalidInputError("must not contain the account's name", field=field)
    return normal


class PasswordHasher:
    """Argon2id in threads, a bounded number at once.

    Parameters
    ----------
    at_once : int
        Hashes computed at the same time.
    """

    def __init__(self, *, at_once: int = _AT_ONCE) -> None:
        self._argon2 = Argon2(time_cost=_PASSES, memory_cost=_MEMORY_KIB, parallelism=_LANES, type=Type.ID)
        self._slots = asyncio.Semaphore(at_once)
        self._decoy: str | None = None

    async def hash(self, password: str) -> str:
        """Return the password's hash, with its parameters and salt."""
        async with self._slots:
            return await asyncio.to_thread(self._argon2.hash, _normal(password))

    async def verify(self, hashed: str | None, password: str) -> bool:
        """Say whether the password is right; takes as long when there is no hash to compare with."""
        if self._decoy is None:
            self._decoy = await self.hash(new_secret())
        async with self._slots:
            matches = await asyncio.to_thread(self._compare, hashed or self._decoy, _normal(password)[: LONGEST + 1])
        return matches and hashed is not None

    def _compare(self, hashed: str, password: str) -> bool:
        try:
            return self._argon2.verify(hashed, password)
        except (VerificationError, InvalidHashError):
            return False


def _normal(password: str) -> str:
    """Return the password in one Unicode form: keyboards differ in how they write the same letter (NIST SP 800-63B)."""
    return unicodedata.normalize("NFKC", password)
