"""Where the servers' files are: in the home, or as root somewhere that the servers' user can reach."""

import hashlib
import os
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import structlog

from nadia.embedded.errors import HomeError
from nadia.embedded.service_user import ServiceUser

log = structlog.get_logger(__name__)

SHARED_FOLDER = Path("/var/lib/nadia")
"""Used by root only, for data and copies of programs that an unprivileged user must reach."""

SOCKET_PATH_LIMIT = 100
"""Bytes; the kernel's ``sun_path`` holds 108 on Linux, 104 on macOS, with the closing zero."""

LONGEST_SOCKET_NAME = ".s.PGSQL.5432"

LOCATION_NOTE = "servers.location"


@dataclass(frozen=True)
class Place:
    """The servers' folder, and the user that they run as.

    Attributes
    ----------
    path : Path
        The folder.
    home : Path
        Real path of the home that it belongs to.
    user : ServiceUser
        Owner of the folders in it.
    """

    path: Path
    home: Path
    user: ServiceUser

    @classmethod
    def locate(cls, *, home: Path, user: ServiceUser, shared: Path = SHARED_FOLDER) -> "Place":
        """Decide where the servers of a home live; reads, creates nothing.

        Parameters
        ----------
        home : Path
            The home; exists.
        user : ServiceUser
            Whom the servers run as.
        shared : Path
            Parent of the folders that root uses outside homes.

        Raises
        ------
        HomeError
            The home is a copy of one that still exists, so that both would use the same server files; or it holds
            files that the user can no longer reach.
        """
        real = home.resolve()
        note = real / LOCATION_NOTE
        if note.exists():
            path = Path(note.read_text().strip())
            _refuse_a_copied_home(path, real)
        elif user.is_us or user.may_enter(real):
            path = real / "servers"
        elif (real / "servers").exists():
            raise HomeError(
                f"the servers' files are in {real}, which their user {user.name} can no longer enter",
                hint=f"chmod o+x {real} and the folders above it",
            )
        else:
            path = shared / hashlib.sha256(os.fsencode(real)).hexdigest()[:12]
        return cls(path=path, home=real, user=user)

    def ensure(self) -> None:
        """Create the folder, and when it is outside the home, leave a note there that says where.

        Files there of a home that was since removed are not taken over: whoever removed it wanted to start over.

        Raises
        ------
        HomeError
            The folder cannot be created.
        """
        outside = not self.path.is_relative_to(self.home)
        note = self.home / LOCATION_NOTE
        try:
            if outside and self.path.exists() and not note.exists():
                self._set_aside()
            self.path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
            self.path.mkdir(exist_ok=True)
            # Another user passes through to folders of its own; only we list or change what is in it.
            self.path.chmod(0o700 if self.user.is_us else 0o711)
        except OSError as error:
            raise HomeError(
                f"the servers' folder {self.path} cannot be made: {error.strerror}",
                hint=f"set NADIA_HOME to a folder that user {self.user.name} can enter",
            ) from error
        if outside:
            (self.path / "home").write_text(f"{self.home}\n")
            note.write_text(f"{self.path}\n")

    def erase(self) -> None:
        """Delete the servers' files for good; nothing may run on them."""
        for folder in {self.path, self.socket_folder}:
            if folder.exists():
                shutil.rmtree(folder)
        (self.home / LOCATION_NOTE).unlink(missing_ok=True)

    def folder(self, *names: str) -> Path:
        """Make sure of a folder in the place that only the servers' user can enter."""
        path = self.path
        for name in names:
            path = self.user.make_folder(path / name)
        return path

    def log_folder(self) -> Path:
        """Make sure of the folder of the servers' logs; ours, the servers write through open files."""
        path = self.path / "log"
        path.mkdir(mode=0o700, exist_ok=True)
        return path

    @property
    def socket_folder(self) -> Path:
        """Folder of the sockets: in the place, unless the kernel or PostgreSQL's clients could not use that name."""
        inside = self.path / "run"
        short_enough = len(os.fsencode(inside / LONGEST_SOCKET_NAME)) <= SOCKET_PATH_LIMIT
        # libpq takes a comma for the end of one host and the start of the next.
        if short_enough and "," not in str(inside):
            return inside
        digest = hashlib.sha256(os.fsencode(self.path)).hexdigest()[:16]
        return Path("/tmp") / f"nadia-{digest}"  # noqa: S108 - make_folder verifies whose it is

    def ensure_socket_folder(self) -> Path:
        """Make sure of `socket_folder`.

        Raises
        ------
        HomeError
            Somebody else has a folder of that name.
        """
        return self.user.make_folder(self.socket_folder)

    def _set_aside(self) -> None:
        target = self.path.with_name(f"{self.path.name}.set-aside-{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}")
        self.path.rename(target)
        log.warning("embedded.place.set_aside", folder=str(target), home=str(self.home))


def _refuse_a_copied_home(place: Path, home: Path) -> None:
    try:
        owner = Path((place / "home").read_text().strip())
    except FileNotFoundError:
        return
    if owner != home and (owner / LOCATION_NOTE).exists():
        raise HomeError(
            f"{home} is a copy of {owner}: both name {place} as the place of their servers' files",
            hint=f"remove {home / LOCATION_NOTE} and {home / 'secrets'} to start empty there, or use {owner}",
        )
