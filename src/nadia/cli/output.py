"""How commands print: data to standard output, everything about it to standard error."""

import json
import os
import sys
from collections.abc import Iterable, Sequence
from typing import Annotated, Final, TextIO

import typer

from nadia.redaction import redact_text

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
"""Every command that reports has it."""

RED: Final = "31"
GREEN: Final = "32"
YELLOW: Final = "33"
CYAN: Final = "36"
FAINT: Final = "2"


def print_json(value: object) -> None:
    """Print one JSON document to standard output."""
    print(json.dumps(value, indent=2, ensure_ascii=False, default=str))


def print_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print columns to standard output, the header faint on a terminal."""
    lines = [list(header), *(list(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    for number, line in enumerate(lines):
        text = "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        print(paint(text, FAINT, stream=sys.stdout) if number == 0 else text)


def complain(message: str, *, hint: str | None = None) -> None:
    """Print an error, and on a line of its own what to do about it."""
    print(f"{paint('error:', RED)} {redact_text(message)}", file=sys.stderr)
    if hint:
        point_out(hint)


def point_out(hint: str) -> None:
    """Print what one might do next."""
    print(f"{paint('hint:', CYAN)} {redact_text(hint)}", file=sys.stderr)


def warn(message: str) -> None:
    """Print a warning."""
    print(f"{paint('warning:', YELLOW)} {redact_text(message)}", file=sys.stderr)


def paint(text: str, style: str, *, stream: TextIO | None = None) -> str:
    """Colour a text, where the stream is a terminal and nobody asked for none (no-color.org)."""
    stream = stream or sys.stderr
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb" or not stream.isatty():
        return text
    return f"\x1b[{style}m{text}\x1b[0m"
