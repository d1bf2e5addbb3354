"""The operator's persona and disclosure: read when they change, refused when they cannot be used."""

import os
from pathlib import Path

import pytest

from nadia.drafting.texts import OperatorText, disclosure, persona
from nadia.errors import ConfigurationError


def test_the_shipped_texts_say_that_replies_are_drafted_by_an_assistant() -> None:
    assert "AI assistant" in persona(None)()
    assert "AI assistant" in disclosure(None)()
    assert "person" in disclosure(None)()


def test_a_changed_file_is_read_again(tmp_path: Path) -> None:
    file = tmp_path / "persona.txt"
    file.write_text("  one \n", encoding="utf-8")
    text = OperatorText(file, longest=100)
    assert text() == "one"
    file.write_text("another", encoding="utf-8")
    os.utime(file, ns=(1, 1))
    assert text() == "another"


@pytest.mark.parametrize(
    ("content", "problem"),
    [(b"", "no text"), (b" \n ", "no text"), (b"a\x00b", "no text"), (b"x" * 101, "longer"), (b"\xff\xfe", "UTF-8")],
)
def test_a_file_that_cannot_be_used_is_named_with_its_problem(tmp_path: Path, content: bytes, problem: str) -> None:
    file = tmp_path / "persona.txt"
    file.write_bytes(content)
    with pytest.raises(ConfigurationError, match=problem) as refused:
        OperatorText(file, longest=100)()
    assert str(file) in refused.value.message


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"absent\.txt"):
        OperatorText(tmp_path / "absent.txt", longest=100)()
