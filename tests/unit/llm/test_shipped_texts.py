import subprocess
import sys
from importlib import resources


def shipped(name: str) -> str:
    return resources.files("nadia").joinpath("drafting", name).read_text(encoding="utf-8")


def test_the_persona_says_what_it_is_and_never_claims_to_be_human() -> None:
    text = shipped("persona.txt").lower()
    assert "ai assistant" in text
    assert "never claim" in text
    assert "reviewed by a person" in text


def test_the_disclosure_is_short_and_names_both_the_machine_and_the_people() -> None:
    text = shipped("disclosure.txt").strip()
    assert "AI" in text
    assert "person" in text
    assert len(text) <= 250
    assert "\n" not in text


def test_importing_the_domain_loads_no_sdk() -> None:
    code = (
        "import sys, nadia.llm, nadia.logs, nadia.metrics, nadia.resilience;"
        "print([name for name in ('openai', 'httpx2', 'httpx', 'stamina') if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
