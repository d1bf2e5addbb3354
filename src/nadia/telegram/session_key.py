"""The key that Telegram sessions are encrypted with: an age identity, outside the database and outside the home."""

import os
import secrets
from contextlib import suppress
from pathlib import Path
from typing import Final

import pyrage
from pydantic import SecretStr

from nadia.errors import ConfigurationError

_MARK: Final = "AGE-SECRET-KEY-1"
_NO_MATCH: Final = "No matching keys found"
"""What age says of a text that was encrypted for somebody else."""

_LONGEST_FILE: Final = 4096
"""Bytes; `age-keygen` writes about 190."""


class SessionKeyError(ConfigurationError):
    """The key is missing, unsafe or not the one that a session was encrypted with."""


class SessionKey:
    """Encrypts and decrypts session material; shows itself nowhere.

    Parameters
    ----------
    identity : SecretStr
        An age X25519 identity, ``AGE-SECRET-KEY-1…``; lines with ``#`` as `age-keygen` writes them are passed over.
    origin : str
        Where it came from, for messages.

    Raises
    ------
    SessionKeyError
        If it is none.
    """

    def __init__(self, identity: SecretStr, *, origin: str) -> None:
        lines = [line.strip() for line in identity.get_secret_value().splitlines()]
        found = [line for line in lines if line and not line.startswith("#")]
        try:
            (line,) = found
            self._identity = pyrage.x25519.Identity.from_str(line)
        except (ValueError, pyrage.IdentityError):
            # Not "from exc": what could not be read may be most of a key.
            raise SessionKeyError(
                f"{origin} does not hold an age identity",
                hint=f"it must hold one line {_MARK}…, as `age-keygen` makes it",
            ) from None
        self._origin = origin

    def encrypt(self, plain: bytes) -> bytes:
        """Return the text so that only this key opens it."""
        return bytes(pyrage.encrypt(plain, [self._identity.to_public()]))

    def decrypt(self, ciphertext: bytes) -> bytes:
        """Return what was encrypted.

        Raises
        ------
        SessionKeyError
            If it was encrypted with another key, or is damaged.
        """
        try:
            return bytes(pyrage.decrypt(ciphertext, [self._identity]))
        except pyrage.DecryptError as exc:
            problem = "was encrypted with another key than" if _NO_MATCH in str(exc) else "is damaged; not the fault of"
            raise SessionKeyError(
                f"the stored session {problem} {self._origin}",
                hint="bring the right key back (NADIA_TELEGRAM_SESSION_KEY_FILE names its file), or log in again",
            ) from exc


class SessionKeySource:
    """Where this process takes the key from: the settings, or a file of its own.

    Parameters
    ----------
    given : SecretStr or None
        The one that the settings hold.
    path : Path
        Where it is otherwise.
    """

    def __init__(self, *, given: SecretStr | None, path: Path) -> None:
        self._given = given
        self.path = path

    def read(self) -> SessionKey:
        """Return the key.

        Raises
        ------
        SessionKeyError
            If it is missing, is no key, or others may read its file.
        """
        if self._given is not None:
            return SessionKey(self._given, origin="NADIA_TELEGRAM_SESSION_KEY")
        try:
            with self.path.open("rb") as file:
                mode = os.fstat(file.fileno()).st_mode
                content = file.read(_LONGEST_FILE)
        except FileNotFoundError as exc:
            raise SessionKeyError(
                f"the key of the Telegram sessions is missing: there is no {self.path}",
                hint="copy it from where the accounts were logged in, or name it with NADIA_TELEGRAM_SESSION_KEY_FILE; "
                "if it is lost, log the accounts in again",
            ) from exc
        except OSError as exc:
            raise SessionKeyError(
                f"the key of the Telegram sessions cannot be read: {self.path}: {exc.strerror}",
                hint="run NADIA as the user whose file it is",
            ) from exc
        if mode & 0o077:
            raise SessionKeyError(
                f"others may read the key of the Telegram sessions, {self.path}", hint=f"chmod 600 {self.path}"
            )
        return SessionKey(SecretStr(content.decode("ascii", "replace")), origin=str(self.path))

    @property
    def is_missing(self) -> bool:
        """Whether there is none yet, so that the first log-in makes it."""
        return self._given is None and not self.path.exists()

    def make(self) -> SessionKey:
        """Make the key where there is none, and return the one that is there then.

        Raises
        ------
        SessionKeyError
            If it cannot be written, or what is there cannot be used.
        """
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._write_once(str(pyrage.x25519.Identity.generate()))
        except OSError as exc:
            raise SessionKeyError(
                f"the key of the Telegram sessions cannot be kept in {self.path}: {exc.strerror}",
                hint="make its folder writable, or set NADIA_TELEGRAM_SESSION_KEY",
            ) from exc
        return self.read()

    def _write_once(self, identity: str) -> None:
        # A link fails where the name is taken: of two log-ins at once both use the key of the first.
        draft = self.path.with_name(f".{self.path.name}.{secrets.token_hex(8)}")
        fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(fd, "w", encoding="ascii") as file:
                file.write(
                    f"# Opens NADIA's Telegram sessions. Keep a copy apart from backups of its database.\n{identity}\n"
                )
                file.flush()
                os.fsync(file.fileno())
            with suppress(FileExistsError):
                os.link(draft, self.path)
        finally:
            draft.unlink()
