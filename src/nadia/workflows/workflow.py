"""What a workflow is."""

from enum import StrEnum
from typing import ClassVar, Protocol, TypeVar

from pydantic import BaseModel, ConfigDict

from nadia.accounts.models import Role
from nadia.workflows.report import WorkflowReport


class Effect(StrEnum):
    """What a workflow does besides answering."""

    NONE = "none"
    """It only reads."""
    RECORDS = "records"
    """It puts something of its own on record, such as a baseline; nothing of a customer's changes."""


class Arguments(BaseModel):
    """What a workflow is asked with; a workflow's own subclass describes each field for CLI, JSON and assistants."""

    model_config = ConfigDict(frozen=True, extra="forbid")


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
            If what it asks is away.
        InvalidInputError, NotFoundError
            If the arguments name something that does not exist.
        """
