"""What a tool is, and the workflows as tools."""

from collections.abc import Awaitable, Callable, Collection, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any, TypeAlias, get_args

from pydantic import BaseModel, ValidationError

from nadia.accounts.models import Role
from nadia.errors import InvalidInputError, RefusedError
from nadia.mcp_server.answers import Answer, answer_of
from nadia.mcp_server.caller import Caller
from nadia.workflows.registry import WORKFLOWS, AnyWorkflow, workflow_class
from nadia.workflows.report import WorkflowReport
from nadia.workflows.workflow import Effect

OpensWorkflow: TypeAlias = Callable[[str, str], AbstractAsyncContextManager[AnyWorkflow]]
"""Puts a workflow together, given its name and the actor."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorTool:
    """Something that an assistant can ask for.

    Parameters
    ----------
    name : str
        As assistants call it.
    description : str
        What it is for.
    arguments : type
        What it takes; the schema is made of it.
    withheld : collection of str
        Arguments that are for people at this machine only.
    answers : type
        What it returns.
    role : Role
        Who may use it.
    reads_only : bool
        Whether it changes nothing.
    run : callable
        Does it, with checked arguments.
    """

    name: str
    description: str
    arguments: type[BaseModel]
    withheld: Collection[str] = ()
    answers: type[BaseModel]
    role: Role
    reads_only: bool
    run: Callable[[Any, Caller], Awaitable[Answer]]

    @property
    def input_schema(self) -> dict[str, Any]:
        """The JSON schema of what it takes."""
        schema = self.arguments.model_json_schema()
        schema["properties"] = {
            name: value for name, value in schema.get("properties", {}).items() if name not in self.withheld
        }
        return schema

    @property
    def output_schema(self) -> dict[str, Any]:
        """The JSON schema of what it returns."""
        return self.answers.model_json_schema(mode="serialization")

    async def call(self, given: Mapping[str, object], caller: Caller) -> Answer:
        """Check who asks and for what, and do it.

        Raises
        ------
        RefusedError
            If the caller's role does not suffice.
        InvalidInputError
            If an argument is wrong.
        """
        require_role(caller, self.role)
        return await self.run(checked(self.arguments, given, withheld=self.withheld), caller)


def require_role(caller: Caller, role: Role) -> None:
    """Check that the caller may do what a role may; raises RefusedError if not."""
    if not caller.role.covers(role):
        raise RefusedError(
            f"this needs the role {role}; the caller has {caller.role}", hint="use a token that holds that role"
        )


def checked(model: type[BaseModel], given: Mapping[str, object], *, withheld: Collection[str] = ()) -> BaseModel:
    """Return arguments that fit; the message of one that does not names it, and repeats nothing of it.

    Raises
    ------
    InvalidInputError
        If one does not, or is withheld from assistants.
    """
    for name in withheld:
        if name in given:
            raise InvalidInputError("is for people at this machine only", field=name, hint="leave it out")
    try:
        return model.model_validate(given)
    except ValidationError as exc:
        problem = exc.errors(include_url=False, include_context=False, include_input=False)[0]
        field = ".".join(str(part)[:60] for part in problem["loc"][:4]) or "arguments"
        raise InvalidInputError(problem["msg"][:300], field=field, hint="the tool's schema says what it takes") from exc


def workflow_tools(opens: OpensWorkflow) -> list[OperatorTool]:
    """Return the workflows as tools. They change nothing: what would be put on record is refused."""
    return [_tool(workflow_class(name), opens) for name in WORKFLOWS]


def tool_name(workflow: str) -> str:
    """Return the name of a workflow's tool: underscores, as assistants' tools are called."""
    return workflow.replace("-", "_")


async def run_workflow(
    opens: OpensWorkflow, name: str, arguments: object, caller: Caller, *, may_record: bool
) -> Answer:
    """Run a workflow for a caller.

    Raises
    ------
    RefusedError
        If it would put something on record and must not, or the caller's role does not suffice.
    """
    require_role(caller, workflow_class(name).role)
    async with opens(name, caller.actor) as workflow:
        if not may_record and workflow.effect(arguments) is not Effect.NONE:
            raise RefusedError(
                f"{name} with these arguments puts something on record, and this tool only reads",
                hint="run_check does it, where the server was started with --allow-actions",
            )
        return answer_of(await workflow.run(arguments))


def offered_arguments(workflow: type[AnyWorkflow]) -> tuple[type[BaseModel], Collection[str]]:
    """Return a workflow's arguments, and which of them name files: an assistant reads none of this machine's."""
    model = workflow.arguments
    return model, frozenset(name for name, field in model.model_fields.items() if _names_file(field.annotation))


def _tool(workflow: type[AnyWorkflow], opens: OpensWorkflow) -> OperatorTool:
    name = workflow.name
    model, withheld = offered_arguments(workflow)

    async def run(arguments: BaseModel, caller: Caller) -> Answer:
        return await run_workflow(opens, name, arguments, caller, may_record=False)

    return OperatorTool(
        name=tool_name(name),
        description=workflow.question,
        arguments=model,
        withheld=withheld,
        answers=WorkflowReport,
        role=workflow.role,
        reads_only=True,
        run=run,
    )


def _names_file(annotation: object) -> bool:
    if isinstance(annotation, type) and issubclass(annotation, PurePath):
        return True
    return any(_names_file(part) for part in get_args(annotation))
