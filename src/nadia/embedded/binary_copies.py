"""Copies of programs for a user who cannot reach the originals.

A clone and its virtual environment under /root are closed to everybody else, and root's servers run as somebody else.
"""

import hashlib
import os
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

import structlog

from nadia.embedded.binaries import Program
from nadia.embedded.errors import HomeError
from nadia.embedded.place import SHARED_FOLDER
from nadia.embedded.service_user import ServiceUser

log = structlog.get_logger(__name__)


def within_reach(program: Program, *, user: ServiceUser, shared: Path = SHARED_FOLDER) -> Program:
    """Return `program`, or where `user` cannot run it, a copy that it can.

    Parameters
    ----------
    program : Program
        The original.
    user : ServiceUser
        Who must be able to run it.
    shared : Path
        Copies are made once, below ``binaries/`` here, in a folder named by the program's content.

    Raises
    ------
    HomeError
        The copy cannot be made.
    """
    if user.may_run(program.path):
        return program
    copies = shared / "binaries"
    home = copies / _content_hash(program.path)
    copy = replace(program, path=home / program.path.relative_to(program.root), root=home)
    if home.exists():
        return copy
    try:
        copies.mkdir(mode=0o755, parents=True, exist_ok=True)
        _copy_whole(program, home)
    except OSError as error:
        raise HomeError(
            f"user {user.name} cannot run {program.path}, and copying it to {home} failed: {error.strerror}",
            hint="install NADIA where every user may read it, or run it as an ordinary user",
        ) from error
    log.info("embedded.program.copied", program=str(program.path), copy=str(copy.path))
    return copy


def _copy_whole(program: Program, home: Path) -> None:
    # Two processes at once each make a draft; the rename lets one win, and its copy is as good.
    draft = Path(tempfile.mkdtemp(prefix=".new-", dir=home.parent))
    try:
        for part in program.parts:
            source, target = program.root / part, draft / part
            if source.is_dir():
                shutil.copytree(source, target, symlinks=True)
            elif source.exists():
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(source, target)
        _open_to_all(draft)
        try:
            draft.rename(home)
        except OSError:
            if not home.exists():
                raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _open_to_all(tree: Path) -> None:
    for folder, _, files in os.walk(tree):
        Path(folder).chmod(0o755)
        for name in files:
            path = Path(folder, name)
            if not path.is_symlink():
                path.chmod(0o755 if path.stat().st_mode & 0o100 else 0o644)


def _content_hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]
