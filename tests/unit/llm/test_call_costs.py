from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from nadia.llm.cost import cost_of, estimate_tokens, fit
from nadia.llm.models import ChatMessage, Usage


def test_cost_is_exact() -> None:
    cost = cost_of(Usage(1_234, 56), input_price=Decimal("0.15"), output_price=Decimal("0.60"))
    assert cost == Decimal("0.0002187")


def test_estimates_round_up() -> None:
    assert [estimate_tokens("x" * length) for length in (0, 1, 3, 4)] == [0, 1, 1, 2]


def test_the_oldest_messages_are_left_out_and_instructions_stay() -> None:
    messages = [
        ChatMessage("system", "s" * 30),
        ChatMessage("user", "a" * 30),
        ChatMessage("assistant", "b" * 30),
        ChatMessage("user", "c" * 30),
    ]
    assert [message.content[0] for message in fit(messages, tokens=40)] == ["s", "a", "b", "c"]
    assert [message.content[0] for message in fit(messages, tokens=39)] == ["s", "b", "c"]
    assert [message.content[0] for message in fit(messages, tokens=1)] == ["s", "c"]


@given(
    st.lists(
        st.builds(ChatMessage, st.sampled_from(["system", "user", "assistant"]), st.text(max_size=60)), min_size=1
    ),
    st.integers(0, 100),
)
def test_what_is_kept_is_in_order_and_ends_with_the_last(messages: list[ChatMessage], tokens: int) -> None:
    kept = fit(messages, tokens=tokens)
    assert kept[-1] is messages[-1]
    remaining = iter(messages)
    assert all(any(message is candidate for candidate in remaining) for message in kept)
