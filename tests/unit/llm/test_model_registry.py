from decimal import Decimal
from pathlib import Path

import pytest
from pydantic import SecretStr

from nadia.errors import ConfigurationError
from nadia.llm.registry import ModelRegistry, OpenAIModel, load_registry

FILE = """\
models:
  big:
    provider: openai
    model: big-1
    base_url: https://models.example/v1
    api_key_env: BIG_KEY
    input_price_per_million: 2.5
    output_price_per_million: 10
  local:
    provider: openai
    model: small-1
    base_url: http://127.0.0.1:11434/v1
    private_network: true
    input_price_per_million: 0
    output_price_per_million: 0
  offline:
    provider: offline
profiles:
  default:
    chain: [big, local, offline]
    temperature: 0.3
  big-only:
    chain: [big]
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "models.yaml"
    path.write_text(FILE)
    return path


def refused(path: Path, text: str) -> ConfigurationError:
    path.write_text(text)
    with pytest.raises(ConfigurationError) as error:
        load_registry(path, environment={})
    return error.value


def test_the_shipped_registry_works_without_any_key() -> None:
    registry = load_registry(None, environment={})
    remote, offline = registry.chain("default")
    assert remote.skipped == "OPENAI_API_KEY is not set"
    assert offline.skipped is None
    assert registry.validate_profile("default")
    assert registry.validate_profile("offline")


def test_the_shipped_registry_asks_the_model_first_once_its_key_is_set() -> None:
    remote, _ = load_registry(None, environment={"OPENAI_API_KEY": " sk-test \n"}).chain("default")
    assert remote.skipped is None
    assert remote.api_key == SecretStr("sk-test")


def test_a_key_may_come_from_a_file(file: Path, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("from-a-file\n")
    link = load_registry(file, environment={"BIG_KEY_FILE": str(tmp_path / "key")}).chain("default")[0]
    assert link.api_key == SecretStr("from-a-file")


@pytest.mark.parametrize(
    ("environment", "reason"),
    [
        ({}, "BIG_KEY is not set"),
        ({"BIG_KEY": "  "}, "BIG_KEY is not set"),
        ({"BIG_KEY_FILE": "/nowhere/key"}, "BIG_KEY_FILE names /nowhere/key, which cannot be read (FileNotFoundError)"),
        ({"BIG_KEY": "two words"}, "BIG_KEY holds spaces or characters that no key has"),
    ],
)
def test_a_model_without_a_usable_key_is_skipped_with_the_reason(
    file: Path, environment: dict[str, str], reason: str
) -> None:
    registry = load_registry(file, environment=environment)
    assert [link.skipped for link in registry.chain("default")] == [reason, None, None]
    assert not registry.validate_profile("big-only")


def test_prices_are_exact(file: Path) -> None:
    model = load_registry(file, environment={}).models["big"]
    assert isinstance(model, OpenAIModel)
    assert model.input_price_per_million == Decimal("2.5")


def test_a_profile_as_plain_data_holds_no_key(file: Path) -> None:
    config = load_registry(file, environment={"BIG_KEY": "the-key"}).get_llm_config("default")
    assert config["temperature"] == 0.3
    assert "the-key" not in str(config)
    chain = config["chain"]
    assert isinstance(chain, list)
    assert [(entry["name"], entry["usable"]) for entry in chain] == [("big", True), ("local", True), ("offline", True)]


def test_an_unknown_profile_is_named_with_the_nearest_one(file: Path) -> None:
    registry = load_registry(file, environment={})
    assert not registry.validate_profile("defualt")
    with pytest.raises(ConfigurationError, match="did you mean 'default'") as error:
        registry.profile("defualt")
    assert "big-only" in (error.value.hint or "")


def test_the_model_name_of_the_first_remote_entry_can_be_replaced(file: Path) -> None:
    registry = load_registry(file, environment={}).with_model("big-2", profile="default")
    assert isinstance(registry, ModelRegistry)
    changed, untouched = registry.models["big"], registry.models["local"]
    assert isinstance(changed, OpenAIModel)
    assert isinstance(untouched, OpenAIModel)
    assert (changed.model, untouched.model) == ("big-2", "small-1")
    with pytest.raises(ConfigurationError, match="NADIA_LLM_MODEL"):
        load_registry(None, environment={}).with_model("x", profile="offline")


@pytest.mark.parametrize(
    ("before", "after", "line", "problem"),
    [
        ("    model: big-1", "    modle: big-1", 4, "models.big.modle: unknown field; did you mean 'model'?"),
        ("    input_price_per_million: 2.5\n", "", 2, "models.big.input_price_per_million: is missing"),
        ("    input_price_per_million: 2.5", "    input_price_per_million: -1", 7, "greater than or equal to 0"),
        ("provider: offline", "provider: ollama", 16, "models.offline: Input tag 'ollama'"),
        ("temperature: 0.3", "temperature: warm", 21, "profiles.default.temperature: "),
        ("chain: [big]", "chain: [huge]", 23, "profiles.big-only.chain: there is no model 'huge'"),
        ("chain: [big]", "chain: [bigg]", 23, "did you mean 'big'?"),
        ("chain: [big]", "chain: []", 23, "profiles.big-only.chain: "),
        ("chain: [big]", "chain: [big, big]", 23, "big stands there twice"),
        ("https://models.example", "ftp://models.example", 5, "write it as https://host/v1"),
        ("https://models.example", "https://me:pw@models.example", 5, "carries no credentials"),
        ("  local:", "  big:", 9, "models.big stands here again, first on line 2"),
        ("  offline:", "  offline", 17, "could not find expected ':'"),
    ],
)
def test_a_mistake_is_named_with_file_line_and_field(
    file: Path, before: str, after: str, line: int, problem: str
) -> None:
    assert before in FILE
    error = refused(file, FILE.replace(before, after, 1))
    where, _, what = error.message.splitlines()[0].partition(": ")
    assert problem in what
    assert where == f"{file}:{line}"
    assert error.hint
    assert "me:pw" not in str(error)


def test_several_mistakes_are_named_together(file: Path) -> None:
    text = FILE.replace("temperature: 0.3", "temperature: 9").replace("model: big-1", "model: ''")
    assert len(refused(file, text).message.splitlines()) == 2


@pytest.mark.parametrize("text", ["", "# nothing\n", "just words", "- a\n- b\n", "a: [1, 2", "\x00", "a: *nowhere"])
def test_what_is_no_registry_is_refused_with_the_file(file: Path, text: str) -> None:
    assert "models.yaml" in refused(file, text).message


def test_a_missing_file_is_refused_with_the_setting(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"absent\.yaml cannot be read") as error:
        load_registry(tmp_path / "absent.yaml", environment={})
    assert "NADIA_LLM_MODELS_FILE" in (error.value.hint or "")


def test_a_file_of_another_encoding_is_refused(file: Path) -> None:
    file.write_bytes(b"models:\n  \xff\xfe: 1\n")
    with pytest.raises(ConfigurationError, match="not UTF-8"):
        load_registry(file, environment={})
