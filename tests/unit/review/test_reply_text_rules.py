"""What a reply's text may be."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nadia.constants import TELEGRAM_TEXT_LIMIT
from nadia.errors import InvalidInputError
from nadia.review.bubbles import check_bubbles, check_disclosure, check_reason


@given(st.lists(st.text(), max_size=12))
def test_a_reply_is_accepted_to_the_letter_or_refused_with_a_remedy(bubbles: list[str]) -> None:
    try:
        accepted = check_bubbles(bubbles)
    except InvalidInputError as refusal:
        assert refusal.field.startswith("bubbles")
        assert refusal.hint
    else:
        assert list(accepted) == bubbles
        for text in accepted:
            assert text.strip()
            assert "\x00" not in text
            assert len(text.encode("utf-16-le")) <= 2 * TELEGRAM_TEXT_LIMIT


def test_the_limit_counts_as_telegram_does() -> None:
    assert check_bubbles(["😀" * 2048])
    assert check_bubbles(["x" * 4096])
    with pytest.raises(InvalidInputError, match="4097 UTF-16"):
        check_bubbles(["😀" * 2048 + "x"])


@pytest.mark.parametrize("first", ["", "Told you.", "We are an AI. ", "we are an AI."])
def test_only_the_disclosure_itself_discloses(first: str) -> None:
    with pytest.raises(InvalidInputError) as refusal:
        check_disclosure([first, "We are an AI."], "We are an AI.")
    assert refusal.value.field == "bubbles[0]"
    assert "We are an AI." in (refusal.value.hint or "")


def test_a_reason_is_trimmed_and_an_empty_one_is_none() -> None:
    assert check_reason("  spam \n") == "spam"
    assert check_reason(" \n") is None
    assert check_reason(None) is None


@pytest.mark.parametrize("reason", ["x" * 501, "a\x00b", "\udc00"])
def test_a_reason_that_cannot_be_kept_is_refused(reason: str) -> None:
    with pytest.raises(InvalidInputError) as refusal:
        check_reason(reason)
    assert refusal.value.field == "reason"
