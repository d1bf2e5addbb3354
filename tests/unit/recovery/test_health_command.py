"""`nadia recover health` where there is nothing to ask, and what it does not load."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from support.command_line import run_nadia


def test_no_database_ends_in_3_with_a_report(tmp_path: Path) -> None:
    ended = run_nadia("recover", "health", "--json", cwd=tmp_path, environ={"NADIA_HOME": str(tmp_path / "home")})

    assert (ended.code, ended.err) == (3, "")
    report = json.loads(ended.out)
    assert report["summary"] == "critical: database"
    assert report["dimensions"]["database"]["summary"].startswith("no PostgreSQL is configured, and no NADIA runs on ")


def test_a_server_that_is_down_is_said_to_people_with_the_remedy(tmp_path: Path) -> None:
    ended = run_nadia("recover", "health", cwd=tmp_path, environ={"DATABASE_URL": f"postgresql://u@/x?host={tmp_path}"})

    assert ended.code == 3
    assert "PostgreSQL cannot be reached; is the server up? DATABASE_URL says" in " ".join(ended.out.split())
    assert "Traceback" not in ended.err


@pytest.mark.parametrize("arguments", [[], ["--json"]])
def test_a_wrong_setting_ends_in_2_before_anything_is_checked(arguments: list[str], tmp_path: Path) -> None:
    ended = run_nadia(
        "recover", "health", *arguments, cwd=tmp_path, environ={"NADIA_RECOVERY_HEALTH_STALE_HOURS": "soon"}
    )

    assert (ended.code, ended.out) == (2, "")
    assert "NADIA_RECOVERY_HEALTH_STALE_HOURS" in ended.err


def test_a_check_loads_nothing_that_it_does_not_need(tmp_path: Path) -> None:
    program = (
        "import sys; from nadia.cli import main; main(['recover', 'health', '--json']); heavy = ('telethon', 'openai', "
        "'fastapi', 'alembic', 'httpx', 'httpx2', 'jinja2', 'nadia.app.factory', 'nadia.recovery.agent'); "
        "print([name for name in heavy if name in sys.modules], file=sys.stderr)"
    )

    result = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
        env={"HOME": str(tmp_path)},
    )

    assert result.stderr.splitlines()[-1] == "[]"
