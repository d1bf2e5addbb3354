"""How long statements take, by names that say what they do and are few."""

import re
from functools import lru_cache
from time import perf_counter
from typing import Any, Final, Self

import psycopg
from prometheus_client import Histogram

from nadia.postgres import metrics
from nadia.postgres.failures import Row

MOST_NAMES: Final = 200
"""Further ones are counted as `other`."""

COMMIT: Final = "commit"
OTHER: Final = "other"

COMMENT: Final = r"--[^\n]*|/\*.*?(?:\*/|\Z)"
"""A comment, also one that is cut off; with `re.DOTALL`."""

_NOISE: Final = re.compile(
    # Comments, texts, and where the words below do not name a table.
    COMMENT + r"|'(?:[^']|'')*'|\bextract\s*\(\s*\w+\s+from\b|\bdistinct\s+from\b"
    r"|\b(?:do|for(?:\s+no\s+key)?)\s+update\b",
    re.DOTALL | re.IGNORECASE,
)
_CHANGED: Final = re.compile(
    r"\b(insert\s+into|update|delete\s+from)\s+(?:only\s+)?\"?([a-z_][a-z0-9_.]*)", re.IGNORECASE
)
_READ: Final = re.compile(
    r"\b(?:from|join)\s+(?:only\s+)?(?![a-z0-9_.]+\s*\(|lateral\b)\"?([a-z_][a-z0-9_.]*)", re.IGNORECASE
)
_VERB: Final = re.compile(r"\s*([a-z]+)", re.IGNORECASE)
_BY_TABLE: Final = frozenset({"select", "insert", "update", "delete", "with"})


class TimedCursor(psycopg.AsyncCursor[Row]):
    """Takes the time of every statement."""

    async def execute(self, query: Any, *args: Any, **options: Any) -> Self:
        """Run a statement; parameters and errors are those of the driver's own method."""
        begun = perf_counter()
        try:
            return await super().execute(query, *args, **options)
        finally:
            _timer_of(query if isinstance(query, str) else "").observe(perf_counter() - begun)


def name_of(statement: str) -> str:
    """Return a statement's verb and first table, such as ``update batches``.

    Of one that does several things, what it changes counts: ``WITH one AS (SELECT …) INSERT INTO messages …`` is
    ``insert messages``.
    """
    plain = _NOISE.sub(" ", statement)
    verb = _VERB.match(plain)
    if verb is None:
        return OTHER
    word = verb[1].lower()
    if word not in _BY_TABLE:
        return word
    if word != "select" and (changed := _CHANGED.search(plain)):
        return f"{changed[1].split()[0]} {changed[2]}".lower()
    read = _READ.search(plain)
    return f"select {read[1]}".lower() if read else word


def observe_commit(seconds: float) -> None:
    """Count the end of a transaction, which waits for the disk."""
    _child(COMMIT).observe(seconds)


@lru_cache(maxsize=1_024)
def _timer_of(statement: str) -> Histogram:
    return _child(name_of(statement))


_children: dict[str, Histogram] = {}


def _child(name: str) -> Histogram:
    if name not in _children and len(_children) >= MOST_NAMES:
        name = OTHER
    return _children.setdefault(name, metrics.STATEMENT_SECONDS.labels(name))
