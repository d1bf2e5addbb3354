"""What goes wrong, since when, and is it getting worse?"""

import asyncio
import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from pathlib import Path
from typing import ClassVar, Final

from pydantic import Field

from nadia.accounts.models import Role
from nadia.clock import Clock, utc_now
from nadia.errors import InvalidInputError, NotFoundError, UnavailableError
from nadia.health.models import HealthStatus
from nadia.postgres.database import Connection
from nadia.workflows.error_patterns import MOST_KINDS, ErrorPatterns, Kind, Trend, Trouble
from nadia.workflows.log_reading import Reading, regular_files, troubles
from nadia.workflows.recorded_troubles import recorded_troubles
from nadia.workflows.report import ReportTable, WorkflowFinding, WorkflowReport
from nadia.workflows.workflow import Arguments, Effect, Inquiry

MOST_BYTES: Final = 4_000_000_000
"""Unpacked; a packed file of nothing but zeros must not be read for ever."""

_MOST_FINDINGS: Final = 8

RUNBOOKS: Final = {
    "account": "docs/guides/telegram.md",
    "batch": "docs/design/message.md",
    "daemon": "docs/operations/daemon.md",
    "delivery": "docs/design/message.md",
    "drafting": "docs/guides/models.md",
    "embedded": "docs/operations/roles.md",
    "health": "docs/operations/health.md",
    "llm": "docs/guides/models.md",
    "mcp": "docs/guides/mcp.md",
    "no draft": "docs/guides/models.md",
    "part": "docs/operations/roles.md",
    "quarantine": "docs/operations/quarantine.md",
    "recovery": "docs/operations/after-downtime.md",
    "reply": "docs/design/message.md",
    "saved_replies": "docs/guides/saved-replies.md",
    "telegram": "docs/guides/telegram.md",
    "update": "docs/guides/telegram.md",
}
"""What a trouble's name begins with, and the page that says what to do; the first that fits."""


class FindErrorArguments(Arguments):
    """Where to look, and for what."""

    pattern: str | None = Field(
        None, min_length=1, max_length=200, description="Only what contains these words, in capitals or not."
    )
    hours: float = Field(24.0, gt=0, le=2_160, description="How far to look back, hours.")
    log: tuple[Path, ...] = Field(
        (), description="Look through this file too, JSON lines or plain text, also packed (.gz); at the terminal only."
    )
    limit: int = Field(20, ge=1, le=200, description="Most kinds of trouble to list.")


class FindError:
    """Groups what went wrong by what it has in common.

    Parameters
    ----------
    connect : callable
        Yields a connection to PostgreSQL; raises `UnavailableError`.
    logs : callable
        Returns the log files of this installation.
    may_name_files : bool
        Whether the one who asks may have other files read: somebody at this machine's terminal, nobody else.
    clock : callable
        Returns the present.
    """

    name: ClassVar[str] = "find-error"
    question: ClassVar[str] = "What goes wrong, since when, and is it getting worse?"
    arguments: ClassVar[type[Arguments]] = FindErrorArguments
    role: ClassVar[Role] = Role.ADMIN

    def __init__(
        self,
        *,
        connect: Callable[[], AbstractAsyncContextManager[Connection]],
        logs: Callable[[], Sequence[Path]],
        may_name_files: bool = False,
        clock: Clock = utc_now,
    ) -> None:
        self._connect = connect
        self._logs = logs
        self._may_name_files = may_name_files
        self._clock = clock

    def effect(self, arguments: FindErrorArguments) -> Effect:
        """Return that it only reads."""
        return Effect.NONE

    async def run(self, arguments: FindErrorArguments) -> WorkflowReport:
        """Read logs and records; without PostgreSQL, logs alone."""
        inquiry = Inquiry(self, clock=self._clock)
        self._refuse_wrong_files(arguments.log)
        window = timedelta(hours=arguments.hours)
        patterns = ErrorPatterns(since=inquiry.ran_at - window, now=inquiry.ran_at)
        stop = threading.Event()
        reading = Reading(bytes_left=MOST_BYTES, stopped=stop.is_set)
        files = regular_files([*arguments.log, *self._logs()])
        wanted = (arguments.pattern or "").casefold()

        def read_files() -> None:
            found = troubles(files, since=inquiry.ran_at - window, reading=reading)
            patterns.add(trouble for trouble in found if _says(trouble, wanted))

        try:
            await asyncio.to_thread(read_files)
        finally:
            stop.set()  # a thread cannot be cancelled: it is told
        unreachable, away = [], []
        try:
            recorded: Sequence[Trouble] = await recorded_troubles(self._connect, window=window)
        except UnavailableError as exc:
            unreachable.append("PostgreSQL")
            away.append(_away(exc))
        else:
            patterns.add(trouble for trouble in recorded if _says(trouble, wanted))
        kinds = patterns.kinds()
        present = [kind for kind in kinds if patterns.trend(kind) is not Trend.OVER]
        return inquiry.report(
            _answer(patterns, present, hours=arguments.hours, reading=reading),
            findings=[*away, *(_finding(patterns, kind) for kind in present[:_MOST_FINDINGS])],
            tables=[_table(patterns, kinds, limit=arguments.limit, reading=reading)],
            unreachable=unreachable,
            customer_text=True,
        )

    def _refuse_wrong_files(self, paths: Sequence[Path]) -> None:
        if paths and not self._may_name_files:
            raise InvalidInputError(
                "files are read for somebody at the terminal only", field="log", hint="leave it out"
            )
        for path in paths:
            if not path.exists():
                raise NotFoundError(f"there is no file {path}", hint="--log takes the path of a log file")
            if not path.is_file():
                raise InvalidInputError(f"{path} is not a file", field="--log", hint="name the files in it")


def _says(trouble: Trouble, wanted: str) -> bool:
    """Tell whether its words without secrets have the wanted ones: else one could ask for a secret letter by letter."""
    if not wanted:
        return True
    shown = trouble.redacted()
    return wanted in f"{shown.name}: {shown.words}".casefold()


def _finding(patterns: ErrorPatterns, kind: Kind) -> WorkflowFinding:
    trend = patterns.trend(kind)
    often = f"once, at {kind.last:%Y-%m-%d %H:%M}"
    if kind.times > 1:
        rates = f"{_rate(patterns.rate_now(kind))} an hour now, {_rate(patterns.rate_before(kind))} before"
        often = f"{kind.times} times since {kind.first:%Y-%m-%d %H:%M} ({rates})"
    page = next((page for name, page in RUNBOOKS.items() if kind.name.startswith(name)), None)
    return WorkflowFinding(
        status=HealthStatus.CRITICAL if kind.level == "critical" else HealthStatus.WARNING,
        subject=kind.name or kind.sources[0],
        message=f"{trend}, {often}: {kind.example}",
        docs=page,
    )


def _rate(per_hour: float) -> str:
    return f"{per_hour:.0f}" if per_hour >= 100 else f"{per_hour:.2g}"


def _away(exc: UnavailableError) -> WorkflowFinding:
    return WorkflowFinding(
        status=HealthStatus.UNKNOWN,
        subject="PostgreSQL",
        message=f"{exc.message}: notices and parked items are missing here",
        remedy=exc.hint,
    )


def _answer(patterns: ErrorPatterns, present: Sequence[Kind], *, hours: float, reading: Reading) -> str:
    looked = f"{reading.lines} lines of {reading.files} {'log' if reading.files == 1 else 'logs'}"
    if not patterns.kinds():
        return f"nothing went wrong in {hours:g} h that left a trace ({looked})"
    if not present:
        return f"nothing goes wrong now; what {patterns.troubles} entries in {hours:g} h tell of is over ({looked})"
    of = {
        trend: sum(patterns.trend(kind) is trend for kind in present) for trend in (Trend.NEW, Trend.RISING, Trend.OPEN)
    }
    worse = ", ".join(f"{count} {trend}" for trend, count in of.items() if count) or "none new or rising"
    noun = "kind" if len(present) == 1 else "kinds"
    return f"{len(present)} {noun} of trouble at present, {worse}; {patterns.troubles} entries in {hours:g} h"


def _table(patterns: ErrorPatterns, kinds: Sequence[Kind], *, limit: int, reading: Reading) -> ReportTable:
    notes = []
    if len(kinds) > limit:
        notes.append(f"{len(kinds) - limit} further kinds: --limit lists them")
    if len(kinds) > MOST_KINDS:
        notes.append(f"beyond {MOST_KINDS} kinds, all are counted together")
    if reading.unreadable:
        notes.append(f"{reading.unreadable} files could not be read to their end")
    if reading.bytes_left <= 0:
        notes.append(f"The logs were read up to {MOST_BYTES / 1e9:.0f} GB, the newest first")
    return ReportTable(
        title=f'kinds of trouble ("now" is since {patterns.recently:%H:%M} UTC)',
        columns=["trend", "level", "times", "now/h", "before", "first", "last", "what", "where"],
        rows=[
            [
                patterns.trend(kind).value,
                kind.level,
                kind.times,
                patterns.rate_now(kind),
                patterns.rate_before(kind),
                kind.first.isoformat(timespec="seconds"),
                kind.last.isoformat(timespec="seconds"),
                kind.signature,
                ", ".join(kind.sources),
            ]
            for kind in kinds[:limit]
        ],
        note="; ".join(notes) or None,
    )
