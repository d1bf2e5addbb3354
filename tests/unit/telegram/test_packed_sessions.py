"""A session as bytes: what goes in comes out, and whatever it shows of itself is not the key."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nadia.telegram.session_key import SessionKeyError
from nadia.telegram.session_material import SessionMaterial
from nadia.telegram.sessions import pack, unpack

MATERIALS = st.builds(
    SessionMaterial,
    dc_id=st.integers(1, 99_999),
    host=st.text(),
    port=st.integers(1, 65_535),
    auth_key=st.binary(max_size=300),
    user_id=st.integers(1, 2**52),
    is_bot=st.booleans(),
)


@given(MATERIALS)
def test_what_goes_in_comes_out(material: SessionMaterial) -> None:
    assert unpack(pack(material)) == material


@pytest.mark.parametrize("plain", [b"", b"[]", b"{}", b"null", b"\xff", b'{"dc_id": 2}', b'{"auth_key": "?"}', b'"x"'])
def test_what_is_no_session_is_refused_without_being_shown(plain: bytes) -> None:
    with pytest.raises(SessionKeyError, match="another version") as caught:
        unpack(plain)
    assert caught.value.__cause__ is None


def test_a_session_does_not_show_its_key() -> None:
    material = SessionMaterial(dc_id=2, host="h", port=1, auth_key=b"\x01secret", user_id=7, is_bot=False)
    assert "secret" not in repr(material)
