"""A report reads well at 80 columns, and drives no terminal whatever stands in it."""

from datetime import UTC, datetime

import pytest
from pydantic import ValidationError

from nadia.cli.workflow_report import duration_text, print_report, said, size_text
from nadia.health.models import HealthStatus
from nadia.workflows.report import Cell, ReportTable, WorkflowFinding, WorkflowReport

HOSTILE = "\x1b]0;owned\x07\x1b[2J [red]no markup[/red] \u202egpj.exe\r\n done"


def report(
    *tables: ReportTable, findings: list[WorkflowFinding] | None = None, answer: str = "So it is."
) -> WorkflowReport:
    return WorkflowReport(
        workflow="db-stats",
        question="What is in it?",
        status=HealthStatus.WARNING,
        answer=answer,
        ran_at=datetime(2026, 3, 1, tzinfo=UTC),
        seconds=0.1,
        findings=findings or [],
        tables=list(tables),
    )


def table(columns: list[str], *rows: list[Cell], note: str | None = None) -> ReportTable:
    return ReportTable(title="Figures", columns=columns, rows=list(rows), note=note)


@pytest.fixture(autouse=True)
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")


def printed(capsys: pytest.CaptureFixture[str], one: WorkflowReport) -> list[str]:
    print_report(one)
    return [line.rstrip() for line in capsys.readouterr().out.splitlines()]


def test_columns_stand_beside_each_other_with_figures_to_the_right(capsys: pytest.CaptureFixture[str]) -> None:
    lines = printed(
        capsys, report(table(["table", "size (bytes)", "rows"], ["messages", 1_250_000, 7], ["audit", 90, 12345]))
    )

    assert lines == [
        "db-stats: warning",
        "So it is.",
        "",
        "Figures",
        "table       size   rows",
        "messages  1.2 MB      7",
        "audit       90 B  12345",
    ]


def test_what_is_too_wide_stands_below_its_row(capsys: pytest.CaptureFixture[str]) -> None:
    lines = printed(
        capsys, report(table(["at", "what", "detail"], ["now", "w" * 60, "long " * 30], ["then", "x", None]))
    )

    assert lines[4:7] == ["at    what", f"now   {'w' * 60}", "    " + ("long " * 15).strip()]
    assert lines[-1] == "then  x"
    assert max(map(len, lines)) <= 80


def test_the_last_column_wraps_where_there_is_room_for_it(capsys: pytest.CaptureFixture[str]) -> None:
    lines = printed(capsys, report(table(["probe", "what it found"], ["disk", "very " * 30])))

    assert lines[5].startswith("disk   very very")
    assert lines[6].startswith("       very very")
    assert max(map(len, lines)) <= 80


def test_no_rows_are_none_and_notes_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert printed(capsys, report(table(["a"], note="Two are left out.")))[3:] == [
        "Figures",
        "none",
        "Two are left out.",
    ]


def test_findings_name_subject_problem_and_remedy(capsys: pytest.CaptureFixture[str]) -> None:
    finding = WorkflowFinding(
        status=HealthStatus.CRITICAL, subject="Redis", message="full", remedy="raise it", docs="docs/x.md"
    )

    assert printed(capsys, report(findings=[finding]))[3:] == [
        "critical  Redis: full",
        "          raise it",
        "          docs/x.md",
    ]


@pytest.mark.parametrize("width", ["20", "80", "200"])
def test_nothing_drives_the_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, width: str
) -> None:
    monkeypatch.setenv("COLUMNS", width)
    finding = WorkflowFinding(
        status=HealthStatus.WARNING, subject=HOSTILE, message=HOSTILE, remedy=HOSTILE, docs=HOSTILE
    )
    text = "\n".join(
        printed(
            capsys,
            report(table([HOSTILE, "b"], [HOSTILE, HOSTILE * 9], note=HOSTILE), findings=[finding], answer=HOSTILE),
        )
    )

    assert all(letter.isprintable() or letter == "\n" for letter in text)
    if width == "200":
        assert "[red]no markup[/red]" in text


@pytest.mark.parametrize(
    ("cell", "unit", "words"),
    [
        (None, None, ""),
        (True, None, "yes"),
        (0, "bytes", "0 B"),
        (999_949, "bytes", "999.9 kB"),
        (5 * 10**15, "bytes", "5000.0 TB"),
        (0.0012, "seconds", "1.2 ms"),
        (0, "seconds", "0.0 s"),
        (59.96, "seconds", "60.0 s"),
        (200_000, "seconds", "2.3 d"),
        (0.9876, "ratio", "98.8%"),
        (0.123456, None, "0.123"),
        (123456.7, None, "123457"),
        ("2026-03-01T10:00:00+00:00", None, "03-01 10:00:00"),
        ("2025-12-31T10:00:00.25Z", None, "2025-12-31 10:00:00"),
    ],
)
def test_cells_are_said_as_people_say_them(cell: Cell, unit: str | None, words: str) -> None:
    assert said(cell, unit, year=2026) == words


def test_sizes_and_durations_keep_their_sign() -> None:
    assert size_text(-2_000_000) == "-2.0 MB"
    assert duration_text(-90) == "-1.5 min"


def test_a_row_with_a_cell_too_few_is_refused() -> None:
    with pytest.raises(ValidationError, match="has not one cell for each of"):
        table(["a", "b"], [1])
