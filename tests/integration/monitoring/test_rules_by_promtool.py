"""Prometheus's own tool accepts the configuration, and the alerts fire when they should."""

import shutil
import subprocess
from pathlib import Path

import pytest

from support.monitoring import MONITORING, RULE_FILES
from support.tools import require_tool

pytestmark = pytest.mark.prometheus


def promtool(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    program = require_tool("promtool", package="prometheus")
    return subprocess.run([program, *map(str, arguments)], capture_output=True, text=True, timeout=60, check=False)


def test_the_configuration_is_valid() -> None:
    done = promtool("check", "config", MONITORING / "prometheus.yml")

    assert done.returncode == 0, done.stderr + done.stdout
    assert "2 rule files found" in done.stdout


def test_the_rules_are_valid() -> None:
    done = promtool("check", "rules", "--lint=all", "--lint-fatal", *(MONITORING / name for name in RULE_FILES))

    assert done.returncode == 0, done.stderr + done.stdout
    assert "16 rules found" in done.stdout


@pytest.mark.parametrize("path", sorted((MONITORING / "tests").glob("*.yml")), ids=lambda path: path.stem)
def test_each_alert_fires_when_it_should_and_not_before(path: Path) -> None:
    done = promtool("test", "rules", path)

    assert done.returncode == 0, done.stderr + done.stdout


@pytest.mark.parametrize(
    ("written", "changed"),
    [("pg_up == 0", "pg_up == 2"), ("> 0.8\n        for: 5m", "> 0.8\n        for: 6m"), ("away", "gone")],
    ids=["another threshold", "another time", "other words"],
)
def test_a_rule_that_was_changed_by_mistake_is_found(tmp_path: Path, written: str, changed: str) -> None:
    shutil.copytree(MONITORING / "tests", tmp_path / "tests")
    rules = (MONITORING / "alert_rules.yml").read_text(encoding="utf-8")
    assert written in rules
    (tmp_path / "alert_rules.yml").write_text(rules.replace(written, changed), encoding="utf-8")

    assert promtool("test", "rules", tmp_path / "tests" / "infrastructure_health.yml").returncode != 0
