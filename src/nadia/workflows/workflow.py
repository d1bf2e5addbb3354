"""What a workflow is."""

import time
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from pathlib import PurePath
from typing import ClassVar, Protocol, TypeVar

from pydantic import BaseModel, ConfigDict, field_validator

from nadia.accounts.models import Role
from nadia.clock import Clock, utc_now
from nadia.health.models import HealthStatus
from nadia.workflows.report import ReportTable, WorkflowFinding, WorkflowReport


class Effect(StrEnum):
    """What a workflow does besides answering."""

    NONE = "none"
    """It only reads."""
    RECORDS = "records"
    """It puts something of its own on record, such as a baseline; nothing of a customer's changes."""


class Arguments(BaseModel):
    """What a workflow is asked with.

    A workflow's own subclass gives each field a default, limits and a description (with the unit): the command line's
    options, the schema for programs and what assistants read are made of them. Text, numbers, booleans, paths, literals
    and tuples of these are understood.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    @field_validator("*")
    @classmethod
    def _text_has_no_nul(cls, value: object) -> object:
        if _has_nul(value):
            raise ValueError("has a NUL character in it, which PostgreSQL and file names cannot: leave that out")
        return value


class Positional:
    """Marks, in ``Annotated``, an argument that the command line takes by its place and not by its name."""


def _has_nul(value: object) -> bool:
    if isinstance(value, Mapping):
        return any(_has_nul(each) for pair in value.items() for each in pair)
    if isinstance(value, tuple | list):
        return any(_has_nul(each) for each in value)
    return isinstance(value, str | PurePath) and "\0" in str(value)


A = TypeVar("A", bound=Arguments, contravariant=True)


class Workflow(Protocol[A]):
    """Answers one question of an operator's."""

    name: ClassVar[str]
    """As on the command line, such as ``db-stats``."""
    question: ClassVar[str]
    """What it answers, as a person would ask."""
    arguments: ClassVar[type[Arguments]]
    role: ClassVar[Role]
    """Who may run it through the web or an assistant."""

    def effect(self, arguments: A) -> Effect:
        """Return what running it with these arguments does."""

    async def run(self, arguments: A) -> WorkflowReport:
        """Find the answer.

        Raises
        ------
        UnavailableError
            If what it asks is away, and there is no answer without.
        InvalidInputError, NotFoundError
            If the arguments name something that does not exist.
        """


class Named(Protocol):
    """What of a workflow stands in its report."""

    name: ClassVar[str]
    question: ClassVar[str]


class Inquiry:
    """One run of a workflow: knows when it began, and puts the report together.

    Parameters
    ----------
    workflow : Workflow
        What runs.
    clock : callable
        Returns the present.
    """

    def __init__(self, workflow: Named, *, clock: Clock = utc_now) -> None:
        self._workflow = workflow
        self._begun = time.monotonic()
        self.ran_at = clock()

    def report(
        self,
        answer: str,
        *,
        findings: Iterable[WorkflowFinding] = (),
        tables: Sequence[ReportTable] = (),
        unreachable: Sequence[str] = (),
        status: HealthStatus | None = None,
        customer_text: bool = False,
    ) -> WorkflowReport:
        """Return the report; its status is that of the worst finding where none is given."""
        order = list(HealthStatus)
        worst_first = sorted(findings, key=lambda finding: order.index(finding.status), reverse=True)
        return WorkflowReport(
            workflow=self._workflow.name,
            question=self._workflow.question,
            status=HealthStatus.worst(finding.status for finding in worst_first) if status is None else status,
            answer=answer,
            ran_at=self.ran_at,
            seconds=time.monotonic() - self._begun,
            findings=worst_first,
            tables=list(tables),
            unreachable=list(unreachable),
            customer_text=customer_text,
        )
