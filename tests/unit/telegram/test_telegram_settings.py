"""The section's defaults stand, and what is not a setting is refused."""

import pytest
from pydantic import ValidationError

from nadia.telegram.config import TelegramSettings


def test_the_default_is_the_sandbox_of_this_home() -> None:
    settings = TelegramSettings()
    assert (settings.gateway, settings.account, settings.address) == ("sandbox", "sandbox", "")


@pytest.mark.parametrize(
    "values",
    [{"gateway": "carrier pigeon"}, {"account": "../etc"}, {"account": ""}, {"request_timeout": 0}, {"adress": "x"}],
)
def test_a_wrong_value_is_refused(values: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        TelegramSettings.model_validate(values)


def test_every_setting_is_described() -> None:
    assert all(field.description for field in TelegramSettings.model_fields.values())
