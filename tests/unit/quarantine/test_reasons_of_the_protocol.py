"""What can be a reason."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nadia.errors import InvalidInputError
from nadia.quarantine.reasons import LONGEST_REASON, checked_reason


@pytest.mark.parametrize(
    "reason",
    ["", "   ", "\n\t", "x" * (LONGEST_REASON + 1), "a\x00b", "\x1b[2J", "half \ud800 pair", "\u202eevil", "a\u2066b"],
)
def test_it_is_refused(reason: str) -> None:
    with pytest.raises(InvalidInputError) as refused:
        checked_reason(reason)
    assert refused.value.field == "reason"


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("  spam \n again ", "spam again"),
        ("x" * LONGEST_REASON, "x" * LONGEST_REASON),
        ("<script>alert(1)</script>", "<script>alert(1)</script>"),
        ("'; DROP TABLE people; --", "'; DROP TABLE people; --"),
        ("مزاحمت مکرر 👩‍👩‍👧", "مزاحمت مکرر 👩‍👩‍👧"),
    ],
)
def test_it_is_kept_on_one_line(given: str, kept: str) -> None:
    assert checked_reason(given) == kept


@given(st.text())
def test_what_is_kept_stays_as_it_is(reason: str) -> None:
    try:
        kept = checked_reason(reason)
    except InvalidInputError:
        return
    assert checked_reason(kept) == kept
    assert 0 < len(kept) <= LONGEST_REASON
