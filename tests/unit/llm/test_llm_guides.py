import re
from pathlib import Path

import yaml

from nadia.llm import metrics
from nadia.llm.registry import OfflineModel, OpenAIModel, Profile, RegistryFile
from nadia.llm.saved_replies import parse_saved_replies

GUIDES = Path(__file__).parents[3] / "docs" / "guides"


def examples(page: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", (GUIDES / page).read_text(encoding="utf-8"), re.DOTALL)


def test_every_field_of_the_registry_is_described() -> None:
    text = (GUIDES / "models.md").read_text(encoding="utf-8")
    fields = {*OpenAIModel.model_fields, *OfflineModel.model_fields, *Profile.model_fields}
    assert [field for field in sorted(fields) if field not in text] == []


def test_the_guides_registry_is_a_valid_one() -> None:
    remote, local, profiles = examples("models.md", "yaml")
    file = RegistryFile.model_validate(yaml.safe_load(remote + local + "  offline: {provider: offline}\n" + profiles))
    assert set(file.profiles["default"].chain) == file.models.keys()


def test_the_guides_metrics_exist() -> None:
    text = (GUIDES / "models.md").read_text(encoding="utf-8")
    all_metrics = (metrics.CALLS, metrics.TOKENS, metrics.COST, metrics.SECONDS, metrics.CIRCUIT_OPEN)
    declared = {family.name for metric in all_metrics for family in metric.describe()}
    named = {name.removesuffix("_total") for name in re.findall(r"`(nadia_llm_\w+)`", text)}
    assert named == declared


def test_the_guides_saved_replies_are_valid() -> None:
    (example,) = examples("saved-replies.md", "text")
    assert [reply.title for reply in parse_saved_replies(example, shown="guide")] == [
        "Where is my order",
        "Asking for details",
    ]
