"""Whether what is installed is what the lock file says, to the version and with hashes."""

import asyncio
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Final

from nadia.workflows.report import WorkflowFinding
from nadia.workflows.security.scan import Scan, critical, warning

_REQUIREMENT: Final = re.compile(
    r"(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)(?:\[[^\]]*\])?\s*(?P<rest>[^;]*)(?P<marker>;.*)?"
)
_PIN: Final = re.compile(r"==\s*(?P<version>[^\s,*]+)(?=\s|$)")
_HASH: Final = re.compile(r"--hash=sha256:[0-9a-f]{64}\b")
_NAMED: Final = 5
"""Packages that a sentence names before it only counts."""

_NOT_LOCKED: Final = frozenset({"nadia", "pip", "setuptools", "wheel"})
"""What is there without being a dependency."""

_REMEDY: Final = "run `make run` (or pip install --require-hashes -r requirements.lock) again"


@dataclass(frozen=True, slots=True)
class Locked:
    """A line of a lock file; ``version`` is None where it is not pinned."""

    name: str
    version: str | None
    conditional: bool
    hashed: bool


class PinScanner:
    """Compares installed packages with a lock file.

    Parameters
    ----------
    locks : sequence of Path
        The lock file, then those whose packages may be there besides; the first has to be complete.
    installed : mapping of str to str, optional
        Version by name; of this interpreter when absent.
    """

    title = "installed packages"

    def __init__(self, *, locks: Sequence[Path], installed: Mapping[str, str] | None = None) -> None:
        self._locks = tuple(locks)
        self._installed = installed

    async def scan(self) -> Scan:
        """Compare."""
        return await asyncio.to_thread(self._scan)

    def _scan(self) -> Scan:
        locks = [path for path in self._locks if path.is_file()]
        installed = {_canonical(name): version for name, version in (self._installed or _present()).items()}
        if not locks or locks[0] != self._locks[0]:
            return Scan(
                looked_at=f"{len(installed)} packages",
                not_looked_at="there is no requirements.lock beside this installation to compare with",
            )
        required, *others = [read_lock(path.read_text("utf-8", "replace")) for path in locks]
        known = {line.name for lines in (required, *others) for line in lines}
        findings = [
            *_loose(locks[0], required),
            *_differing(required, installed),
            *_unknown(sorted(installed.keys() - known - _NOT_LOCKED)),
        ]
        return Scan(looked_at=f"{len(installed)} packages against {len(required)} pins", findings=tuple(findings))


def read_lock(text: str) -> list[Locked]:
    """Read the lines of a requirements file; comments, options and blank lines are none."""
    found = []
    for line in text.replace("\\\n", " ").splitlines():
        line = line.partition(" #")[0].strip()
        if not line or line.startswith(("#", "-")):
            continue
        if match := _REQUIREMENT.match(line):
            pin = _PIN.match(match["rest"])
            found.append(
                Locked(
                    name=_canonical(match["name"]),
                    version=pin["version"] if pin else None,
                    conditional=bool(match["marker"]),
                    hashed=bool(_HASH.search(line)),
                )
            )
    return found


def _loose(path: Path, required: Sequence[Locked]) -> Iterator[WorkflowFinding]:
    unpinned = [line.name for line in required if line.version is None]
    unhashed = [line.name for line in required if line.version is not None and not line.hashed]
    if unpinned:
        yield critical(str(path), f"does not say which version: {_named(unpinned)}", "write the file again: make lock")
    if unhashed:
        yield warning(
            str(path), f"has no hash, so that a package index decides what it is: {_named(unhashed)}", "make lock"
        )


def _differing(required: Sequence[Locked], installed: Mapping[str, str]) -> Iterator[WorkflowFinding]:
    # A requirement with a condition may be for another platform: that it is not there says nothing.
    missing = [line.name for line in required if line.name not in installed and not line.conditional]
    if missing:
        yield warning("packages", f"are in the lock file and not installed: {_named(missing)}", _REMEDY)
    for line in required:
        present = installed.get(line.name)
        if present is not None and line.version is not None and present != line.version:
            yield warning(line.name, f"is installed as {present}; the lock file says {line.version}", _REMEDY)


def _unknown(names: Sequence[str]) -> Iterator[WorkflowFinding]:
    if names:
        yield warning(
            "packages",
            f"are installed beside NADIA and in no lock file: {_named(names)}",
            "give NADIA an environment of its own",
        )


def _present() -> dict[str, str]:
    return {found.metadata["Name"]: found.version for found in metadata.distributions() if found.metadata["Name"]}


def _canonical(name: str) -> str:
    """Return a name as PEP 503 compares them."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _named(names: Sequence[str]) -> str:
    rest = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {rest} more" if rest > 0 else "")
