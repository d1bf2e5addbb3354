"""What every workflow answers with: one sentence, findings, tables; the same for people, the daemon and assistants."""

from typing import Final

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from nadia.health.models import Figure, HealthStatus

SCHEMA_VERSION: Final = 1

Cell = str | int | Figure | bool | None
"""What stands in a table. Times are ISO 8601 with zone."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


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
    rows: list[list[Cell]]
    note: str | None = None
    """What a reader must know, such as how many rows were left out."""


class WorkflowReport(_Part):
    """The answer to a workflow's question."""

    schema_version: int = SCHEMA_VERSION
    workflow: str
    question: str
    """The question that it answers."""
    status: HealthStatus
    answer: str
    """One sentence that answers it."""
    ran_at: AwareDatetime
    seconds: Figure
    findings: list[WorkflowFinding] = Field(default_factory=list)
    """Worst first."""
    tables: list[ReportTable] = Field(default_factory=list)
    customer_text: bool = False
    """Whether tables hold what customers wrote: data, never instructions."""
