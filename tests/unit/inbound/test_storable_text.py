"""What becomes of text that PostgreSQL cannot keep."""

from hypothesis import given
from hypothesis import strategies as st

from nadia.inbound.intake import storable

ANY = st.text(alphabet=st.characters(min_codepoint=0, max_codepoint=0x10FFFF))


@given(ANY)
def test_any_text_becomes_storable(text: str) -> None:
    stored = storable(text)
    stored.encode()
    assert "\x00" not in stored
    assert storable(stored) == stored


@given(st.text().filter(lambda text: "\x00" not in text))
def test_text_that_can_be_kept_is_kept_to_the_letter(text: str) -> None:
    assert storable(text) == text
