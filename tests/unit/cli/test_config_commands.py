"""`nadia config`: show, check, env-example."""

import json
from pathlib import Path

from nadia.settings import Config
from support.command_line import run_nadia

SECRET = "hunter2hunter2hunter2hunter2hunter2"


def test_show_prints_every_setting_with_its_origin_and_no_secret(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(f"# mine\nNADIA_WEB_SECRET_KEY={SECRET}\n")
    (tmp_path / "redis").write_text(f"redis://:{SECRET}@h\n")
    environ = {"DATABASE_URL": f"postgresql://u:{SECRET}@h/d", "REDIS_URL_FILE": str(tmp_path / "redis")}

    outcome = run_nadia("config", "show", "--json", cwd=tmp_path, environ=environ)

    rows = {row["name"]: row for row in json.loads(outcome.out)}
    assert set(rows) == {setting.usual_name for setting in Config.settings()}
    assert rows["NADIA_WEB_SECRET_KEY"] == {"name": "NADIA_WEB_SECRET_KEY", "value": "***", "origin": ".env:2"}
    assert rows["DATABASE_URL"]["origin"] == "environment"
    assert rows["REDIS_URL"]["origin"] == f"file {tmp_path / 'redis'} (REDIS_URL_FILE)"
    assert rows["NADIA_WEB_PORT"] == {"name": "NADIA_WEB_PORT", "value": 8420, "origin": "default"}
    assert SECRET not in outcome.out + outcome.err
    assert outcome.code == 0


def test_show_can_be_limited_to_what_somebody_set(tmp_path: Path) -> None:
    outcome = run_nadia("config", "show", "--changed", cwd=tmp_path, environ={"NADIA_WEB_PORT": "9000"})

    assert [line.split() for line in outcome.out.splitlines()] == [
        ["name", "value", "origin"],
        ["NADIA_WEB_PORT", "9000", "environment"],
    ]


def test_check_says_that_all_is_well(tmp_path: Path) -> None:
    outcome = run_nadia("config", "check", cwd=tmp_path, environ={"LOG_LEVEL": "debug"})

    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out == "the settings are fine: 1 given, the others at their defaults\n"


def test_check_reports_all_that_is_wrong_and_exits_2(tmp_path: Path) -> None:
    environ = {"NADIA_WEB_PORT": "-1", "NADIA_WEBPORT": "1"}

    text = run_nadia("config", "check", cwd=tmp_path, environ=environ)
    data = run_nadia("config", "check", "--json", cwd=tmp_path, environ=environ)

    assert (text.code, text.out) == (2, "")
    assert text.err.startswith("error: 2 settings are wrong\n")
    assert text.err.splitlines()[-1].startswith("hint: ")
    assert data.code == 2
    assert {problem["name"] for problem in json.loads(data.out)["problems"]} == set(environ)


def test_check_looks_into_the_files_that_settings_name(tmp_path: Path) -> None:
    outcome = run_nadia("config", "check", "--json", cwd=tmp_path, environ={"NADIA_LLM_MODELS_FILE": "none.yaml"})

    assert outcome.code == 2
    assert "none.yaml" in outcome.err + outcome.out
    assert json.loads(outcome.out)["ok"] is False


def test_an_older_name_is_warned_of_on_standard_error(tmp_path: Path) -> None:
    outcome = run_nadia("config", "check", cwd=tmp_path, environ={"OPENAI_MODEL": "gpt-5-mini"})

    assert outcome.code == 0
    assert outcome.err == "warning: OPENAI_MODEL (environment) is an older name: write NADIA_LLM_MODEL\n"


def test_the_example_uncommented_is_a_valid_configuration(tmp_path: Path) -> None:
    example = run_nadia("config", "env-example", cwd=tmp_path).out
    lines = [
        line.removeprefix("#") for line in example.splitlines() if line.startswith("#") and not line.startswith("# ")
    ]
    (tmp_path / ".env").write_text("\n".join(lines))

    outcome = run_nadia("config", "check", cwd=tmp_path)

    assert lines
    assert (outcome.code, outcome.err) == (0, "")
