"""`nadia config`: show and check the settings."""

from typing import Annotated

import typer

from nadia.cli.exit_codes import exit_code_for
from nadia.cli.groups import command_group
from nadia.cli.output import JsonOption, complain, print_json, print_table
from nadia.cli.process_config import load_config

app = command_group("Show and check the settings.")


@app.command()
def show(
    as_json: JsonOption = False,
    changed: Annotated[bool, typer.Option("--changed", help="Only those that somebody set.")] = False,
) -> None:
    """Print every setting as it is in effect, secrets masked, with where it came from."""
    from nadia.settings.names import text_of

    config = load_config()
    rows = [(setting, config.shown(setting), config.origin(setting)) for setting in config.settings()]
    if changed:
        rows = [row for row in rows if row[2] != "default"]
    if as_json:
        print_json([{"name": setting.usual_name, "value": value, "origin": origin} for setting, value, origin in rows])
    else:
        print_table(("name", "value", "origin"), [(row[0].usual_name, text_of(row[1]) or "-", row[2]) for row in rows])


@app.command()
def check(as_json: JsonOption = False) -> None:
    """Read the settings as NADIA would at its start, and report everything that is wrong with them."""
    from nadia.errors import ConfigurationError
    from nadia.settings import Problem, SettingsError

    try:
        config = load_config()
        config.require_startable()
    except ConfigurationError as exc:
        if not as_json:
            raise
        if isinstance(exc, SettingsError):
            problems = list(exc.problems)
        else:
            problems = [Problem(name="", problem=exc.message, remedy=exc.hint or "")]
        print_json({"ok": False, "problems": [problem.as_dict() for problem in problems]})
        complain(exc.message.splitlines()[0], hint=exc.hint)
        raise typer.Exit(exit_code_for(exc)) from exc
    if as_json:
        print_json({"ok": True, "problems": [], "deprecations": list(config.deprecations)})
    else:
        given = sum(config.origin(setting) != "default" for setting in config.settings())
        print(f"the settings are fine: {given} given, the others at their defaults")


@app.command()
def env_example() -> None:
    """Print the `.env.example` of this version: every setting with its default, to be uncommented."""
    from nadia.settings import Config
    from nadia.settings.reference import env_example as text

    print(text(Config.settings()), end="")
