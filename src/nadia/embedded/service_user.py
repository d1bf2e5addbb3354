"""The user that the servers run as, and what that user can reach."""

import os
import pwd
import stat
from dataclasses import dataclass
from pathlib import Path

from nadia.embedded.errors import HomeError

UNPRIVILEGED = "nobody"
"""Whom the servers run as when NADIA is run by root: PostgreSQL refuses root."""


@dataclass(frozen=True)
class ServiceUser:
    """A user by name and numeric ids."""

    name: str
    uid: int
    gid: int

    @classmethod
    def resolve(cls, name: str | None = None) -> "ServiceUser":
        """Choose the user: ourselves, or as root the unprivileged one.

        Parameters
        ----------
        name : str, optional
            Whom to use as root instead of ``nobody``; an ordinary user cannot become another one, and it is ignored.

        Raises
        ------
        HomeError
            As root: the user does not exist, or is root.
        """
        if os.geteuid() != 0:
            return cls(name=str(os.geteuid()), uid=os.geteuid(), gid=os.getegid())
        try:
            entry = pwd.getpwnam(name or UNPRIVILEGED)
        except KeyError:
            raise HomeError(
                f"the servers cannot run as {name or UNPRIVILEGED!r}: no such user",
                hint="name an existing unprivileged user",
            ) from None
        if entry.pw_uid == 0:
            raise HomeError("PostgreSQL does not run as root", hint="name an unprivileged user for the servers")
        return cls(name=entry.pw_name, uid=entry.pw_uid, gid=entry.pw_gid)

    @property
    def is_us(self) -> bool:
        """Whether this process is that user already."""
        return self.uid == os.geteuid()

    def may_enter(self, folder: Path) -> bool:
        """Whether the user can get to what is in `folder`, judged by mode bits along its real path."""
        real = folder.resolve()
        return all(self._has_bits(part, 0o1) for part in (real, *real.parents))

    def may_run(self, program: Path) -> bool:
        """Whether the user can execute `program`, judged by mode bits along its real path."""
        if self.is_us:
            return os.access(program, os.X_OK)
        real = program.resolve()
        return self.may_enter(real.parent) and self._has_bits(real, 0o5)

    def make_folder(self, folder: Path) -> Path:
        """Make sure of a folder that only this user can enter.

        Raises
        ------
        HomeError
            The name is taken by something that is not a folder of this user's or ours.
        """
        folder.mkdir(mode=0o700, exist_ok=True)
        status = folder.lstat()
        # Ours counts as theirs: we may have been killed between making it and giving it away.
        if not stat.S_ISDIR(status.st_mode) or status.st_uid not in {self.uid, os.geteuid()}:
            raise HomeError(
                f"{folder} is not a folder of the servers' user {self.name}",
                hint=f"chown -R {self.name} {folder}, or remove it if it is not NADIA's",
            )
        if status.st_uid != self.uid:
            os.chown(folder, self.uid, self.gid, follow_symlinks=False)
        if stat.S_IMODE(status.st_mode) != 0o700:
            folder.chmod(0o700)
        return folder

    def write_private(self, path: Path, text: str) -> None:
        """Write a file that only this user can read, whole or not at all."""
        draft = path.with_name(f"{path.name}.{os.getpid()}.new")
        draft.unlink(missing_ok=True)
        fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "w") as file:
            if not self.is_us:
                os.fchown(fd, self.uid, self.gid)
            file.write(text)
            file.flush()
            os.fsync(fd)
        draft.replace(path)

    def _has_bits(self, path: Path, bits: int) -> bool:
        status = path.stat()
        if status.st_uid == self.uid:
            bits <<= 6
        elif status.st_gid == self.gid:
            bits <<= 3
        return status.st_mode & bits == bits
