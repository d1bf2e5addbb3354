"""A mistyped server URL is refused when the settings are read, without a word of the value."""

import pytest

from nadia.settings import Config, SettingsError

PASSWORD = "hunter-zwei"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DATABASE_URL", "postgresql:/u:hunter-zwei@h/x"),
        ("DATABASE_URL", "postgres//u:hunter-zwei@h/x"),
        ("DATABASE_URL", "mysql://u:hunter-zwei@h/x"),
        ("DATABASE_URL", "postgresql://u:hunter-zwei/more@h/x"),
        ("DATABASE_URL", "postgresql://u:some@hunter-zwei@h/x"),
        ("DATABASE_URL", "postgresql://u:hunter-zwei%zz@h/x"),
        ("DATABASE_URL", "postgresql://u:hunter-zwei@/x"),
        ("DATABASE_URL", "host=h password='hunter-zwei"),
        ("NADIA_POSTGRES_OWNER_URL", "postgresql:/u:hunter-zwei@h/x"),
        ("REDIS_URL", "redis:/u:hunter-zwei@h"),
        ("REDIS_URL", "http://u:hunter-zwei@h"),
        ("REDIS_URL", "redis://u:hunter-zwei/more@h"),
        ("REDIS_URL", "redis://u:hunter-zwei@"),
        ("REDIS_URL", "redis://u:hunter-zwei@h:port"),
    ],
)
def test_a_mistyped_url_is_refused_without_its_password(name: str, value: str) -> None:
    with pytest.raises(SettingsError) as refused:
        Config.from_env({"HOME": "/home/someone", name: value}, dotenv=None)

    (problem,) = refused.value.problems
    assert problem.name == name
    assert PASSWORD not in str(refused.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DATABASE_URL", "postgresql://u:p%40ss@db:5432/nadia"),
        ("DATABASE_URL", "postgres://u:p@a:1,b:2/nadia?target_session_attrs=read-write"),
        ("DATABASE_URL", "postgresql://u:p@/nadia?host=%2Frun%2Fpg&port=5432"),
        ("DATABASE_URL", "postgresql://u:p@[::1]:5432/nadia"),
        ("DATABASE_URL", "host=db user=u password=p dbname=nadia"),
        ("REDIS_URL", "redis://db"),
        ("REDIS_URL", "rediss://:p@db:6379/0"),
        ("REDIS_URL", "redis://s1:26379,s2:26379"),
        ("REDIS_URL", "redis://u:p@[::1]:6379"),
        ("REDIS_URL", "unix://u:p@/run/redis.sock"),
        ("REDIS_URL", "unix:///run/redis.sock"),
    ],
)
def test_what_the_drivers_take_is_accepted(name: str, value: str) -> None:
    config = Config.from_env({"HOME": "/home/someone", name: value}, dotenv=None)

    section = config.postgres if name == "DATABASE_URL" else config.redis
    assert section.url is not None
    assert section.url.get_secret_value() == value


def test_a_relative_home_is_made_absolute(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    monkeypatch.chdir(str(tmp_path))

    assert str(Config.from_env({"NADIA_HOME": "here"}, dotenv=None).home) == f"{tmp_path}/here"


@pytest.mark.parametrize("account", ["a" * 64, "Big", "-a"])
def test_an_accounts_name_that_the_database_refuses_is_refused_in_words(account: str) -> None:
    with pytest.raises(SettingsError, match="must begin with a lower-case letter"):
        Config.from_env({"HOME": "/home/someone", "NADIA_TELEGRAM_ACCOUNT": account}, dotenv=None)
