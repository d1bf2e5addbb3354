"""The few things that an assistant may do, where the operator allows it.

Each needs a role and leaves two audit rows: that an assistant acted, and what was done. None approves, edits, sends,
pauses or erases anything: that is for people, at the desk.
"""

import json
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, Final, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from nadia.accounts.models import Role
from nadia.alerting.models import Matcher
from nadia.alerting.service import LONGEST_TEXT, Alerts
from nadia.clock import Clock, utc_now
from nadia.conversations import audit
from nadia.mcp_server.answers import Answer, said
from nadia.mcp_server.caller import Caller
from nadia.mcp_server.database import LazyDatabase
from nadia.mcp_server.tools import OpensWorkflow, OperatorTool, checked, offered_arguments, run_workflow
from nadia.recovery.asking import OwnerQuestions
from nadia.recovery.models import RequestKind
from nadia.recovery.requests import RecoveryRequests
from nadia.recovery.status import RecoveryStatus
from nadia.workflows.registry import WORKFLOWS, workflow_class
from nadia.workflows.report import WorkflowReport
from nadia.workflows.workflow import Arguments

LONGEST_SILENCE_HOURS: Final = 24.0
"""A person may silence for longer."""

M = TypeVar("M", bound=BaseModel)


class AcknowledgeAlert(Arguments):
    """Which alert, and what others should know."""

    fingerprint: str = Field(max_length=200, description="The alert's fingerprint, from nadia://alerts.")
    note: str = Field("", max_length=LONGEST_TEXT, description="What others should know; one sentence.")


class SilenceAlert(Arguments):
    """Which alerts, for how long, and why."""

    topic: str = Field(max_length=200, description="The alerts' topic, such as batch.parked.")
    labels: dict[str, str] = Field(
        default_factory=dict, max_length=9, description="Labels that they must have as well, with their values."
    )
    hours: float = Field(gt=0, le=LONGEST_SILENCE_HOURS, description="For how long, hours.")
    reason: str = Field(min_length=1, max_length=LONGEST_TEXT, description="Why; one sentence, goes on record.")


class UnsilenceAlert(Arguments):
    """Which silence."""

    silence: int = Field(gt=0, lt=2**63, description="The silence's number, from nadia://alerts.")


class RunCheck(Arguments):
    """A workflow that may put its measurement on record."""

    check: str = Field(
        max_length=60, description="The workflow.", json_schema_extra={"enum": list[JsonValue](WORKFLOWS)}
    )
    arguments: dict[str, JsonValue] = Field(
        default_factory=dict, description="Its arguments, as the tool of that name takes them."
    )


class StartRecovery(Arguments):
    """Of which Telegram account."""

    account: str = Field(max_length=200, description="The Telegram account, as `nadia recover status` names it.")
    step: Literal["plan", "run"] = Field(
        "plan", description="`plan` says what a run would read; `run` begins it: what was missed is taken in."
    )


class ActionReport(BaseModel):
    """What was done."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    done: str = Field(description="One sentence.")
    figures: dict[str, str | int | float | bool | None] = Field(description="What describes it further.")


class Actions:
    """What an assistant may do.

    Parameters
    ----------
    database : LazyDatabase
        Where it is on record.
    opens : callable
        Puts workflows together.
    clock : callable
        Returns the present.
    """

    def __init__(self, *, database: LazyDatabase, opens: OpensWorkflow, clock: Clock = utc_now) -> None:
        self._database = database
        self._opens = opens
        self._clock = clock

    def tools(self) -> list[OperatorTool]:
        """Return the actions as tools."""
        return [
            self._tool("acknowledge_alert", AcknowledgeAlert, Role.REVIEWER, self._acknowledge),
            self._tool("silence_alert", SilenceAlert, Role.ADMIN, self._silence),
            self._tool("unsilence_alert", UnsilenceAlert, Role.ADMIN, self._unsilence),
            self._tool("run_check", RunCheck, Role.REVIEWER, self._run_check, answers=WorkflowReport),
            self._tool("start_recovery", StartRecovery, Role.ADMIN, self._start_recovery),
        ]

    def _tool(
        self,
        name: str,
        arguments: type[M],
        role: Role,
        act: Callable[[M, Caller], Awaitable[Answer]],
        answers: type[BaseModel] = ActionReport,
    ) -> OperatorTool:
        async def run(given: M, caller: Caller) -> Answer:
            await self._note(name, given, caller)
            return await act(given, caller)

        return OperatorTool(
            name=name,
            description=_DESCRIPTIONS[name],
            arguments=arguments,
            answers=answers,
            role=role,
            reads_only=False,
            run=run,
        )

    async def _note(self, name: str, given: BaseModel, caller: Caller) -> None:
        """Put on record, before it is done, that it was an assistant that acted."""
        async with (await self._database.get()).transaction() as conn:
            await audit.record(
                conn,
                actor=caller.actor,
                action="assistant.acted",
                subject=f"mcp_tool:{name}",
                after={"token": caller.token, "arguments": said(json.dumps(given.model_dump(), ensure_ascii=False))},
            )

    async def _acknowledge(self, given: AcknowledgeAlert, caller: Caller) -> Answer:
        alerts = Alerts(database=await self._database.get())
        alert = await alerts.acknowledge(given.fingerprint, actor=caller.actor, note=given.note)
        return _report(
            f"the alert {alert.topic} is acknowledged until it is resolved",
            fingerprint=alert.fingerprint,
            acknowledged_by=alert.acknowledged_by_name,
        )

    async def _silence(self, given: SilenceAlert, caller: Caller) -> Answer:
        matchers = [Matcher("topic", given.topic), *(Matcher(name, value) for name, value in given.labels.items())]
        silence = await Alerts(database=await self._database.get()).silence(
            matchers,
            until=self._clock() + timedelta(hours=given.hours),
            actor=caller.actor,
            reason=given.reason,
        )
        return _report(
            f"alerts of the topic {given.topic} with these labels are silenced",
            silence=silence.id,
            ends_at=silence.ends_at.isoformat(),
        )

    async def _unsilence(self, given: UnsilenceAlert, caller: Caller) -> Answer:
        silence = await Alerts(database=await self._database.get()).unsilence(given.silence, actor=caller.actor)
        return _report("the silence has ended", silence=silence.id)

    async def _run_check(self, given: RunCheck, caller: Caller) -> Answer:
        model, withheld = offered_arguments(workflow_class(given.check))
        arguments = checked(model, given.arguments, withheld=withheld)
        return await run_workflow(self._opens, given.check, arguments, caller, may_record=True)

    async def _start_recovery(self, given: StartRecovery, caller: Caller) -> Answer:
        database = await self._database.get()
        owner = OwnerQuestions(requests=RecoveryRequests(database=database), status=RecoveryStatus(database=database))
        kind = RequestKind.RUN if given.step == "run" else RequestKind.PLAN
        answer = await owner.ask(given.account, kind, actor=caller.actor)
        done = "a run has begun" if kind is RequestKind.RUN else "this is what a run would read; nothing was begun"
        return _report(f"{given.account}: {done}", **answer)


_DESCRIPTIONS: Final = {
    "acknowledge_alert": "Say that somebody looks after an alert that is firing. It stays listed until it is resolved.",
    "silence_alert": "Let alerts of one topic bother nobody for some hours. They stay listed.",
    "unsilence_alert": "End a silence of alerts now.",
    "run_check": "Run a workflow that puts its measurement on record, such as a new performance baseline.",
    "start_recovery": "Look in Telegram for messages that were missed: plan it first, then run it. Sends nothing.",
}


def _report(done: str, **figures: Any) -> Answer:
    plain = {
        name: value if value is None or isinstance(value, bool | int | float) else said(str(value), name=name)
        for name, value in figures.items()
    }
    report = ActionReport(done=said(done), figures=plain)
    lines = [report.done, *(f"{name}: {value}" for name, value in report.figures.items())]
    return Answer(structured=report.model_dump(mode="json"), text="\n".join(lines))
