"""What is written from the code is written from the code as it is now."""

import runpy
from collections.abc import Callable
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]


@cache
def generated() -> dict[Path, str]:
    function: Callable[[], dict[Path, str]] = runpy.run_path(str(ROOT / "docs" / "generate.py"))["generated"]
    return function()


def page(name: str) -> str:
    return generated()[ROOT / "docs" / "reference" / name]


def test_every_generated_file_is_current() -> None:
    stale = [
        path.name for path, text in generated().items() if not path.exists() or path.read_text(encoding="utf-8") != text
    ]

    assert stale == [], "run `make docs`"


def test_every_setting_command_and_metric_is_described() -> None:
    """A row whose last column is empty documents nothing."""
    for name in ("settings.md", "cli.md", "metrics.md"):
        rows = [line for line in page(name).splitlines() if line.startswith("| `")]
        assert rows, name
        assert [row for row in rows if row.rstrip(" |").endswith("|") or len(row.rstrip(" |").split(" | ")) < 2] == []


def test_every_command_says_what_it_does() -> None:
    sections = page("cli.md").split("\n## ")[1:]

    assert sections
    assert [section.splitlines()[0] for section in sections if not section.splitlines()[2].endswith((".", "?"))] == []
