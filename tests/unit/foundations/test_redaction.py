"""Secrets in nothing that is written down."""

import pytest
from pydantic import SecretBytes, SecretStr

from nadia.redaction import MASK, redact, redact_text

SECRET = "hunter2hunter2"


@pytest.mark.parametrize(
    "text",
    [
        f"connecting to postgresql://nadia:{SECRET}@db:5432/nadia",
        f"postgresql://nadia:{SECRET}/with/slash@db/nadia",
        f"postgresql://nadia:a@{SECRET}@db/nadia",
        f"redis://:{SECRET}@cache",
        f"https://{SECRET}{SECRET}@git.example/x",
        f"Authorization: Bearer {SECRET}",
        "Authorization: Basic aHVudGVyMmh1bnRlcjI=",
        f"Cookie: theme=dark; session={SECRET}",
        f"Set-Cookie: session={SECRET}; HttpOnly",
        f"sk-{SECRET}",
        f"AGE-SECRET-KEY-1{SECRET}",
        f"nadia_{SECRET}{SECRET}{SECRET}",
        f"123456789:{SECRET}{SECRET}{SECRET}",
        f"password={SECRET}",
        f"db_password = '{SECRET} and more {SECRET}'",
        f'{{"api_key": "{SECRET}"}}',
        f"X-Api-Key: {SECRET}",
        f"NADIA_WEB_SECRET_KEY={SECRET}",
        f"OPENAI_API_KEY={SECRET} nadia up",
        f"access_hash: {SECRET}",
        f"https://desk.example/login#token={SECRET}",
    ],
)
def test_a_credential_in_a_text_is_masked(text: str) -> None:
    shown = redact_text(text)

    assert SECRET not in shown
    assert "aHVudGVy" not in shown
    assert MASK in shown


@pytest.mark.parametrize(
    "text",
    [
        "a basic understanding of tokens",
        "input_tokens=512 output_tokens: 64",
        "see https://example.org:8443/path and mail me@example.org",
        "redis://cache:6379/0",
        "the session of person@example.org ended",
        "REDIS_URL_FILE=/run/secrets/redis",
        "nadia_llm_tokens_total 5",
        "skiing at 10:30",
    ],
)
def test_a_harmless_text_stays_as_it_is(text: str) -> None:
    assert redact_text(text) == text


def test_masking_is_repeatable() -> None:
    once = redact_text(f"password={SECRET} at postgresql://u:{SECRET}@h")

    assert redact_text(once) == once


def test_names_mask_what_stands_under_them_at_any_depth() -> None:
    value = {
        "user": "ana",
        "password": SECRET,
        "headers": [{"Authorization": SECRET}, {"cookie": [SECRET]}],
        "secrets": {"first": SECRET, "count": 2},
        "input_tokens": 512,
        "raw": f"token={SECRET}".encode(),
        "wrapped": (SecretStr(SECRET), SecretBytes(SECRET.encode())),
        "api_key": "",
        "nothing": None,
    }

    shown = redact(value)

    assert SECRET not in str(shown)
    assert isinstance(shown, dict)
    assert (shown["user"], shown["input_tokens"], shown["api_key"], shown["nothing"]) == ("ana", 512, "", None)
    assert shown["secrets"] == {"first": MASK, "count": 2}


@pytest.mark.parametrize("piece", ["a", "a://b:", "password", "bearer ", "basic x", "1", "'", "token='", "://"])
def test_a_hostile_megabyte_is_read_in_bounded_time(piece: str) -> None:
    """Quadratic patterns would not end within the day."""
    assert redact_text(piece * (1_000_000 // len(piece)))
