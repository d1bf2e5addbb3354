"""`X_FILE`: a secret in a file of its own."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from nadia.settings import Config, Problem, SettingsError


def problem_of(**environ: str) -> Problem:
    with pytest.raises(SettingsError) as caught:
        Config.from_env({"HOME": "/", **environ}, None)
    (problem,) = caught.value.problems
    return problem


def test_a_secret_is_read_from_its_file_to_the_letter(tmp_path: Path) -> None:
    path = tmp_path / "key"
    key = "a key of 32 characters 'or' #more"
    path.write_text(f"{key}\n")

    config = Config.from_env({"HOME": "/", "NADIA_WEB_SECRET_KEY_FILE": str(path)}, None)

    assert config.web.secret_key is not None
    assert config.web.secret_key.get_secret_value() == key
    setting = next(setting for setting in Config.settings() if setting.path == "web.secret_key")
    assert config.origin(setting) == f"file {path} (NADIA_WEB_SECRET_KEY_FILE)"


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    problem = problem_of(DATABASE_URL_FILE=str(tmp_path / "none"))

    assert (problem.name, problem.problem) == ("DATABASE_URL_FILE", f"there is no file {tmp_path / 'none'}")


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("\n")

    assert "is empty" in problem_of(REDIS_URL_FILE=str(tmp_path / "empty")).problem


def test_a_folder_is_refused(tmp_path: Path) -> None:
    assert "cannot be read: Is a directory" in problem_of(REDIS_URL_FILE=str(tmp_path)).problem


@pytest.fixture
def ordinary_user() -> Iterator[None]:
    """Root reads every file: be somebody else for a while."""
    before = os.geteuid()
    if before == 0:
        os.seteuid(65_534)
    yield
    os.seteuid(before)


def test_an_unreadable_file_is_refused(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    path = tmp_path / "closed"
    path.write_text("secret")
    path.chmod(0)
    request.getfixturevalue("ordinary_user")

    assert "cannot be read: Permission denied" in problem_of(REDIS_URL_FILE=str(path)).problem


def test_a_file_that_is_no_text_or_far_too_long_is_refused(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "long").write_bytes(b"x" * 70_000)

    assert "not a UTF-8 text" in problem_of(REDIS_URL_FILE=str(tmp_path / "binary")).problem
    assert "larger than 64 KiB" in problem_of(REDIS_URL_FILE=str(tmp_path / "long")).problem


def test_the_value_and_its_file_together_are_refused(tmp_path: Path) -> None:
    (tmp_path / "url").write_text("redis://h")

    problem = problem_of(REDIS_URL="redis://h", REDIS_URL_FILE=str(tmp_path / "url"))

    assert problem.name == "REDIS_URL and REDIS_URL_FILE"
    assert problem.remedy == "keep one of them"


def test_an_empty_value_beside_its_file_is_no_contradiction(tmp_path: Path) -> None:
    (tmp_path / "url").write_text("redis://h")

    assert Config.from_env({"HOME": "/", "REDIS_URL": "", "REDIS_URL_FILE": str(tmp_path / "url")}, None).redis.url


def test_what_is_no_secret_is_not_read_from_a_file() -> None:
    problem = problem_of(NADIA_WEB_PORT_FILE="/run/port")

    assert (problem.problem, problem.remedy) == ("only secrets are read from files", "set NADIA_WEB_PORT itself")
