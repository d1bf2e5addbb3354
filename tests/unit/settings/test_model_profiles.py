"""`Config` and the model registry (baseline 2.1)."""

from pathlib import Path

import pytest

from nadia.errors import ConfigurationError
from nadia.settings import Config


def read(**environ: str) -> Config:
    return Config.from_env({"HOME": "/", **environ}, None)


def test_the_shipped_default_profile_can_be_asked_without_any_key() -> None:
    config = read()

    assert config.validate_profile("default")
    assert config.get_llm_config()["profile"] == "default"
    config.require_startable()


def test_a_profile_that_does_not_exist_is_not_valid_and_named_in_the_error() -> None:
    config = read(NADIA_LLM_PROFILE="defualt")

    assert not config.validate_profile("defualt")
    with pytest.raises(ConfigurationError, match="no model profile 'defualt'"):
        config.get_llm_config()
    with pytest.raises(ConfigurationError, match="no model profile 'defualt'"):
        config.require_startable()


def test_a_key_of_dotenv_reaches_the_registry(tmp_path: Path) -> None:
    dotenv = tmp_path / ".env"
    dotenv.write_text("OPENAI_API_KEY='sk-0123456789abcdef' # mine\n")

    usable = [
        link.name
        for link in Config.from_env({"HOME": "/"}, dotenv).model_registry().chain("default")
        if link.skipped is None
    ]

    assert usable == ["openai", "offline"]


def test_the_models_name_can_be_replaced() -> None:
    chain = read(NADIA_LLM_MODEL="gpt-5-mini").get_llm_config()["chain"]

    assert isinstance(chain, list)
    assert chain[0]["model"] == "gpt-5-mini"


def test_a_profile_without_a_usable_model_would_not_start(tmp_path: Path) -> None:
    (tmp_path / "models.yaml").write_text(
        "models:\n  only:\n    provider: openai\n    model: m\n    api_key_env: MISSING_KEY\n"
        "    input_price_per_million: 1\n    output_price_per_million: 1\nprofiles:\n  default:\n    chain: [only]\n"
    )

    with pytest.raises(ConfigurationError, match="MISSING_KEY is not set") as caught:
        read(NADIA_LLM_MODELS_FILE=str(tmp_path / "models.yaml")).require_startable()

    assert caught.value.hint is not None


def test_listening_for_others_needs_a_secret_key() -> None:
    with pytest.raises(ConfigurationError, match="NADIA_WEB_SECRET_KEY"):
        read(NADIA_WEB_HOST="0.0.0.0").require_startable()
