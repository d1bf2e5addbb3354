"""`Config.from_env`: which name counts, where a value came from, and everything wrong said at once."""

from collections.abc import Mapping
from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError

from nadia.settings import Config, Problem, SettingsError
from nadia.settings.names import LEGACY, PLAIN, RETIRED, Setting


def read(environ: Mapping[str, str], dotenv: Path | None = None) -> Config:
    return Config.from_env({"HOME": "/home/someone", **environ}, dotenv)


def problems_of(environ: Mapping[str, str], dotenv: Path | None = None) -> tuple[Problem, ...]:
    with pytest.raises(SettingsError) as caught:
        read(environ, dotenv)
    return caught.value.problems


def setting(name: str) -> Setting:
    return next(setting for setting in Config.settings() if setting.name == name)


def secret(value: SecretStr | None) -> str | None:
    return value.get_secret_value() if value else None


def test_nothing_set_gives_the_defaults() -> None:
    config = read({})

    assert config.web.port == 8420
    assert config.postgres.url is None
    assert config.home == Path("/home/someone/.local/share/nadia")
    assert {config.origin(setting) for setting in config.settings()} == {"default"}


def test_every_setting_is_described_and_its_default_is_accepted_as_text() -> None:
    for each in Config.settings():
        assert each.description.endswith("."), each.name
        if each.default_text:
            read({each.name: each.default_text})


def test_the_environment_is_stronger_than_dotenv(tmp_path: Path) -> None:
    dotenv = tmp_path / ".env"
    dotenv.write_text("NADIA_WEB_PORT=1001\nNADIA_WEB_HOST=127.0.0.2\n")

    config = read({"NADIA_WEB_PORT": "1002"}, dotenv)

    assert (config.web.port, config.web.host) == (1002, "127.0.0.2")
    assert config.origin(setting("NADIA_WEB_PORT")) == "environment"
    assert config.origin(setting("NADIA_WEB_HOST")) == ".env:2"


def test_an_empty_variable_undoes_a_line_of_dotenv(tmp_path: Path) -> None:
    dotenv = tmp_path / ".env"
    dotenv.write_text("DATABASE_URL=postgresql://u:p@h/d\n")

    config = read({"DATABASE_URL": ""}, dotenv)

    assert config.postgres.url is None
    assert config.origin(setting("NADIA_POSTGRES_URL")) == "default"


@pytest.mark.parametrize("name", ["DATABASE_URL", "NADIA_POSTGRES_URL"])
def test_a_plain_name_is_as_good_as_the_prefixed_one(name: str) -> None:
    assert secret(read({name: "'postgresql://u:p@h/d' # main"}).postgres.url) == "postgresql://u:p@h/d"


def test_two_names_with_different_values_in_one_place_are_refused() -> None:
    (problem,) = problems_of({"DATABASE_URL": "postgresql://a", "NADIA_POSTGRES_URL": "postgresql://b"})

    assert problem.name == "NADIA_POSTGRES_URL and DATABASE_URL"


def test_every_other_name_stands_for_a_setting_that_exists() -> None:
    paths = {setting.path for setting in Config.settings()}

    assert set(PLAIN.values()) <= paths
    assert set(LEGACY.values()) <= paths


@pytest.mark.parametrize("name", sorted(LEGACY))
def test_an_older_name_is_accepted_with_a_warning(name: str) -> None:
    target = next(setting for setting in Config.settings() if setting.path == LEGACY[name])
    value = target.default_text or "gpt-4.1-mini"

    with pytest.warns(DeprecationWarning, match=f"{name} .environment. is an older name: write {target.name}"):
        config = read({name: value})

    assert config.origin(target) == "environment"
    assert len(config.deprecations) == 1


def test_an_older_name_gives_way_to_the_present_one() -> None:
    with pytest.warns(DeprecationWarning, match="ignored, because NADIA_LLM_MODEL is set"):
        config = read({"OPENAI_MODEL": "old", "NADIA_LLM_MODEL": "new"})

    assert config.llm.model == "new"


def test_of_two_older_names_the_first_of_the_table_counts() -> None:
    with pytest.warns(DeprecationWarning):
        config = read({"OPENAI_MODEL": "other", "LLM1_MODEL": "drafting"})

    assert config.llm.model == "drafting"


@pytest.mark.parametrize("name", sorted(RETIRED))
def test_a_retired_name_is_ignored_and_said_so(name: str) -> None:
    with pytest.warns(DeprecationWarning, match=f"{name} .environment. is ignored"):
        read({name: "anything"})


def test_an_unknown_name_is_refused_with_the_nearest_known_one(tmp_path: Path) -> None:
    dotenv = tmp_path / ".env"
    dotenv.write_text("NADIA_WEB_PROT=80\nOTHER_PROGRAM=1\n")

    (problem,) = problems_of({}, dotenv)

    assert (problem.name, problem.origin) == ("NADIA_WEB_PROT", ".env:1")
    assert problem.remedy == "did you mean NADIA_WEB_PORT?"


def test_switches_of_the_process_are_no_settings_and_no_mistakes() -> None:
    assert read({"NADIA_DEBUG": "1", "NADIA_CI": "1"}).deprecations == ()


def test_everything_wrong_is_said_at_once_by_name(tmp_path: Path) -> None:
    dotenv = tmp_path / ".env"
    dotenv.write_text("NADIA_REDIS_MODE=cloister\nnonsense\n")

    problems = problems_of({"NADIA_WEB_PORT": "many", "NADIA_NOTHING": "1", "DATABASE_URL_FILE": "/none"}, dotenv)

    by_name = {problem.name: problem for problem in problems}
    assert set(by_name) == {".env:2", "NADIA_REDIS_MODE", "NADIA_WEB_PORT", "NADIA_NOTHING", "DATABASE_URL_FILE"}
    assert by_name["NADIA_WEB_PORT"].problem == "'many' is not a whole number from 0 to 65535"
    assert by_name["NADIA_WEB_PORT"].remedy == "for example NADIA_WEB_PORT=8420"
    assert by_name["NADIA_REDIS_MODE"].problem == "'cloister' is not one of single, cluster, sentinel"
    assert by_name["NADIA_REDIS_MODE"].origin == ".env:1"
    assert all(problem.problem and problem.remedy for problem in problems)


def test_a_refused_secret_is_not_shown() -> None:
    with pytest.raises(SettingsError) as caught:
        read({"NADIA_WEB_SECRET_KEY": "hunter2"})

    assert "NADIA_WEB_SECRET_KEY" in caught.value.message
    assert "hunter2" not in f"{caught.value!r} {caught.value.message} {caught.value.problems}"


def test_a_rule_about_two_settings_names_those_that_were_given() -> None:
    (problem,) = problems_of({"NADIA_WEB_SESSION_IDLE_SECONDS": "600", "NADIA_WEB_SESSION_LIFETIME_SECONDS": "300"})

    assert problem.name == "NADIA_WEB_SESSION_IDLE_SECONDS / NADIA_WEB_SESSION_LIFETIME_SECONDS"


def test_lists_are_separated_by_commas_or_written_as_json() -> None:
    assert read({"NADIA_WEB_ALLOWED_HOSTS": "a.example, b.example"}).web.allowed_hosts == ("a.example", "b.example")
    assert read({"NADIA_WEB_ALLOWED_HOSTS": '["a,b"]'}).web.allowed_hosts == ("a,b",)
    assert problems_of({"NADIA_WEB_ALLOWED_HOSTS": "[broken"})[0].name == "NADIA_WEB_ALLOWED_HOSTS"


def test_the_home_may_begin_with_a_tilde(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/tilde")

    assert read({"NADIA_HOME": "~/data"}).home == Path("/home/tilde/data")


def test_the_configuration_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        read({}).web = None  # type: ignore[assignment, misc]  # what the test is about


def test_secrets_are_in_no_text_of_the_configuration() -> None:
    config = read({"DATABASE_URL": "postgresql://u:hunter2@h/d", "OPENAI_API_KEY": "sk-hunter2hunter2"})

    shown = [str(config.shown(setting)) for setting in config.settings()]
    assert "hunter2" not in f"{config!r} {config} {config.model_dump()} {config.model_dump_json()} {shown}"
