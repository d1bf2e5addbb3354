"""What every command has around it: global options, errors as people and scripts need them, exit codes."""

import os
import secrets
import sys
import traceback
from collections.abc import Sequence
from typing import Annotated

import typer
from typer.main import get_command

from nadia.cli.exit_codes import ExitCode, exit_code_for
from nadia.cli.groups import LazyGroup
from nadia.cli.output import complain
from nadia.errors import NadiaError
from nadia.redaction import redact_text

app = typer.Typer(
    name="nadia",
    cls=LazyGroup,
    help="Human-in-the-loop conversations on Telegram: a model drafts every reply, a person approves it.",
    epilog="docs/reference/exit-codes.md says what each exit code means.",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        import nadia

        print(f"nadia {nadia.__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def nadia_command(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Print the traceback of an unexpected error (also: NADIA_DEBUG=1).")
    ] = False,
) -> None:
    """Print help when no command is named; the options are read before (``--debug`` in `run`)."""
    if context.invoked_subcommand is None:
        print(context.get_help())


def run(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit code; nothing that goes wrong escapes.

    Parameters
    ----------
    arguments : sequence of str
        Without the program's name.
    """
    debug = "--debug" in arguments[:1] or os.environ.get("NADIA_DEBUG", "") not in ("", "0", "false")
    try:
        # Not the library's own `main`: that turns a closed pipe into a failure and prints errors in its own way.
        command = get_command(app)
        with command.make_context("nadia", list(arguments)) as context:
            command.invoke(context)
        sys.stdout.flush()
    except typer.Exit as exc:
        return exc.exit_code
    except BrokenPipeError:
        # The reader of our output has seen enough. What is still buffered must not fail again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.FINE
    except (KeyboardInterrupt, typer.Abort):
        return ExitCode.INTERRUPTED
    except typer.TyperException as exc:
        where = getattr(exc, "ctx", None)
        path = where.command_path if where else "nadia"
        complain(
            exc.format_message().replace("Value error, ", "", 1).rstrip("."), hint=f"`{path} --help` says what it takes"
        )
        return ExitCode.USAGE
    except NadiaError as exc:
        if debug:
            _print_traceback()
        complain(exc.message, hint=exc.hint)
        return exit_code_for(exc)
    except Exception as exc:
        return _report_incident(exc, debug=debug)
    return ExitCode.FINE


def _report_incident(error: Exception, *, debug: bool) -> int:
    incident = secrets.token_hex(4)
    if debug:
        _print_traceback()
    words = redact_text(" ".join(str(error).split()))[:200]
    complain(
        f"something went wrong inside NADIA (incident {incident}): {type(error).__name__}: {words}",
        hint="the traceback is above" if debug else "run it again as `nadia --debug …` to see where",
    )
    return exit_code_for(error)


def _print_traceback() -> None:
    print(redact_text(traceback.format_exc()), file=sys.stderr)
