"""`perf-baseline`: how fast this installation is, and whether it was faster."""

import re
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from pathlib import Path
from typing import Annotated, ClassVar, Final, Literal

from pydantic import Field, field_validator

from nadia.accounts.models import Role
from nadia.clock import Clock, time_ago_text, utc_now
from nadia.errors import NotFoundError, UnavailableError
from nadia.health.figures import FigureHistory
from nadia.health.models import HealthStatus
from nadia.postgres.database import Connection
from nadia.redis.connection import RedisConnection
from nadia.workflows.performance import store
from nadia.workflows.performance.comparison import Comparison, Verdict, compare, middle
from nadia.workflows.performance.figures import Baseline, Counted, Measured, Samples
from nadia.workflows.performance.machine import HARDWARE, changes, describe
from nadia.workflows.performance.measuring import ROUNDS, measure, samplers
from nadia.workflows.report import Cell, ReportTable, WorkflowFinding, WorkflowReport
from nadia.workflows.workflow import Arguments, Effect, Inquiry, Positional

STAGES: Final[Mapping[str, str]] = {
    "stage: intake": "nadia_inbound_intake_seconds",
    "stage: sealing": "nadia_pacing_seal_seconds",
    "stage: drafting": "nadia_drafting_draft_seconds",
    "stage: approval to sent": "nadia_delivery_approval_to_sent_seconds",
    "stage: model call": "nadia_llm_call_seconds",
    "stage: page": "nadia_web_response_seconds",
}
"""Latencies of NADIA's own work, and the metrics that they are read from."""

LOOKS_BACK: Final = timedelta(hours=12)
"""The time between two scheduled measurements (baseline 1.3), so that each stage counts once."""

SCHEDULE: Final = "daemon"
"""Who measures what the schedule asks for, as the audit log names them."""

_LISTED: Final = 100
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:+-]{0,63}")


class PerfBaselineArguments(Arguments):
    """What to do, and with which baseline."""

    action: Annotated[Literal["create", "list", "compare"], Positional()] = Field(
        "compare", description="create measures and keeps; list shows what is kept; compare measures and compares."
    )
    name: Annotated[str | None, Positional()] = Field(
        None,
        max_length=64,
        description="create: what to call it, else by its time; compare: which one to compare with, else the newest.",
    )
    automatic: bool = Field(False, description="create: for the schedule; the last 30 of these are kept.")

    @field_validator("name")
    @classmethod
    def _name_is_plain(cls, value: str | None) -> str | None:
        if value is not None and not _NAME.fullmatch(value):
            raise ValueError("a name has letters, digits and . _ : + - only, and begins with a letter or digit")
        return value


class PerfBaseline:
    """Measures, keeps and compares.

    Parameters
    ----------
    connect : callable
        Yields a connection to PostgreSQL.
    redis : RedisConnection
        Redis.
    figures : FigureHistory
        What NADIA counted lately.
    home : Path
        On whose disk writing is measured.
    web : tuple of str and int, or None
        Host and port that the web listens on; None where it is not on this machine.
    actor : str
        Who measures, as the audit log names them.
    clock : callable
        Returns the present.
    rounds : int
        Of measuring.
    """

    name: ClassVar[str] = "perf-baseline"
    question: ClassVar[str] = "How fast is this installation, and was it faster?"
    arguments: ClassVar[type[Arguments]] = PerfBaselineArguments
    role: ClassVar[Role] = Role.ADMIN

    def __init__(
        self,
        *,
        connect: Callable[[], AbstractAsyncContextManager[Connection]],
        redis: RedisConnection,
        figures: FigureHistory,
        home: Path,
        web: tuple[str, int] | None,
        actor: str,
        clock: Clock = utc_now,
        rounds: int = ROUNDS,
    ) -> None:
        self._connect = connect
        self._redis = redis
        self._figures = figures
        self._home = home
        self._web = web
        self._actor = actor
        self._clock = clock
        self._rounds = rounds

    def effect(self, arguments: PerfBaselineArguments) -> Effect:
        """Return whether a baseline is put on record."""
        return Effect.RECORDS if arguments.action == "create" else Effect.NONE

    async def run(self, arguments: PerfBaselineArguments) -> WorkflowReport:
        """Do what was asked for; raises ConflictError where a name is taken, NotFoundError where there is none."""
        inquiry = Inquiry(self, clock=self._clock)
        async with self._connect() as conn:
            if arguments.action == "list":
                return self._list(inquiry, await store.listed(conn, limit=_LISTED))
            if arguments.action == "create":
                return await self._create(inquiry, conn, arguments)
            before = await self._wanted(conn, arguments.name)
            after, failures = await self._measure(inquiry, conn, name="now", automatic=False)
            return self._compared(inquiry, before, after, failures)

    async def _create(self, inquiry: Inquiry, conn: Connection, arguments: PerfBaselineArguments) -> WorkflowReport:
        if arguments.name is not None and await store.by_name(conn, arguments.name) is not None:
            raise store.name_is_taken(arguments.name)  # before ten seconds of measuring
        before = await store.newest(conn, automatic_only=arguments.automatic)
        name = arguments.name or inquiry.ran_at.strftime("%Y-%m-%dT%H:%M:%SZ")
        after, failures = await self._measure(inquiry, conn, name=name, automatic=arguments.automatic)
        await store.add(conn, after)
        if before is not None:
            return self._compared(inquiry, before, after, failures, kept=True)
        return inquiry.report(
            f"recorded as {name}; there is none before it to compare with",
            findings=_failed(failures),
            tables=[_table("measured", {}, after)],
            unreachable=_unreachable(failures),
        )

    async def _wanted(self, conn: Connection, name: str | None) -> Baseline:
        found = await (store.newest(conn) if name is None else store.by_name(conn, name))
        if found is None:
            raise NotFoundError(
                "there is no baseline yet" if name is None else f"there is no baseline named {name!r}",
                hint="`nadia workflow perf-baseline create` makes one, `… list` shows them",
            )
        return found

    async def _measure(
        self, inquiry: Inquiry, conn: Connection, *, name: str, automatic: bool
    ) -> tuple[Baseline, dict[str, str]]:
        measured, failures = await measure(
            samplers(conn=conn, redis=self._redis, home=self._home, web=self._web), rounds=self._rounds
        )
        figures: dict[str, Measured] = {**measured, **await self._stages()}
        baseline = Baseline(
            name=name,
            measured_at=inquiry.ran_at,
            measured_by=self._measured_by(automatic=automatic),
            automatic=automatic,
            machine=await describe(conn, self._redis),
            figures=figures,
        )
        return baseline, failures

    def _measured_by(self, *, automatic: bool) -> str:
        # The daemon runs it as a command of the user that it runs as; nobody at a terminal asked for it.
        return SCHEDULE if automatic and self._actor.startswith("cli:") else self._actor

    async def _stages(self) -> dict[str, Counted]:
        try:
            lately = await self._figures.read(since=self._clock() - LOOKS_BACK)
        except UnavailableError:  # Redis: its round trip failed, and the report says so
            return {}
        found = {}
        for name, metric in STAGES.items():
            counted = lately.distribution(metric)
            if counted.count:
                below = (0.0, *counted.counts)
                found[name] = Counted(
                    counts={
                        bound: at_or_below - before
                        for bound, at_or_below, before in zip(counted.bounds, counted.counts, below, strict=False)
                    }
                )
        return found

    def _list(self, inquiry: Inquiry, baselines: list[Baseline]) -> WorkflowReport:
        rows: list[list[Cell]] = [
            [
                one.name,
                one.measured_at.isoformat(timespec="seconds"),
                "the schedule" if one.automatic else one.measured_by,
                len(one.figures),
                f"{one.machine.processors} × {one.machine.processor}",
                one.machine.nadia,
            ]
            for one in baselines
        ]
        table = ReportTable(
            title="baselines", columns=["name", "measured", "by", "figures", "machine", "NADIA"], rows=rows
        )
        if not baselines:
            return inquiry.report("there is no baseline yet; `nadia workflow perf-baseline create` makes one")
        number = f"{len(baselines)} baseline{'' if len(baselines) == 1 else 's'}"
        newest = time_ago_text(baselines[0].measured_at, now=self._clock())
        return inquiry.report(f"{number}, the newest made {newest}", tables=[table])

    def _compared(
        self, inquiry: Inquiry, before: Baseline, after: Baseline, failures: Mapping[str, str], *, kept: bool = False
    ) -> WorkflowReport:
        changed = changes(before.machine, after.machine)
        same_machine = not any(name in changed for name in HARDWARE)
        compared = compare(before.figures, after.figures, same_machine=same_machine)
        findings = [*_failed(failures)]
        if changed:
            what = "; ".join(f"{_said(name)} {then} → {now}" for name, (then, now) in changed.items())
            findings.append(
                WorkflowFinding(
                    status=HealthStatus.HEALTHY if same_machine else HealthStatus.UNKNOWN,
                    subject="machine",
                    message=f"is not as it was: {what}",
                    remedy=None if same_machine else "make a new baseline on this machine",
                )
            )
        findings += [_slower(name, one) for name, one in compared.items() if one.verdict is Verdict.WORSE]
        age = time_ago_text(before.measured_at, now=self._clock())
        recorded = f"recorded as {after.name}; " if kept else ""
        return inquiry.report(
            f"{recorded}compared with {before.name} ({age}): {_summary(compared)}",
            findings=findings,
            tables=[_table(f"compared with {before.name}", compared, after)],
            unreachable=_unreachable(failures),
        )


def _summary(compared: Mapping[str, Comparison]) -> str:
    def names(verdict: Verdict) -> list[str]:
        return [name for name, one in compared.items() if one.verdict is verdict]

    worse, better, same = names(Verdict.WORSE), names(Verdict.BETTER), names(Verdict.SAME)
    if not (worse or better or same):
        return "nothing can be compared"
    parts = [f"slower: {', '.join(worse)}"] if worse else []
    parts += [f"faster: {', '.join(better)}"] if better else []
    return "; ".join(parts) if parts else f"as fast as it was, in {len(same)} of {len(compared)} figures"


def _slower(name: str, one: Comparison) -> WorkflowFinding:
    return WorkflowFinding(
        status=HealthStatus.WARNING,
        subject=name,
        message=f"takes {_milliseconds(one.after)} now, {_milliseconds(one.before)} then ({one.change or 0:+.0%})",
        remedy="measure again when nothing else is busy; if it stays, see `nadia workflow recent-changes`",
    )


def _failed(failures: Mapping[str, str]) -> list[WorkflowFinding]:
    return [
        WorkflowFinding(
            status=HealthStatus.HEALTHY if name.startswith("web") else HealthStatus.UNKNOWN,
            subject=name,
            message=f"was not measured: {why}",
        )
        for name, why in failures.items()
    ]


def _unreachable(failures: Mapping[str, str]) -> list[str]:
    return ["Redis"] if any(name.startswith("Redis") for name in failures) else []


def _table(title: str, compared: Mapping[str, Comparison], after: Baseline) -> ReportTable:
    if not compared:
        rows: list[list[Cell]] = [[name, _ms(middle(one)), _spread(one)] for name, one in after.figures.items()]
        return ReportTable(title=title, columns=["figure", "median (ms)", "spread"], rows=rows)
    rows = [
        [
            name,
            _ms(one.before),
            _ms(one.after),
            None if one.change is None else f"{one.change:+.0%}",
            _spread(after.figures[name]) if name in after.figures else None,
            one.verdict.value if one.why is None else f"{one.verdict.value}: {one.why}",
        ]
        for name, one in compared.items()
    ]
    return ReportTable(
        title=title,
        columns=["figure", "then (ms)", "now (ms)", "change", "spread", "verdict"],
        rows=rows,
        note="medians; the spread is that of the middle half of the rounds. A verdict takes both into account.",
    )


def _spread(measured: Measured) -> str | None:
    centre = middle(measured)
    if not isinstance(measured, Samples) or not centre or len(measured.values) < 4:
        return None
    ordered = sorted(measured.values)
    quarter = len(ordered) // 4
    return f"±{(ordered[-1 - quarter] - ordered[quarter]) / 2 / centre:.0%}"


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else seconds * 1000


def _milliseconds(seconds: float | None) -> str:
    return "?" if seconds is None else f"{seconds * 1000:.3g} ms"


def _said(name: str) -> str:
    return name.removesuffix("_bytes").replace("_", " ")
