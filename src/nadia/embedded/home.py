"""The folder that everything of one installation lives in: who owns it now, and its secrets."""

import fcntl
import os
import re
import secrets
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from nadia.embedded.errors import HomeError, HomeInUseError

LOCK_TRIES = 5
"""Somebody asking for the owner's pid holds the lock for an instant; an owner holds it longer than these."""

_LOCK_RETRY_SECONDS = 0.02

SECRET_BYTES = 32
"""Entropy of a created secret; 256 bits, as the SCRAM hash has."""


class Home:
    """A data folder of one installation.

    Parameters
    ----------
    path : Path
        The folder; created with mode 0700 when first used.
    """

    def __init__(self, *, path: Path) -> None:
        self.path = Path(os.path.abspath(path.expanduser()))  # noqa: PTH100 - keep symlinks as the person wrote them
        self._lock_fd: int | None = None
        self._lock_depth = 0

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> "Home":
        """Find the folder from ``NADIA_HOME``, else the platform's place for a person's data.

        Parameters
        ----------
        environ : mapping of str to str, optional
            The process environment when not given.
        """
        env = os.environ if environ is None else environ
        if chosen := env.get("NADIA_HOME"):
            return cls(path=Path(chosen))
        user_home = Path(env["HOME"]) if env.get("HOME") else Path.home()
        if sys.platform == "darwin":
            return cls(path=user_home / "Library" / "Application Support" / "nadia")
        # The XDG base directory specification says to ignore a relative value.
        data = Path(env.get("XDG_DATA_HOME", ""))
        return cls(path=(data if data.is_absolute() else user_home / ".local" / "share") / "nadia")

    def ensure(self) -> Path:
        """Create the folder if it is not there, and check that it is safe to use.

        Returns
        -------
        Path
            The folder.

        Raises
        ------
        HomeError
            It cannot be made, is no folder, is another user's, or others may write to it.
        """
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            status = self.path.stat()
        except FileExistsError as error:
            raise HomeError(
                f"the data folder {self.path} cannot be used: it is a file",
                hint="set NADIA_HOME to a folder, or remove the file",
            ) from error
        except OSError as error:
            raise HomeError(
                f"the data folder {self.path} cannot be used: {error.strerror}",
                hint="set NADIA_HOME to a folder that you may write to",
            ) from error
        if status.st_mode & 0o022:
            raise HomeError(
                f"the data folder {self.path} can be written to by other users",
                hint=f"chmod 700 {self.path}",
            )
        self._ensure_secrets_are_ours()
        return self.path

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Own the folder; within one `Home` object the lock may be taken again.

        The kernel drops the lock with its last holder, so a crash leaves nothing to clean up: the file and the pid
        in it stay, and mean nothing without the lock.

        Raises
        ------
        HomeInUseError
            Another process owns it.
        """
        if self._lock_depth == 0:
            self._lock_fd = self._take_lock()
        self._lock_depth += 1
        try:
            yield
        finally:
            self._lock_depth -= 1
            if self._lock_depth == 0 and self._lock_fd is not None:
                os.close(self._lock_fd)
                self._lock_fd = None

    def owner_pid(self) -> int | None:
        """Process id of the NADIA that owns the folder now, or None."""
        try:
            fd = os.open(self._lock_path, os.O_RDONLY | os.O_CLOEXEC)
        except (FileNotFoundError, NotADirectoryError):
            return None
        try:
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return _read_pid(fd)
        else:
            return None
        finally:
            os.close(fd)

    def secret(self, name: str) -> str:
        """Read the secret of that name; the first call ever creates it.

        Parameters
        ----------
        name : str
            Lower-case letters, digits and dashes; the name of its file in ``secrets/``.

        Returns
        -------
        str
            43 URL-safe characters when created here.

        Raises
        ------
        HomeError
            The secrets are another user's, or the file is empty.
        """
        if not re.fullmatch(r"[a-z0-9-]+", name):
            raise ValueError(f"not a secret's name: {name!r}")
        folder = self.ensure() / "secrets"
        folder.mkdir(mode=0o700, exist_ok=True)
        path = folder / name
        if not path.exists():
            _create_once(path, secrets.token_urlsafe(SECRET_BYTES))
        value = path.read_text().strip()
        if not value:
            raise HomeError(f"the secret {path} is empty", hint="restore it, or remove the file to have a new one made")
        return value

    def installation_id(self) -> str:
        """Read the random name that tells this home from every other; the first call ever creates it.

        Returns
        -------
        str
            32 hexadecimal digits when created here.

        Raises
        ------
        HomeError
            The home cannot be used, or the file is empty.
        """
        path = self.ensure() / "installation-id"
        if not path.exists():
            _create_once(path, secrets.token_hex(16))
        value = path.read_text().strip()
        if not value:
            raise HomeError(f"{path} is empty", hint="remove the file to have a new one made")
        return value

    @property
    def _lock_path(self) -> Path:
        return self.path / "nadia.pid"

    def _take_lock(self) -> int:
        self.ensure()
        fd = os.open(self._lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        if not _lock_within_tries(fd):
            pid = _read_pid(fd)
            os.close(fd)
            owner = f"process {pid}" if pid else "another process"
            raise HomeInUseError(
                f"{owner} already runs NADIA on {self.path}",
                pid=pid,
                hint=f"stop it ({f'kill {pid}' if pid else 'Ctrl-C in its terminal'}), "
                "or set NADIA_HOME to another folder",
            )
        os.ftruncate(fd, 0)
        os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
        return fd

    def _ensure_secrets_are_ours(self) -> None:
        with suppress(FileNotFoundError):
            owner = (self.path / "secrets").stat().st_uid
            if owner != os.geteuid():
                raise HomeError(
                    f"the data folder {self.path} was set up by user {owner}, and this is user {os.geteuid()}",
                    hint="run NADIA as that user, or set NADIA_HOME to another folder",
                )


def _lock_within_tries(fd: int) -> bool:
    for turn in range(LOCK_TRIES):
        if turn:
            time.sleep(_LOCK_RETRY_SECONDS)
        with suppress(BlockingIOError):
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
    return False


def _read_pid(fd: int) -> int | None:
    text = os.pread(fd, 32, 0).strip()
    return int(text) if text.isdigit() else None


def _create_once(path: Path, value: str) -> None:
    # A link, unlike a rename, fails when the name is taken: of two processes at once, both read the first one's value.
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(fd, "w") as file:
            file.write(f"{value}\n")
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):
            os.link(draft, path)
    finally:
        draft.unlink()
