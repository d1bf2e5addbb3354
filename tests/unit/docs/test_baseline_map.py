"""docs/reference/baseline.md tells the truth about what exists."""

import ast
import importlib
import re
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
SOURCE = ROOT / "src" / "nadia"
_STATE = re.compile(r"present|planned: \S.*|differs|not measured")
_NAME = re.compile(r"`(?P<module>nadia(?:\.\w+)+):(?P<name>\w+(?:\.\w+)?)`")
_FILE = re.compile(r"`(?P<path>(?:monitoring|scripts|benchmarks|tests|docs)/[\w./-]+)`")


@dataclass(frozen=True)
class Row:
    baseline: str
    here: str
    state: str

    @property
    def is_planned(self) -> bool:
        return self.state.startswith("planned: ")


def rows() -> list[Row]:
    lines = (ROOT / "docs" / "reference" / "baseline.md").read_text(encoding="utf-8").splitlines()
    tables = [line for line in lines if line.startswith("|") and not re.match(r"\|[- |]+\|$|\| baseline \|", line)]
    return [Row(*(cell.strip() for cell in line.strip("|").split("|"))) for line in tables]


def names(*, planned: bool) -> list[tuple[str, str]]:
    chosen = [row for row in rows() if row.is_planned == planned]
    return sorted({(match["module"], match["name"]) for row in chosen for match in _NAME.finditer(row.here)})


def files(*, planned: bool) -> list[str]:
    return sorted({match["path"] for row in rows() if row.is_planned == planned for match in _FILE.finditer(row.here)})


def definitions(domain: str) -> set[str]:
    """Classes and their methods that stand anywhere in a domain, as ``Class`` and ``Class.method``."""
    place = SOURCE.joinpath(*domain.split(".")[1:])
    found = set()
    for path in [*place.rglob("*.py"), *SOURCE.glob(f"{place.name}.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                members = [item for item in node.body if isinstance(item, ast.FunctionDef | ast.AsyncFunctionDef)]
                found |= {node.name, *(f"{node.name}.{member.name}" for member in members)}
    return found


def test_every_row_has_a_place_and_a_state() -> None:
    assert len(rows()) > 100
    assert [row for row in rows() if not row.baseline or not row.here or not _STATE.fullmatch(row.state)] == []


@pytest.mark.parametrize(("module", "name"), names(planned=False), ids=lambda part: part)
def test_what_is_marked_present_can_be_imported(module: str, name: str) -> None:
    found: object = importlib.import_module(module)
    for part in name.split("."):
        found = getattr(found, part)

    assert found is not None


def test_what_is_marked_planned_does_not_exist_yet() -> None:
    arrived = [f"{domain}:{name}" for domain, name in names(planned=True) if name in definitions(domain)]

    assert arrived == [], "mark these present, with their module"


def test_files_are_where_the_map_says() -> None:
    assert [path for path in files(planned=False) if not (ROOT / path).exists()] == []
    assert [path for path in files(planned=True) if (ROOT / path).exists()] == [], "mark these present"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MONTH_IN_SECONDS", 2_592_000),
        ("CONSTITUTION_VERSION", "4.2"),
        ("MAX_HISTORY_LENGTH", 50),
        ("TYPING_DEBOUNCE_DELAY", 60),
    ],
)
def test_constants_have_the_baselines_values(name: str, value: object) -> None:
    assert getattr(importlib.import_module("nadia.constants"), name) == value
