"""The migrations on disk, read from their files' names, and those applied, without loading Alembic.

The main line is ``0001_conversations.py`` and so on. A branch is a line of its own, which can be applied and taken back
without the rest: ``quarantine_0001.py`` begins the branch ``quarantine``. The files' names are their revisions.
"""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from nadia.postgres.failures import Connection

MIGRATIONS: Final = Path(__file__).with_name("migrations")
MAIN: Final = ""
"""The main line's name among the branches."""

_FILE: Final = re.compile(r"(?:([a-z]+)_)?(\d{4})(?:_\w+)?")
_NEEDS: Final = re.compile(r'^depends_on = "(\d{4})"$', re.MULTILINE)

# What Alembic keeps; there is no such table in a database that was never migrated.
_IS_THERE: Final = "SELECT to_regclass('alembic_version') IS NOT NULL AS there"
_APPLIED: Final = "SELECT version_num FROM alembic_version"


def branches() -> dict[str, list[str]]:
    """Return each branch's revisions, oldest first; the main line comes first, as `MAIN`."""
    found: dict[str, list[str]] = {MAIN: []}
    for path in sorted((MIGRATIONS / "versions").glob("*.py")):
        if name := _FILE.fullmatch(path.stem):
            branch = name[1] or MAIN
            found.setdefault(branch, []).append(f"{branch}_{name[2]}" if branch else name[2])
    return found


def revisions(branch: str | None = None) -> list[str]:
    """Return the revisions of one branch, or all, oldest first."""
    found = branches()
    return found[branch] if branch is not None else [revision for line in found.values() for revision in line]


def heads() -> tuple[str, ...]:
    """Return the newest revision of each branch, the main line's first."""
    return tuple(line[-1] for line in branches().values() if line)


def branch_of(revision: str) -> str:
    """Return the branch that a revision belongs to; `MAIN` for the main line."""
    return revision.rpartition("_")[0]


def need_of(branch: str) -> str | None:
    """Return the revision of the main line that a branch stands on; None for the main line itself."""
    if branch == MAIN or branch not in branches():
        return None
    found = _NEEDS.search((MIGRATIONS / "versions" / f"{branch}_0001.py").read_text())
    return found[1] if found else None


def with_implied(stored: Iterable[str]) -> tuple[str, ...]:
    """Return the revisions that a database is at, one for each branch, the main line's first.

    Alembic does not store a revision of the main line while it is the very one that a branch stands on.
    """
    at = {branch_of(revision): revision for revision in stored}
    if MAIN not in at and (needs := [need for branch in at if (need := need_of(branch))]):
        at[MAIN] = max(needs)
    return tuple(at[branch] for branch in sorted(at))


def stored(applied: Sequence[str]) -> list[str]:
    """Return what Alembic's table holds for a database that is at these revisions: what is implied left out."""
    implied = {need_of(branch_of(revision)) for revision in applied}
    return [revision for revision in applied if revision not in implied]


async def applied_on(conn: Connection) -> tuple[str, ...]:
    """Return the revisions that a database is at, one for each branch; nothing for an empty one."""
    there = await (await conn.execute(_IS_THERE)).fetchone()
    if not there or not there["there"]:
        return ()
    return with_implied(row["version_num"] for row in await (await conn.execute(_APPLIED)).fetchall())


def lacking(applied: Sequence[str]) -> tuple[str, ...]:
    """Return the heads that a database has not reached; one that a newer version has migrated lacks nothing."""
    at = {branch_of(revision): _number(revision) for revision in applied}
    return tuple(head for head in heads() if at.get(branch_of(head), 0) < _number(head))


def is_ahead(applied: Sequence[str]) -> bool:
    """Tell whether a newer version than this one has migrated a database."""
    known = {branch_of(head): _number(head) for head in heads()}
    return any(_number(revision) > known.get(branch_of(revision), 0) for revision in applied)


def _number(revision: str) -> int:
    digits = revision.rpartition("_")[2]
    return int(digits) if digits.isdecimal() else 0
