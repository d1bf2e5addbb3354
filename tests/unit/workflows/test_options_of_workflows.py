"""Options are made from a workflow's arguments; a value that is wrong is refused with the option's name."""

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from nadia.app.workflows import OPENERS
from nadia.cli.exit_codes import ExitCode
from nadia.cli.workflow import exit_code
from nadia.clock import utc_now
from nadia.health.models import HealthStatus
from nadia.workflows.registry import WORKFLOWS, workflow_class
from nadia.workflows.report import WorkflowReport
from support.command_line import Outcome, run_nadia

ROOT = Path(__file__).resolve().parents[3]


def workflow(folder: Path, *arguments: str, environ: Mapping[str, str] | None = None) -> Outcome:
    return run_nadia("workflow", *arguments, cwd=folder, environ=environ)


@pytest.mark.parametrize("name", WORKFLOWS)
def test_every_workflow_is_what_the_registry_says(name: str) -> None:
    found = workflow_class(name)

    assert found.name == name
    assert found.question.endswith("?")
    assert name in OPENERS
    assert [field for field, info in found.arguments.model_fields.items() if not info.description] == []


def test_there_are_no_openers_beside_the_registry() -> None:
    assert set(OPENERS) == set(WORKFLOWS)


def test_list_names_all(tmp_path: Path) -> None:
    ended = workflow(tmp_path, "list")

    assert (ended.code, ended.err) == (0, "")
    assert [line.split()[0] for line in ended.out.splitlines()[1:]] == list(WORKFLOWS)
    listed = json.loads(workflow(tmp_path, "list", "--json").out)
    assert [each["name"] for each in listed] == list(WORKFLOWS)
    assert all(each["arguments"]["type"] == "object" for each in listed)


def test_help_tells_question_options_and_defaults(tmp_path: Path) -> None:
    ended = workflow(tmp_path, "find-error", "--help")

    assert ended.code == 0
    words = " ".join(ended.out.split())
    assert "What goes wrong, since when, and is it getting worse?" in words
    assert "--hours NUMBER How far to look back, hours. [default: 24]" in words
    assert "--pattern TEXT" in words
    assert "--log FILE" in words


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["find-error", "--hours", "soon"], "--hours: input should be a valid number"),
        (["find-error", "--hours", "-1"], "--hours: input should be greater than 0"),
        (["find-error", "--hours", "nan"], "--hours: input should be"),
        (["find-error", "--hours", "1e999"], "--hours: input should be"),
        (["find-error", "--limit", "1.5"], "--limit: input should be a valid integer"),
        (["find-error", "--pattern", ""], "--pattern: string should have at least 1 character"),
        (["find-error", "--log", "nowhere.log"], "there is no file nowhere.log"),
        (["find-error", "--log", "."], "--log: . is not a file"),
        (["perf-baseline", "bake"], "ACTION: input should be 'create', 'list' or 'compare'"),
        (["find-eror"], "there is no workflow 'find-eror'"),
        (["find-error", "--houres", "3"], "no such option: --houres"),
        (["debug-user"], "Missing argument 'WHO'"),
    ],
)
def test_what_is_wrong_is_refused_by_name(tmp_path: Path, arguments: list[str], said: str) -> None:
    ended = workflow(tmp_path, *arguments)

    assert (ended.code, ended.out) == (2, "")
    assert said.lower() in ended.err.lower()
    assert "hint: " in ended.err


def test_without_a_server_nothing_is_pretended(tmp_path: Path) -> None:
    environ = {"NADIA_HOME": str(tmp_path / "home")}

    assert workflow(tmp_path, "db-stats", environ=environ).code == ExitCode.UNREACHABLE
    ended = workflow(tmp_path, "find-error", "--json", environ=environ)
    assert ended.code == ExitCode.UNREACHABLE
    assert json.loads(ended.out)["unreachable"] == ["PostgreSQL"]


@pytest.mark.parametrize(
    ("status", "unreachable", "code"),
    [
        ("healthy", [], ExitCode.FINE),
        ("warning", [], ExitCode.NOT_FINE),
        ("critical", [], ExitCode.NOT_FINE),
        ("unknown", [], ExitCode.NOT_FINE),
        ("unknown", ["PostgreSQL"], ExitCode.UNREACHABLE),
        ("warning", ["Redis"], ExitCode.UNREACHABLE),
    ],
)
def test_the_exit_code_follows_the_report(status: str, unreachable: list[str], code: ExitCode) -> None:
    report = WorkflowReport(
        workflow="x",
        question="?",
        status=HealthStatus(status),
        answer="so",
        ran_at=utc_now(),
        seconds=0,
        unreachable=unreachable,
    )

    assert exit_code(report) is code


def test_the_launcher_is_small_and_hands_everything_on(tmp_path: Path) -> None:
    launcher = ROOT / "scripts" / "mcp-workflow.sh"
    ended = subprocess.run([launcher, "list"], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    refused = subprocess.run(
        [launcher, "find-error", "--hours", "a b"], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )

    assert len(launcher.read_text(encoding="utf-8").splitlines()) <= 10
    assert ended.returncode == 0
    assert all(name in ended.stdout for name in WORKFLOWS)
    assert (refused.returncode, refused.stderr.splitlines()[0][:14]) == (2, "error: --hours")
