"""What a person meant by the text right of `=`, in `.env` and in the environment."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nadia.settings import Config
from nadia.settings.sources import read_dotenv


@pytest.mark.parametrize(
    ("raw", "meant"),
    [
        ("plain", "plain"),
        ("  spaces around  ", "spaces around"),
        ("value # a comment", "value"),
        ("value\t# a comment", "value"),
        ("# only a comment", ""),
        ("pa#ssword", "pa#ssword"),
        ("'quoted # not a comment'", "quoted # not a comment"),
        ('"quoted # not a comment" # but this is', "quoted # not a comment"),
        ("''", ""),
        ('""', ""),
        ("'  kept  '", "  kept  "),
        (r'"a \"word\" and a \\ and a\nline"', 'a "word" and a \\ and a\nline'),
        (r"'no \n escape'", r"no \n escape"),
        (r'"pa\$s"', r"pa\$s"),
        ('"never closed', '"never closed'),
        ('"one" and "two"', '"one" and "two"'),
        ('["a", "b"]', '["a", "b"]'),
        ("export LOG_LEVEL=debug", "debug"),
        ("exported", "exported"),
        ("postgresql://u:p=w#x@h/d?a=b", "postgresql://u:p=w#x@h/d?a=b"),
        ("", ""),
    ],
)
def test_a_value_is_cleaned_as_its_writer_meant_it(raw: str, meant: str) -> None:
    assert Config._clean_env_value(raw) == meant


@given(st.text().filter(lambda text: "'" not in text))
def test_whatever_stands_in_single_quotes_is_kept_to_the_letter(text: str) -> None:
    assert Config._clean_env_value(f"  '{text}'  # comment") == text


@given(st.text(alphabet=st.characters(exclude_categories=["Z", "C"], exclude_characters="'\"#"), min_size=1))
def test_a_bare_word_is_kept_to_the_letter(text: str) -> None:
    assert Config._clean_env_value(text) == text


def test_a_dotenv_file_is_read_with_the_line_of_each_value(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_bytes(
        b"\xef\xbb\xbf# head\r\n\r\nFIRST=1\r\n  export SECOND = 'two' # comment\r\nEMPTY=\r\n#OFF=1\r\nFIRST=again\r\n"
    )

    values, problems = read_dotenv(path)

    assert problems == []
    assert {name: (value.value, value.origin) for name, value in values.items()} == {
        "FIRST": ("again", ".env:7"),
        "SECOND": ("two", ".env:4"),
        "EMPTY": ("", ".env:5"),
    }


def test_a_line_that_assigns_nothing_is_reported_with_its_number(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_text("GOOD=1\nnot an assignment\n")

    values, problems = read_dotenv(path)

    assert list(values) == ["GOOD"]
    assert [problem.name for problem in problems] == [".env:2"]


def test_a_dotenv_file_in_another_encoding_is_reported(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_bytes("NAME=caf\xe9".encode("latin-1"))

    _, problems = read_dotenv(path)

    assert [problem.problem for problem in problems] == ["cannot be read: it is not UTF-8"]


def test_no_dotenv_file_is_no_problem(tmp_path: Path) -> None:
    assert read_dotenv(tmp_path / ".env") == ({}, [])
    assert read_dotenv(None) == ({}, [])
