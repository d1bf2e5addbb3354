"""What PostgreSQL's sessions do at the moment, looked at over and over for a little while."""

import asyncio
import re
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Final

from nadia.postgres.database import Connection, Row
from nadia.postgres.statements import COMMENT

INTERVAL_SECONDS: Final = 0.1
_BLOCKERS_INTERVAL_SECONDS: Final = 1.0
"""Whom a session waits behind: the question takes PostgreSQL's lock manager as a whole (its manual, 9.27)."""

RUNNING: Final = "running"
"""Of a session that waits for nothing: it computes."""

_LONGEST_STATEMENT: Final = 120
_PARTS: Final = re.compile(
    # As PostgreSQL's lexer takes them (manual, 4.1): what one of them holds opens no other. Each may be cut off.
    rf"(?P<comment>{COMMENT})"
    r'|(?P<identifier>"(?:[^"]|"")*"?)'
    r"|(?<![\w$])e'(?:[^'\\]|\\.|'')*(?:'|\\?\Z)"
    r"|'(?:[^']|'')*'?"
    r"|(?<![\w$])(?P<mark>\$(?:[^\W\d]\w*)?\$).*?(?:(?P=mark)|\Z)"
    r"|(?<![$\w])\d+(?:\.\d+)?\b",
    re.DOTALL | re.IGNORECASE,
)

# Every other session of this database that works or holds a transaction open; %(blockers)s: with whom it waits behind.
_ACTIVITY = """
SELECT pid, application_name, state, coalesce(wait_event_type, '') AS wait_type, coalesce(wait_event, '') AS wait_event,
    left(query, 1000) AS query,
    extract(epoch FROM clock_timestamp() - query_start)::float8 AS query_seconds,
    extract(epoch FROM clock_timestamp() - xact_start)::float8 AS transaction_seconds,
    CASE WHEN %(blockers)s AND wait_event_type = 'Lock' THEN pg_blocking_pids(pid) ELSE '{}' END AS behind
FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
    AND (state = 'active' OR state LIKE 'idle in transaction%%')
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A session as it was when last seen.

    Parameters
    ----------
    pid : int
        Its process.
    application : str
        What it calls itself.
    state : str
        As PostgreSQL names it.
    statement : str
        What it runs, or ran last, without values.
    transaction_seconds : float
        Age of its transaction.
    """

    pid: int
    application: str
    state: str
    statement: str
    transaction_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Blocking:
    """Sessions that waited behind another.

    Parameters
    ----------
    blocker : Session or None
        Who holds it; None for one that is not seen, such as another role's.
    pid : int
        Its process.
    waiting : tuple of Session
        Who waited.
    seconds : float
        Longest wait.
    """

    blocker: Session | None
    pid: int
    waiting: tuple[Session, ...]
    seconds: float


@dataclass(slots=True)
class Activity:
    """What was seen.

    ``waits`` counts, for each thing that working sessions waited for, how often one was seen doing so; ``examples`` has
    a statement for each.
    """

    looks: int = 0
    waits: Counter[str] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)
    sessions: dict[int, Session] = field(default_factory=dict)
    behind: dict[int, dict[int, float]] = field(default_factory=lambda: defaultdict(dict))

    def add(self, rows: list[Row]) -> None:
        """Count one look."""
        self.looks += 1
        for row in rows:
            statement = without_values(row["query"] or "")
            self.sessions[row["pid"]] = Session(
                pid=row["pid"],
                application=row["application_name"] or "?",
                state=row["state"],
                statement=statement,
                transaction_seconds=row["transaction_seconds"] or 0.0,
            )
            if row["state"] == "active":
                wait = ": ".join(part for part in (row["wait_type"], row["wait_event"]) if part) or RUNNING
                self.waits[wait] += 1
                self.examples[wait] = statement
            for pid in row["behind"]:
                longest = self.behind[pid].get(row["pid"], 0.0)
                self.behind[pid][row["pid"]] = max(longest, row["query_seconds"] or 0.0)

    def blocking(self) -> list[Blocking]:
        """Return who held others up, the longest wait first.

        One that itself waits is not to blame: of a queue, all wait behind its head.
        """
        found = []
        for pid in self.behind.keys() - self.waiting:
            waits = self._waits_behind(pid)
            found.append(
                Blocking(
                    blocker=self.sessions.get(pid),
                    pid=pid,
                    waiting=tuple(self.sessions[one] for one in waits),
                    seconds=max(waits.values()),
                )
            )
        return sorted(found, key=lambda one: -one.seconds)

    @property
    def waiting(self) -> set[int]:
        """Who waited behind another."""
        return {pid for waits in self.behind.values() for pid in waits}

    def _waits_behind(self, pid: int) -> dict[int, float]:
        """Return who waited behind a session, directly or behind one that did, and for how long, seconds."""
        found: dict[int, float] = {}
        heads = [pid]
        while heads:
            for one, seconds in self.behind.get(heads.pop(), {}).items():
                if one not in found:
                    found[one] = seconds
                    heads.append(one)
        return found

    def share_of(self, *prefixes: str) -> float:
        """Return which share of what working sessions were seen doing begins so, 0 to 1."""
        total = sum(self.waits.values())
        return sum(count for wait, count in self.waits.items() if wait.startswith(prefixes)) / total if total else 0.0


async def watch(conn: Connection, *, seconds: float) -> Activity:
    """Look at the sessions until some seconds are over, at least once."""
    activity, end = Activity(), time.monotonic() + seconds
    blockers_at = 0.0
    while True:
        if blockers := time.monotonic() >= blockers_at:
            blockers_at = time.monotonic() + _BLOCKERS_INTERVAL_SECONDS
        activity.add(await (await conn.execute(_ACTIVITY, {"blockers": blockers})).fetchall())
        if (rest := end - time.monotonic()) <= 0:
            return activity
        await asyncio.sleep(min(rest, INTERVAL_SECONDS))


def without_values(statement: str) -> str:
    """Return a statement on one line, cut, with ``?`` for every value: these may be a customer's words."""
    plain = " ".join(_PARTS.sub(_shown, statement).split())
    return plain if len(plain) <= _LONGEST_STATEMENT else plain[: _LONGEST_STATEMENT - 1] + "…"


def _shown(part: re.Match[str]) -> str:
    if part["comment"]:
        return " "
    return part["identifier"] or "?"
