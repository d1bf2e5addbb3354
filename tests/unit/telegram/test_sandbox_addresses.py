"""Only this machine, only this user."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nadia.errors import InvalidInputError
from nadia.telegram.sandbox.address import LoopbackAddress, UnixAddress, parse_address


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("/run/nadia/telegram.sock", UnixAddress(Path("/run/nadia/telegram.sock"))),
        ("unix:/run/nadia/telegram.sock", UnixAddress(Path("/run/nadia/telegram.sock"))),
        ("127.0.0.1:4000", LoopbackAddress("127.0.0.1", 4000)),
        ("127.9.9.9:0", LoopbackAddress("127.9.9.9", 0)),
        ("localhost:4000", LoopbackAddress("127.0.0.1", 4000)),
        ("[::1]:4000", LoopbackAddress("::1", 4000)),
    ],
)
def test_an_address_is_read_and_written_back(text: str, address: UnixAddress | LoopbackAddress) -> None:
    assert parse_address(text) == address
    assert parse_address(str(address)) == address


@pytest.mark.parametrize(
    "text",
    [
        *("", "telegram.sock", "0.0.0.0:4000", "[::]:4000", "192.168.1.5:4000", "example.org:80", "8.8.8.8:443"),
        *(
            "127.0.0.1",
            "127.0.0.1:",
            "127.0.0.1:65536",
            "127.0.0.1:-1",
            "::1:4000",
            "127.0.0.1:80:80",
            "localhost:4000\n",
        ),
        *("127.0.0.1.evil.org:80", "[fe80::1]:4000", "0177.0.0.1:80", "/" + "x" * 103),
    ],
)
def test_everything_else_is_refused_with_what_would_do(text: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        parse_address(text)
    assert caught.value.field == "telegram.address"
    assert caught.value.hint


@given(st.text(max_size=60))
def test_no_text_leads_off_this_machine(text: str) -> None:
    try:
        address = parse_address(text)
    except InvalidInputError:
        return
    assert isinstance(address, UnixAddress) or address.host.startswith("127.") or address.host == "::1"
