"""The section's defaults stand, what is not a setting is refused, and the real network wants credentials."""

from collections.abc import Mapping
from pathlib import Path

import pytest
from pydantic import ValidationError

from nadia.errors import ConfigurationError
from nadia.settings import Config, SettingsError
from nadia.settings.errors import Problem
from nadia.telegram.config import TelegramSettings

API = {"API_ID": "12345", "API_HASH": "0123456789abcdef0123456789abcdef"}
PEM = "-----BEGIN RSA PUBLIC KEY-----\nMIIB\n-----END RSA PUBLIC KEY-----\n"


def read(environ: Mapping[str, str]) -> TelegramSettings:
    return Config.from_env({"HOME": "/home/someone", **environ}, None).telegram


def problems_of(environ: Mapping[str, str]) -> tuple[Problem, ...]:
    with pytest.raises(SettingsError) as caught:
        read(environ)
    return caught.value.problems


def test_the_default_is_the_sandbox_of_this_home() -> None:
    settings = TelegramSettings()
    assert (settings.gateway, settings.account, settings.address) == ("sandbox", "sandbox", "")


@pytest.mark.parametrize(
    "values",
    [
        {"gateway": "carrier pigeon"},
        {"account": "../etc"},
        {"account": ""},
        {"request_timeout": 0},
        {"adress": "x"},
        {"api_id": 0},
        {"api_hash": "short"},
        {"dc_port": 70_000},
        {"dc_public_key": "/nowhere/key.pem"},
        {"dc_public_key": "nonsense"},
    ],
)
def test_a_wrong_value_is_refused(values: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        TelegramSettings.model_validate(values)


def test_every_setting_is_described() -> None:
    assert all(field.description for field in TelegramSettings.model_fields.values())


def test_the_real_network_with_credentials_is_accepted() -> None:
    settings = read({"NADIA_TELEGRAM_GATEWAY": "telethon", **API})
    credentials = settings.api_credentials()
    assert (credentials.api_id, credentials.api_hash.get_secret_value()) == (12345, API["API_HASH"])
    assert settings.data_centre is None


@pytest.mark.parametrize(
    ("given", "missing"),
    [({}, "API_ID and API_HASH"), ({"API_ID": "5"}, "API_HASH"), ({"API_HASH": API["API_HASH"]}, "API_ID")],
)
def test_the_real_network_without_credentials_is_refused_with_where_to_get_them(
    given: dict[str, str], missing: str
) -> None:
    (problem,) = problems_of({"NADIA_TELEGRAM_GATEWAY": "telethon", **given})
    assert f"{missing} must be set" in problem.problem
    assert "https://my.telegram.org" in problem.remedy


def test_a_log_in_wants_credentials_whatever_the_gateway() -> None:
    with pytest.raises(ConfigurationError, match="must be set"):
        TelegramSettings().api_credentials()


def test_a_wrong_secret_is_not_shown() -> None:
    (problem,) = problems_of({"API_HASH": "my-very-secret-hash"})
    assert "my-very-secret-hash" not in str(problem)
    assert problem.name == "API_HASH"


def test_secrets_may_stand_in_files(tmp_path: Path) -> None:
    (tmp_path / "hash").write_text(API["API_HASH"] + "\n")
    (tmp_path / "key").write_text("AGE-SECRET-KEY-1EXAMPLE\n")
    settings = read(
        {
            "API_HASH_FILE": str(tmp_path / "hash"),
            "API_ID": "5",
            "NADIA_TELEGRAM_SESSION_KEY_FILE": str(tmp_path / "key"),
        }
    )
    assert settings.api_credentials().api_hash.get_secret_value() == API["API_HASH"]
    assert settings.session_key is not None
    assert "EXAMPLE" not in repr(settings)


def test_a_data_centre_of_ones_own_is_an_address_and_a_key(tmp_path: Path) -> None:
    (tmp_path / "dc.pem").write_text(PEM)
    for key in (PEM, str(tmp_path / "dc.pem")):
        place = TelegramSettings(dc_id=3, dc_address="127.0.0.1", dc_port=4430, dc_public_key=key).data_centre
        assert place is not None
        assert (place.dc_id, place.host, place.port, place.public_key) == (3, "127.0.0.1", 4430, PEM)


def test_a_pem_file_that_holds_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "dc.pem").write_text("hello")
    with pytest.raises(ValidationError, match="does not begin with"):
        TelegramSettings(dc_public_key=str(tmp_path / "dc.pem"))
