"""Files that others on this machine may read or change."""

import asyncio
import grp
import os
import pwd
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Final

from nadia.workflows.report import WorkflowFinding
from nadia.workflows.security.scan import Scan, critical, warning

_MOST_ENTRIES: Final = 10_000
"""Of one folder; beyond, the scan says so."""

_MOST_OF_A_PLACE: Final = 5
"""Findings that are told one by one."""


class Keeping(StrEnum):
    """How close a place is to be kept."""

    SECRET = "secret"  # noqa: S105 - a kind of file
    """Read and written by its owner only: a key, a password, what customers wrote."""
    OWN = "own"
    """Others may pass through or read, never write: what NADIA does is decided in it."""
    SOCKET = "socket"
    """Others must not get to it, be it by its own mode or that of a folder above."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A file or folder, and how close it is to be kept.

    Parameters
    ----------
    path : Path
        Where; one that does not exist is no concern.
    keeping : Keeping
        How close.
    holds : str
        What is in it, for people.
    whole : bool
        Whether everything below a folder is kept alike.
    may_be_entered : bool
        Whether others may pass through a folder that is otherwise secret: as root, the servers' own user does.
    """

    path: Path
    keeping: Keeping
    holds: str
    whole: bool = False
    may_be_entered: bool = False


class PermissionScanner:
    """Compares modes and owners with what they should be.

    Parameters
    ----------
    places : sequence of Place
        What to look at.
    home : Path
        The installation's folder.
    apart : sequence of Path
        Files that must not lie in the home, because a copy of the home would carry them: the sessions' key.
    """

    title = "permissions of files"

    def __init__(self, *, places: Sequence[Place], home: Path, apart: Sequence[Path] = ()) -> None:
        self._places = tuple(places)
        self._home = home
        self._apart = tuple(apart)

    async def scan(self) -> Scan:
        """Look at every place that exists."""
        return await asyncio.to_thread(self._scan)

    def _scan(self) -> Scan:
        seen, unreadable, cut = 0, 0, False
        findings: list[WorkflowFinding] = []
        for place in self._places:
            of_place: list[WorkflowFinding] = []
            for number, path in enumerate(_entries(place)):
                if number == _MOST_ENTRIES:
                    cut = True
                    break
                try:
                    status = path.stat()
                except FileNotFoundError:
                    continue
                except OSError:
                    unreadable += 1
                    continue
                seen += 1
                of_place += _judge(place, path, status)
            findings += _shortened(place, of_place)
        findings += self._apart_from_home()
        notes = [f"{unreadable} that this user may not see"] if unreadable else []
        notes += [f"more than {_MOST_ENTRIES} of a folder"] if cut else []
        return Scan(
            looked_at=f"{seen} files and folders",
            findings=tuple(findings),
            not_looked_at="; ".join(notes) or None,
        )

    def _apart_from_home(self) -> Iterator[WorkflowFinding]:
        home = self._home.resolve()
        for path in self._apart:
            if path.exists() and path.resolve().is_relative_to(home):
                yield warning(
                    str(path),
                    "the key of the Telegram sessions lies in the data folder: who copies that can open them",
                    "keep it elsewhere; NADIA_TELEGRAM_SESSION_KEY_FILE names its place",
                )


def _shortened(place: Place, findings: Sequence[WorkflowFinding]) -> Iterator[WorkflowFinding]:
    """Yield the first findings of a place: where one thing is wrong with a thousand files, five say so."""
    yield from findings[:_MOST_OF_A_PLACE]
    if (rest := len(findings) - _MOST_OF_A_PLACE) > 0:
        yield critical(str(place.path), f"has {rest} more files like these", f"chmod -R {_wanted(place)} {place.path}")


def _wanted(place: Place) -> str:
    return "go-w" if place.keeping is Keeping.OWN else "go="


def _entries(place: Place) -> Iterator[Path]:
    yield place.path
    if place.whole:
        # Links are judged where they lead and never followed further: a loop ends, and so does this scan.
        for folder, names, files in os.walk(place.path, followlinks=False):
            yield from (Path(folder, name) for name in (*names, *files))


def _judge(place: Place, path: Path, status: os.stat_result) -> Iterator[WorkflowFinding]:
    mode = stat.S_IMODE(status.st_mode)
    is_folder = stat.S_ISDIR(status.st_mode)
    shown = f"{path} ({mode:04o})"
    if status.st_uid not in (0, os.geteuid()) and place.keeping is not Keeping.SOCKET:
        yield critical(
            shown,
            f"belongs to another user ({status.st_uid}), who can change {place.holds}",
            f"chown {os.geteuid()} {path}",
        )
    if place.keeping is Keeping.SOCKET:
        if mode & 0o006 and _others_get_to(path.parent):
            yield critical(shown, f"every user of this machine can connect: {place.holds}", f"chmod 700 {path.parent}")
    elif _others_write(mode, status, place) and not (is_folder and mode & stat.S_ISVTX):
        yield critical(
            shown,
            f"others may change {place.holds}",
            f"chmod {_wanted(place)} {path}",
        )
    elif place.keeping is Keeping.SECRET:
        if mode & 0o044:
            yield critical(shown, f"others may read {place.holds}", f"chmod {700 if is_folder else 600} {path}")
        elif mode & 0o011 and is_folder and not place.may_be_entered:
            yield warning(shown, f"others may pass through to {place.holds}", f"chmod 700 {path}")


def _others_write(mode: int, status: os.stat_result, place: Place) -> bool:
    # With the umask 002 of many systems a checkout belongs to its owner's own group, in which nobody else is.
    is_private = place.keeping is Keeping.OWN and _is_group_of_one(status.st_gid, status.st_uid)
    return bool(mode & (0o002 if is_private else 0o022))


@cache
def _is_group_of_one(group_id: int, user_id: int) -> bool:
    try:
        user, members = pwd.getpwuid(user_id), grp.getgrgid(group_id).gr_mem
    except KeyError:  # nobody knows who is in it
        return False
    others = {entry.pw_name for entry in pwd.getpwall() if entry.pw_gid == group_id} | set(members)
    return user.pw_gid == group_id and others <= {user.pw_name}


def _others_get_to(folder: Path) -> bool:
    """Say whether every folder on the way lets others through."""
    real = folder.resolve()
    try:
        return all(part.stat().st_mode & 0o001 for part in (real, *real.parents))
    except OSError:  # not even we get there
        return False
