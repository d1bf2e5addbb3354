"""The search that every test's output goes through finds what it is there to find."""

import base64
import secrets
from collections.abc import Callable

import pytest

from support.leaks import handed_out, leaked_in


@pytest.mark.parametrize(
    "careless",
    [bytes.hex, repr, lambda key: base64.b64encode(key).decode(), lambda key: base64.urlsafe_b64encode(key).decode()],
    ids=["hex", "repr", "base64", "base64 of URLs"],
)
def test_key_material_is_found_however_it_was_printed(careless: Callable[[bytes], str]) -> None:
    key = secrets.token_bytes(256)
    handed_out(key)
    assert len(leaked_in([f"session={careless(key)} opened"])) == 1


def test_a_phone_number_is_found_with_and_without_its_plus() -> None:
    number = f"+1555{secrets.randbelow(10**7):07}"
    handed_out(number)
    assert leaked_in([f"to {number}"])
    assert leaked_in([f"to {number[1:]}."])
    assert leaked_in(["to 42"]) == []
