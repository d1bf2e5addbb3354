"""Where changes leave a trace: the audit log, files, programs that were started, installed or migrated."""

import importlib.metadata
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from nadia.health.figures import FigureHistory
from nadia.postgres.database import Connection
from nadia.redaction import redact, redact_text

AUDIT_ROWS: Final = 100_000
"""Most rows of the audit log that are looked through: the newest by id, however much the desk did."""

MOST_CHANGES: Final = 10_000
"""Most changes of one kind of record that are put in order; what repeats itself may be most of them."""

_LONGEST: Final = 100
_NAMED: Final = 3

# What people and the system changed, newest first. The way of single messages is left out: that is work, not change.
_AUDIT = """
WITH newest AS (
    SELECT id, at, actor, action, subject, before, after FROM audit_log ORDER BY id DESC LIMIT %(rows)s
)
SELECT at, actor, action, subject, before, after, person.name AS actor_name, concerned.name AS subject_name
FROM newest
LEFT JOIN accounts person ON newest.actor = 'account:' || person.id
LEFT JOIN accounts concerned ON newest.subject = 'account:' || concerned.id
WHERE at > clock_timestamp() - %(window)s AND action NOT SIMILAR TO '(batch|item|reply).%%'
ORDER BY newest.id DESC
LIMIT %(limit)s
"""

# Whether there are rows that are new enough and were not looked through.
_AUDIT_GOES_ON = """
SELECT coalesce((
    SELECT at > clock_timestamp() - %(window)s FROM audit_log ORDER BY id DESC OFFSET %(rows)s LIMIT 1
), false) AS goes_on
"""

# Runs of recovery that read something; those that found nothing to do are no news.
_RECOVERIES = """
SELECT started_at AS at, telegram_account_id AS account, reason, state, messages_recorded AS recorded
FROM recovery_operations
WHERE started_at > now() - %(window)s AND (messages_recorded > 0 OR state = 'failed')
ORDER BY id DESC
LIMIT %(limit)s
"""

_STARTED = "SELECT pg_postmaster_start_time() AS at, current_setting('server_version') AS version"


@dataclass(frozen=True, slots=True)
class Change:
    """Something that is different since.

    Parameters
    ----------
    at : datetime
        When; of several in a row, the latest.
    who : str
        A person, a part of NADIA, or nothing where only the machine knows.
    what : str
        What was done, to what.
    detail : str
        From what to what, where it is known.
    times : int
        How often in a row.
    """

    at: datetime
    who: str
    what: str
    detail: str = ""
    times: int = 1


@dataclass(frozen=True, slots=True)
class WatchedFile:
    """A file that decides how NADIA behaves.

    Parameters
    ----------
    path : Path
        The file; it need not exist.
    what : str
        What it is, for people.
    """

    path: Path
    what: str


async def audited(
    connect: Callable[[], AbstractAsyncContextManager[Connection]], *, window: timedelta
) -> tuple[list[Change], bool]:
    """Return what PostgreSQL has on record, and whether that is not all; raises UnavailableError."""
    async with connect() as conn:
        given: dict[str, object] = {"window": window, "limit": MOST_CHANGES, "rows": AUDIT_ROWS}
        audits = await (await conn.execute(_AUDIT, given)).fetchall()
        further = await (await conn.execute(_AUDIT_GOES_ON, given)).fetchone()
        recoveries = await (await conn.execute(_RECOVERIES, given)).fetchall()
        server = await (await conn.execute(_STARTED)).fetchone()
    changes = [
        Change(
            at=row["at"],
            who=row["actor_name"] or row["actor"],
            what=f"{row['action']} {row['subject_name'] or row['subject']}",
            detail=difference(row["before"] or {}, row["after"] or {}),
        )
        for row in audits
    ]
    changes += [
        Change(
            at=row["at"],
            who="recovery",
            what=f"recovery {row['state']} {row['account']}",
            detail=f"because of {row['reason']}; {row['recorded']} messages put on record",
        )
        for row in recoveries
    ]
    if server is not None:
        changes.append(Change(at=server["at"], who="", what="PostgreSQL started", detail=server["version"]))
    is_cut = MOST_CHANGES in (len(audits), len(recoveries)) or bool(further and further["goes_on"])
    return changes, is_cut


async def started(figures: FigureHistory) -> list[Change]:
    """Return when the processes began that run now; raises UnavailableError if Redis is away."""
    versions = {process: labels for process, labels, _ in await figures.gauges("nadia_app_info")}
    return [
        Change(
            at=datetime.fromtimestamp(value, UTC),
            who="",
            what=f"process {process.partition('/')[0]} started",
            detail=f"NADIA {versions.get(process, {}).get('version', 'of an unknown version')}",
        )
        for process, _, value in await figures.gauges("nadia_app_started_timestamp_seconds")
    ]


def files_changed(files: Sequence[WatchedFile]) -> Iterator[Change]:
    """Yield when each file that there is was last written."""
    for file in files:
        if (moment := _written(file.path)) is not None:
            yield Change(at=moment, who="", what=f"{file.what} written", detail=str(file.path))


def code_changed(package: Path, *, since: datetime) -> Iterator[Change]:
    """Yield one change for NADIA's own code, and one for the libraries it runs with, where any is newer.

    Parameters
    ----------
    package : Path
        The folder of NADIA's code.
    since : datetime
        What is older is not told.
    """
    sources = [(moment, path) for path in package.rglob("*.py") if (moment := _written(path)) and moment > since]
    if sources:
        names = [str(path.relative_to(package)) for _, path in sorted(sources, reverse=True)]
        yield Change(at=max(sources)[0], who="", what="NADIA's code written", detail=_listing(names))
    libraries = []
    for distribution in importlib.metadata.distributions():
        folder = getattr(distribution, "_path", None)  # the library tells nobody else where it found one
        if isinstance(folder, Path) and (moment := _written(folder / "METADATA")) and moment > since:
            libraries.append((moment, f"{distribution.name} {distribution.version}"))
    if libraries:
        names = [name for _, name in sorted(libraries, reverse=True)]
        yield Change(at=max(libraries)[0], who="", what="libraries installed", detail=_listing(names))


def difference(before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    """Say which values changed, from what to what, without secrets and briefly."""
    parts = []
    for name in [*after, *(name for name in before if name not in after)]:
        old, new = before.get(name), after.get(name)
        if old != new:
            was = "" if old is None else f"{_brief(name, old)} → "
            parts.append(f"{name}: {was}{_brief(name, new)}")
    text = ", ".join(parts)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def in_a_row(changes: Sequence[Change]) -> list[Change]:
    """Put changes in order, the newest first, and those that are alike and follow each other into one."""
    joined: list[Change] = []
    for change in sorted(changes, key=lambda change: change.at, reverse=True):
        if joined and replace(change, at=joined[-1].at, times=joined[-1].times) == joined[-1]:
            joined[-1] = replace(joined[-1], times=joined[-1].times + 1)
        else:
            joined.append(change)
    return joined


def _brief(name: str, value: object) -> str:
    if value is None:
        return "nothing"
    text = redact_text(str(redact(value, name=name)))
    return text if len(text) <= _LONGEST // 2 else f"{text[: _LONGEST // 2]}…"


def _listing(names: Sequence[str]) -> str:
    if len(names) <= _NAMED:
        return ", ".join(names)
    return f"{', '.join(names[:_NAMED])} and {len(names) - _NAMED} more"


def _written(path: Path) -> datetime | None:
    with suppress(OSError, ValueError, OverflowError):
        return datetime.fromtimestamp(path.stat().st_mtime, UTC)
    return None
