"""What changed lately, and who changed it?"""

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from pathlib import Path
from typing import ClassVar

from pydantic import Field

from nadia.accounts.models import Role
from nadia.clock import Clock, utc_now
from nadia.errors import UnavailableError
from nadia.health.figures import FigureHistory
from nadia.health.models import HealthStatus
from nadia.postgres.database import Connection
from nadia.workflows import change_sources
from nadia.workflows.change_sources import Change, WatchedFile
from nadia.workflows.report import ReportTable, WorkflowFinding, WorkflowReport
from nadia.workflows.workflow import Arguments, Effect, Inquiry


class RecentChangesArguments(Arguments):
    """How far back."""

    hours: float = Field(24.0, gt=0, le=8_760, description="How far to look back, hours.")
    limit: int = Field(50, ge=1, le=1_000, description="Most changes to list, the newest first.")


class RecentChanges:
    """Puts every trace of a change on one line of time.

    Parameters
    ----------
    connect : callable
        Yields a connection to PostgreSQL; raises `UnavailableError`.
    figures : FigureHistory
        Knows which processes run since when.
    files : sequence of WatchedFile
        What the operator may edit.
    package : Path
        The folder of NADIA's code.
    clock : callable
        Returns the present.
    """

    name: ClassVar[str] = "recent-changes"
    question: ClassVar[str] = "What changed lately, and who changed it?"
    arguments: ClassVar[type[Arguments]] = RecentChangesArguments
    role: ClassVar[Role] = Role.ADMIN

    def __init__(
        self,
        *,
        connect: Callable[[], AbstractAsyncContextManager[Connection]],
        figures: FigureHistory,
        files: Sequence[WatchedFile],
        package: Path,
        clock: Clock = utc_now,
    ) -> None:
        self._connect = connect
        self._figures = figures
        self._files = files
        self._package = package
        self._clock = clock

    def effect(self, arguments: RecentChangesArguments) -> Effect:
        """Return that it only reads."""
        return Effect.NONE

    async def run(self, arguments: RecentChangesArguments) -> WorkflowReport:
        """Look for traces; what cannot be reached is left out and said so."""
        inquiry = Inquiry(self, clock=self._clock)
        window = timedelta(hours=arguments.hours)
        since = inquiry.ran_at - window
        findings, unreachable, is_cut = [], [], False
        found = [*change_sources.files_changed(self._files), *change_sources.code_changed(self._package, since=since)]
        try:
            audited, is_cut = await change_sources.audited(self._connect, window=window)
            found += audited
        except UnavailableError as exc:
            unreachable.append("PostgreSQL")
            findings.append(_away("PostgreSQL", exc))
        try:
            found += await change_sources.started(self._figures)
        except UnavailableError as exc:
            unreachable.append("Redis")
            findings.append(_away("Redis", exc))
        changes = change_sources.in_a_row([change for change in found if change.at > since])
        return inquiry.report(
            _answer(changes, arguments.hours),
            findings=findings,
            unreachable=unreachable,
            tables=[_table(changes, limit=arguments.limit, is_cut=is_cut)],
            customer_text=True,  # why people silenced somebody, they may have said in that customer's words
        )


def _away(name: str, exc: UnavailableError) -> WorkflowFinding:
    return WorkflowFinding(status=HealthStatus.UNKNOWN, subject=name, message=exc.message, remedy=exc.hint)


def _answer(changes: Sequence[Change], hours: float) -> str:
    if not changes:
        return f"nothing changed in {hours:g} h that left a trace"
    latest = changes[0]
    by = f" by {latest.who}" if latest.who else ""
    return (
        f"{len(changes)} {'change' if len(changes) == 1 else 'changes'} in {hours:g} h; the latest: {latest.what}{by}"
    )


def _table(changes: Sequence[Change], *, limit: int, is_cut: bool) -> ReportTable:
    notes = ["there are more: --limit lists them"] if len(changes) > limit else []
    if is_cut:
        notes.append("not everything on record was looked through: some older changes are missing")
    return ReportTable(
        title="changes, newest first (UTC)",
        columns=["at", "who", "what", "detail"],
        rows=[
            [
                change.at.isoformat(timespec="seconds"),
                change.who,
                f"{change.what} ({change.times} times)" if change.times > 1 else change.what,
                change.detail,
            ]
            for change in changes[:limit]
        ],
        note="; ".join(notes) or None,
    )
