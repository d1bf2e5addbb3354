"""The commands there are, each with the module that is imported when it is used."""

import importlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

import typer
from typer.core import TyperGroup
from typer.main import get_command

from nadia.errors import NotFoundError

if TYPE_CHECKING:
    from typer._click import Command, Context  # typer has them under no public name; seen by the type checker only

GROUPS: Final[Mapping[str, str]] = {
    "up": "nadia.cli.up",
    "run": "nadia.cli.run",
    "demo": "nadia.cli.demo.command",
    "login-link": "nadia.cli.login_link",
    "account": "nadia.cli.account",
    "telegram": "nadia.cli.telegram",
    "pause": "nadia.cli.pause",
    "resume": "nadia.cli.resume",
    "health": "nadia.cli.health",
    "recover": "nadia.cli.recover",
    "workflow": "nadia.cli.workflow",
    "daemon": "nadia.cli.daemon",
    "alerts": "nadia.cli.alerts",
    "mcp": "nadia.cli.mcp",
    "quarantine": "nadia.cli.quarantine",
    "sandbox": "nadia.cli.sandbox",
    "db": "nadia.cli.db",
    "config": "nadia.cli.config",
}
"""Command to module. The module has ``app``, a `typer.Typer`; with a single command in it, that is the command."""


def command_group(help_text: str) -> typer.Typer:
    """Return the `typer.Typer` for a group's module, set up as all groups are.

    Parameters
    ----------
    help_text : str
        What the group is for; the first line stands in `nadia --help`.
    """
    return typer.Typer(
        help=help_text,
        rich_markup_mode=None,
        add_completion=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )


class LazyGroup(TyperGroup):
    """The top of the command tree: a group's module is imported when somebody asks for the group."""

    def list_commands(self, ctx: "Context") -> list[str]:
        """Return the names, in the order of help."""
        return list(GROUPS)

    def get_command(self, ctx: "Context", cmd_name: str) -> "Command | None":
        """Import a group.

        Raises
        ------
        NotFoundError
            If there is none of that name.
        """
        if cmd_name not in GROUPS:
            import difflib

            near = difflib.get_close_matches(cmd_name, GROUPS, n=1)
            hint = f"did you mean `nadia {near[0]}`?" if near else "`nadia --help` lists the commands"
            raise NotFoundError(f"there is no command {cmd_name!r}", hint=hint)
        app: typer.Typer = importlib.import_module(GROUPS[cmd_name]).app
        command = get_command(app)
        command.name = cmd_name
        # The library cuts a summary of its own making in the middle.
        command.short_help = " ".join((command.help or "").split("\n\n")[0].split())
        return command
