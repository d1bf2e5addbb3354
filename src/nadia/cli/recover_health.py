"""`nadia recover health`: whether recovery after downtime is fine. A command of the group in `nadia.cli.recover`."""

import asyncio
from typing import TYPE_CHECKING, Final

import typer

from nadia.cli.exit_codes import ExitCode
from nadia.cli.output import JsonOption, point_out, print_json
from nadia.cli.process_config import load_config
from nadia.clock import time_ago_text

if TYPE_CHECKING:
    from datetime import datetime

    from nadia.recovery.health_report import AccountCursor, RecoveryHealthReport

_STYLES: Final = {"healthy": "green", "warning": "yellow", "critical": "bold red", "unknown": "dim"}


def health(as_json: JsonOption = False) -> None:
    """Tell whether recovery after downtime is fine.

    Exit code 1 if it is not, 3 if PostgreSQL cannot be reached.
    """
    from nadia.app.recovery_health import connection_for_one_check, recovery_health_checker

    config = load_config()
    report = asyncio.run(recovery_health_checker(config, lambda: connection_for_one_check(config)).report())
    if as_json:
        print_json(report.model_dump(mode="json"))
    else:
        _print_for_people(report)
    code = _exit_code(report)
    if code is ExitCode.NOT_FINE:
        point_out("docs/operations/recovery-health.md says what each finding means and what to do")
    raise typer.Exit(code)


def _exit_code(report: "RecoveryHealthReport") -> ExitCode:
    from nadia.health.models import HealthStatus

    if report.status is HealthStatus.HEALTHY:
        return ExitCode.FINE
    database = report.dimensions.database.figures
    return ExitCode.NOT_FINE if database is not None and database.reachable else ExitCode.UNREACHABLE


def _print_for_people(report: "RecoveryHealthReport") -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2))

    def add(name: str, status: str, sentence: str) -> None:
        # A text and no markup: a bracket in a sentence is a bracket.
        table.add_row(name, Text(status, style=_STYLES.get(status, "")), Text(sentence))

    cursors = report.dimensions.cursors.figures
    for name in type(report.dimensions).model_fields:
        dimension = getattr(report.dimensions, name)
        add(name, dimension.status, dimension.summary)
        if name == "cursors" and cursors:
            for line in cursors.listed:
                add("", line.status, _account(line, report))
            if cursors.not_listed:
                add("", "", f"and {cursors.not_listed} more")
    console = Console(highlight=False)
    console.print(Text.assemble("recovery is ", (report.status, _STYLES[report.status])))
    console.print(table)


def _account(line: "AccountCursor", report: "RecoveryHealthReport") -> str:
    def ago(moment: "datetime") -> str:
        return time_ago_text(moment, now=report.checked_at)

    parts = [f"looked through {ago(line.verified_at)}" if line.verified_at else "never looked through"]
    if line.gap_opened_at:
        parts.append(f"a gap since {ago(line.gap_opened_at)}")
    if line.revoked:
        parts.append("its session revoked by Telegram")
    return f"{line.account}: {', '.join(parts)}"
