"""`nadia workflow`: questions that an operator asks; options are made from each workflow's arguments."""

import asyncio
import inspect
from collections.abc import Iterator
from enum import Enum
from types import UnionType
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, Union, get_args, get_origin

import typer
from pydantic import ValidationError
from pydantic.fields import FieldInfo
from typer.core import TyperGroup
from typer.main import get_command

from nadia.cli.exit_codes import ExitCode
from nadia.cli.groups import command_group
from nadia.cli.output import JsonOption, print_json, print_table
from nadia.cli.process_config import load_config, operator
from nadia.errors import InvalidInputError
from nadia.health.models import HealthStatus
from nadia.workflows.registry import WORKFLOWS, AnyWorkflow, workflow_class
from nadia.workflows.workflow import Positional

if TYPE_CHECKING:
    from typer._click import Command, Context  # typer has them under no public name; seen by the type checker only

    from nadia.workflows.report import WorkflowReport
    from nadia.workflows.workflow import Arguments

_AS_JSON: Final = "as_json"


class _WorkflowGroup(TyperGroup):
    """`list`, and a command for each workflow, whose module is imported when somebody asks for it."""

    def list_commands(self, ctx: "Context") -> list[str]:
        """Return the names, in the order of help."""
        return [*super().list_commands(ctx), *WORKFLOWS]

    def get_command(self, ctx: "Context", cmd_name: str) -> "Command | None":
        """Return a command; raises NotFoundError if there is none of that name."""
        return super().get_command(ctx, cmd_name) or _command(workflow_class(cmd_name))


app = command_group("Answer an operator's questions: what is wrong, since when, and what to do.")


@app.callback(cls=_WorkflowGroup)
def workflow_command() -> None:
    """Answer an operator's questions: what is wrong, since when, and what to do."""


@app.command("list")
def list_workflows(as_json: JsonOption = False) -> None:
    """Print the questions that there is a workflow for."""
    known = [workflow_class(name) for name in WORKFLOWS]
    if as_json:
        print_json(
            [
                {
                    "name": each.name,
                    "question": each.question,
                    "role": each.role,
                    "arguments": each.arguments.model_json_schema(),
                }
                for each in known
            ]
        )
    else:
        print_table(("workflow", "question"), [(each.name, each.question) for each in known])


def _command(workflow: type[AnyWorkflow]) -> "Command":
    """Return the command that runs a workflow."""
    group = command_group(workflow.question)

    def command(**given: Any) -> None:
        as_json = given.pop(_AS_JSON)
        report = asyncio.run(_run(workflow.name, _arguments(workflow.arguments, given)))
        if as_json:
            print_json(report.model_dump(mode="json"))
        else:
            from nadia.cli.workflow_report import print_report

            print_report(report)
        raise typer.Exit(exit_code(report))

    command.__signature__ = inspect.Signature([*_parameters(workflow.arguments)])  # type: ignore[attr-defined]
    group.command(help=workflow.question)(command)
    made = get_command(group)
    made.name = workflow.name
    return made


async def _run(name: str, arguments: "Arguments") -> "WorkflowReport":
    from nadia.app.workflows import open_workflow

    async with open_workflow(load_config(), name, actor=operator(), at_terminal=True) as workflow:
        return await workflow.run(arguments)


def exit_code(report: "WorkflowReport") -> ExitCode:
    """Return how a command ends that printed a report."""
    if report.unreachable:
        return ExitCode.UNREACHABLE
    return ExitCode.FINE if report.status is HealthStatus.HEALTHY else ExitCode.NOT_FINE


def _parameters(arguments: "type[Arguments]") -> Iterator[inspect.Parameter]:
    """Yield what the command takes. Values stay text: the model judges them, so that JSON is judged the same."""
    for name, field in arguments.model_fields.items():
        flag = f"--{name.replace('_', '-')}"
        default: object = None
        annotation: Any = str | None
        annotated: Any
        if _is_positional(field):
            annotation = str if field.is_required() else str | None
            default = inspect.Parameter.empty if field.is_required() else None
            annotated = Annotated[
                annotation, typer.Argument(metavar=_metavar(name, field), help=_help(field), show_default=False)
            ]
        elif field.annotation is bool:
            both = f"{flag}/--no-{name.replace('_', '-')}" if field.default is True else flag
            default = bool(field.default)
            annotated = Annotated[bool, typer.Option(both, help=field.description)]
        else:
            many = get_origin(_plain_type(field)) is tuple
            option = typer.Option(flag, metavar=_metavar(name, field), help=_help(field), show_default=False)
            annotated = Annotated[list[str] | None if many else annotation, option]
        yield inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotated)
    yield inspect.Parameter(_AS_JSON, inspect.Parameter.KEYWORD_ONLY, default=False, annotation=JsonOption)


def _arguments(model: "type[Arguments]", given: dict[str, Any]) -> "Arguments":
    """Return what the workflow is asked with; what was not given keeps its default.

    Raises
    ------
    InvalidInputError
        If a value is wrong; it names the option.
    """
    try:
        return model.model_validate({name: value for name, value in given.items() if value not in (None, [])})
    except ValidationError as exc:
        problem = exc.errors(include_url=False, include_context=False)[0]
        name = str(problem["loc"][0]) if problem["loc"] else ""
        field = model.model_fields.get(name)
        option = name.upper() if field is None or _is_positional(field) else f"--{name.replace('_', '-')}"
        words = problem["msg"].removeprefix("Value error, ")
        raise InvalidInputError(
            words[:1].lower() + words[1:], field=option or "arguments", hint="the command's --help says what it takes"
        ) from exc


def _is_positional(field: FieldInfo) -> bool:
    return any(isinstance(mark, Positional) for mark in field.metadata)


def _plain_type(field: FieldInfo) -> Any:
    """Return a field's type, without the None that stands for "not given"."""
    if get_origin(field.annotation) in (Union, UnionType):
        return next(kind for kind in get_args(field.annotation) if kind is not type(None))
    return field.annotation


def _metavar(name: str, field: FieldInfo) -> str:
    kind = _plain_type(field)
    if get_origin(kind) is tuple:
        kind = get_args(kind)[0]
    if get_origin(kind) is Literal:
        return "|".join(get_args(kind))
    if isinstance(kind, type) and issubclass(kind, Enum):
        return "|".join(str(member.value) for member in kind)
    if _is_positional(field):
        return name.upper()
    return {int: "NUMBER", float: "NUMBER", str: "TEXT"}.get(kind, "FILE")


def _help(field: FieldInfo) -> str:
    """Return a field's description, with the default where there is one."""
    default = field.default.value if isinstance(field.default, Enum) else field.default
    if field.is_required() or default in (None, ()):
        return field.description or ""
    return f"{field.description} [default: {f'{default:g}' if isinstance(default, float) else default}]"
