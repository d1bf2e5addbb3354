"""How a workflow's report looks on a terminal: the answer, what to do, the figures behind it; at 80 columns too."""

import re
import textwrap
from typing import TYPE_CHECKING, Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from nadia.workflows.report import ReportTable, WorkflowReport

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from nadia.workflows.report import Cell, WorkflowFinding

_STYLES: Final = {"healthy": "green", "warning": "yellow", "critical": "bold red", "unknown": "dim"}
_UNIT: Final = re.compile(r" \((bytes|seconds|ratio)\)$")
_TIME: Final = re.compile(r"(\d{4})-(\d\d-\d\d)T(\d\d:\d\d:\d\d)(?:\.\d+)?(?:Z|\+00:00)")
_SIZES: Final = ("B", "kB", "MB", "GB", "TB")
_DURATIONS: Final = ((86_400, "d"), (3_600, "h"), (60, "min"))
_GAP: Final = "  "
_INDENT: Final = 4
_NARROWEST: Final = 30
"""Characters of a column that wraps; in less, sentences are hard to read."""


def print_report(report: WorkflowReport) -> None:
    """Print a report for people to standard output."""
    console = Console(highlight=False)
    console.print(Text.assemble((report.workflow, "bold"), ": ", (report.status, _STYLES[report.status])))
    console.print(_text(report.answer))
    if report.unreachable:
        console.print(_text(f"This is without {', '.join(report.unreachable)}."), style="yellow")
    if report.findings:
        console.print()
        console.print(_findings(report.findings))
    for table in report.tables:
        console.print()
        console.print(Text(_escaped(table.title), style="bold"))
        if table.rows:
            _print_rows(console, table, year=report.ran_at.year)
        else:
            console.print(Text("none", style="dim"))
        if table.note:
            console.print(Text(_escaped(table.note), style="dim"))


def _findings(findings: "Sequence[WorkflowFinding]") -> Table:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    for finding in findings:
        grid.add_row(
            Text(finding.status, style=_STYLES[finding.status]),
            Text.assemble((_escaped(finding.subject), "bold"), ": ", _escaped(finding.message)),
        )
        if finding.remedy:
            grid.add_row("", _text(finding.remedy))
        if finding.docs:
            grid.add_row("", Text(_escaped(finding.docs), style="dim"))
    return grid


def _print_rows(console: Console, table: ReportTable, *, year: int) -> None:
    """Print columns; where they are too wide together, the widest texts stand below their row."""
    units = [match[1] if (match := _UNIT.search(column)) else None for column in table.columns]
    names = [_escaped(_UNIT.sub("", column)) for column in table.columns]
    rows = [[said(cell, unit, year=year) for cell, unit in zip(row, units, strict=True)] for row in table.rows]
    widths = [max(len(line[position]) for line in [names, *rows]) for position in range(len(names))]
    figures = {position for position in range(len(names)) if all(_is_figure(row[position]) for row in table.rows)}
    beside = _columns_beside(widths, figures, console.width)
    last = beside[-1]
    widths[last] = min(widths[last], _room_for_last(beside, widths, console.width))

    def line(cells: "Sequence[str]") -> Text:
        placed = [
            cell.rjust(widths[position]) if position in figures else cell.ljust(widths[position])
            for position, cell in zip(beside, cells, strict=True)
        ]
        return Text(_GAP.join(placed).rstrip())

    console.print(line([names[position] for position in beside]), style="dim")
    for row in rows:
        begin, *more = textwrap.wrap(row[last], widths[last]) or [""]
        console.print(line([*(row[position] for position in beside[:-1]), begin]))
        for words in more:
            console.print(line([*([""] * (len(beside) - 1)), words]))
        below = _GAP.join(cell for position, cell in enumerate(row) if cell and position not in beside)
        if below:
            console.print(Text(textwrap.indent(textwrap.fill(below, console.width - _INDENT), " " * _INDENT)))


def _columns_beside(widths: "Sequence[int]", figures: "Collection[int]", width: int) -> list[int]:
    """Return the columns that stand beside each other: the last of them may wrap, if enough is left for it."""
    beside = list(range(len(widths)))
    while len(beside) > 1 and _room_for_last(beside, widths, width) < min(widths[beside[-1]], _NARROWEST):
        texts = [position for position in beside[1:] if position not in figures] or beside[1:]
        beside.remove(max(texts, key=lambda position: (widths[position], position)))
    return beside


def _room_for_last(beside: "Sequence[int]", widths: "Sequence[int]", width: int) -> int:
    return width - sum(widths[position] + len(_GAP) for position in beside[:-1])


def said(cell: "Cell", unit: str | None = None, *, year: int | None = None) -> str:
    """Return a table's cell as a person reads it.

    Parameters
    ----------
    cell : str, int, float, bool or None
        A number of a column with a unit is in that unit.
    unit : {"bytes", "seconds", "ratio"}, optional
        Of the column.
    year : int, optional
        The one that need not be named.
    """
    if cell is None:
        return ""
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    if isinstance(cell, str):
        moment = _TIME.fullmatch(cell)
        if moment is None:
            return _escaped(cell)
        return f"{'' if moment[1] == str(year) else f'{moment[1]}-'}{moment[2]} {moment[3]}"
    match unit:
        case "bytes":
            return size_text(cell)
        case "seconds":
            return duration_text(cell)
        case "ratio":
            return f"{cell:.1%}"
        case _:
            return str(cell) if isinstance(cell, int) else f"{cell:.3g}" if abs(cell) < 1000 else f"{cell:.0f}"


def size_text(number: float) -> str:
    """Return a number of bytes in the unit that leaves it at one to three digits before the point."""
    for unit in _SIZES:
        if abs(number) < 1000 or unit == _SIZES[-1]:
            return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"
        number /= 1000
    raise AssertionError("the last unit takes everything")


def duration_text(seconds: float) -> str:
    """Return a time as a person says it: ``12 ms``, ``3.4 s``, ``5 min``, ``2.5 d``."""
    for length, unit in _DURATIONS:
        if abs(seconds) >= length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.1f} s" if abs(seconds) >= 1 or seconds == 0 else f"{seconds * 1000:.1f} ms"


def _is_figure(cell: "Cell") -> bool:
    return cell is None or (isinstance(cell, int | float) and not isinstance(cell, bool))


def _text(words: str) -> Text:
    # A text and no markup: a bracket in a sentence is a bracket.
    return Text(_escaped(words))


def _escaped(words: str) -> str:
    """Escape what would drive a terminal or pose as a line of ours; a table may hold what customers wrote."""
    if words.isprintable():
        return words
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode("ascii") for letter in words
    )
