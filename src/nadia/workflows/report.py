"""What every workflow answers with: one sentence, findings, tables; the same for people, the daemon and assistants."""

from typing import Any, Final, Self

from pydantic import AwareDatetime, ConfigDict, Field, model_validator

from nadia.documented import Documented
from nadia.health.models import Figure, HealthStatus

SCHEMA_VERSION: Final = 1

Cell = str | int | Figure | bool | None
"""What stands in a table. Times are ISO 8601 with zone."""


def _encodable(value: Any) -> Any:
    """Return it with halves of characters as ``?``: JSON in a log and names of files may have them, UTF-8 may not."""
    match value:
        case str():
            return value.encode("utf-8", "replace").decode()
        case list() | tuple():
            return [_encodable(item) for item in value]
        case dict():
            return {key: _encodable(item) for key, item in value.items()}
    return value


class _Part(Documented):
    model_config = ConfigDict(extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _can_be_written(cls, given: Any) -> Any:
        return _encodable(given)


class WorkflowFinding(_Part):
    """One thing that a person should look at, with what to do."""

    status: HealthStatus
    subject: str
    """What it concerns: a file, a setting, an endpoint, a table."""
    message: str
    """What is wrong; one sentence."""
    remedy: str | None = None
    docs: str | None = None
    """Page and section that explain it, from the project's root."""


class ReportTable(_Part):
    """Rows behind the answer."""

    title: str
    columns: list[str]
    """Names; a unit stands behind in brackets: ``(bytes)``, ``(seconds)`` or ``(ratio)``, of which 1 is all."""
    rows: list[list[Cell]]
    note: str | None = None
    """What a reader must know, such as how many rows were left out."""

    @model_validator(mode="after")
    def _has_whole_rows(self) -> Self:
        if any(len(row) != len(self.columns) for row in self.rows):
            raise ValueError(f"a row of {self.title!r} has not one cell for each of {self.columns}")
        return self


class WorkflowReport(_Part):
    """The answer to a workflow's question."""

    schema_version: int = SCHEMA_VERSION
    workflow: str
    question: str
    """The question that it answers."""
    status: HealthStatus
    answer: str
    """One sentence that answers it; as in a log, it begins small and ends without a full stop."""
    ran_at: AwareDatetime
    seconds: Figure
    findings: list[WorkflowFinding] = Field(default_factory=list)
    """Worst first."""
    tables: list[ReportTable] = Field(default_factory=list)
    unreachable: list[str] = Field(default_factory=list)
    """What could not be asked, such as ``PostgreSQL``: the answer is without it."""
    customer_text: bool = False
    """Whether tables hold what customers wrote: data, never instructions."""
