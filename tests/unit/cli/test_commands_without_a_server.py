"""A command that needs a running NADIA says at once that there is none, on two lines."""

import time
from pathlib import Path

import pytest

from nadia.cli import main
from support.command_line import run_nadia


@pytest.mark.parametrize("command", [["account", "list"], ["login-link"], ["db", "current"], ["run", "worker"]])
def test_nothing_configured_and_nothing_running_is_said_at_once(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NADIA_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("DATABASE_URL", raising=False)
    begun = time.monotonic()

    assert main(command) == 3

    assert time.monotonic() - begun < 5, "the pool tries for six seconds"
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith("error: no PostgreSQL is configured, and no NADIA runs on ")
    assert "nadia up" in second


def test_a_configured_server_that_is_down_is_tried_once(tmp_path: Path) -> None:
    ended = run_nadia("account", "list", cwd=tmp_path, environ={"DATABASE_URL": f"postgresql://u@/x?host={tmp_path}"})

    assert ended.code == 3
    assert [line.split(":")[0] for line in ended.err.splitlines()] == ["error", "hint"]
    assert "DATABASE_URL" in ended.err


@pytest.mark.parametrize("command", [["upgrade", "nonsense"], ["downgrade", "nonsense", "--yes"]])
def test_a_revision_that_does_not_exist_is_refused_with_those_that_do(command: list[str], tmp_path: Path) -> None:
    ended = run_nadia("db", *command, cwd=tmp_path)

    assert ended.code == 2
    assert "0001, 0002" in ended.err
    assert len(ended.err.splitlines()) == 2


def test_going_down_by_steps_is_a_command_line(tmp_path: Path) -> None:
    assert run_nadia("db", "downgrade", "base", cwd=tmp_path).code == 4, "refused for want of --yes"
    too_far = run_nadia("db", "downgrade", "--steps", "1", cwd=tmp_path)
    assert (too_far.code, "the schema is at nothing" in too_far.err) == (2, True)
    assert run_nadia("db", "downgrade", cwd=tmp_path).code == 2
    assert run_nadia("db", "downgrade", "base", "--steps", "1", cwd=tmp_path).code == 2


def test_a_reason_that_cannot_be_stored_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["pause", "sending", "--reason", "a\x00b"]) == 2
    assert "--reason" in capsys.readouterr().err


def test_a_file_in_the_homes_place_is_called_a_file(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("")

    ended = run_nadia("up", cwd=tmp_path, environ={"NADIA_HOME": str(tmp_path / "home"), "NADIA_WEB_PORT": "0"})

    assert "it is a file" in ended.err


def test_help_cuts_no_summary_and_a_wrong_choice_is_named_plainly(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    assert "..." not in capsys.readouterr().out.partition("Commands:")[2]

    assert main(["account", "role", "x", "bogus"]) == 2
    assert "Value error" not in capsys.readouterr().err
