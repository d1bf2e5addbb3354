"""What a call costs, and how much text fits into one."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Final

from nadia.llm.models import ChatMessage, Usage

_MILLION: Final = Decimal(1_000_000)
_CHARACTERS_PER_TOKEN: Final = 3
"""English runs at about 4 (OpenAI, "What are tokens"), other languages lower: fewer means sooner on the safe side."""


def cost_of(usage: Usage, *, input_price: Decimal, output_price: Decimal) -> Decimal:
    """Return the price of a call in US dollars, exactly.

    Parameters
    ----------
    usage : Usage
        Tokens of the call.
    input_price, output_price : Decimal
        US dollars for a million tokens.
    """
    return (usage.input_tokens * input_price + usage.output_tokens * output_price) / _MILLION


def estimate_tokens(text: str) -> int:
    """Return about how many tokens a text is, for budgets and for providers that report no usage."""
    return -(-len(text) // _CHARACTERS_PER_TOKEN)


def fit(messages: Sequence[ChatMessage], *, tokens: int) -> list[ChatMessage]:
    """Return the messages that fit into a number of tokens, by estimate.

    Instructions and the last message always stay; of the rest, the oldest go first.
    """
    kept = list(messages)
    excess = sum(estimate_tokens(message.content) for message in kept) - tokens
    position = 0
    while excess > 0 and position < len(kept) - 1:
        if kept[position].role == "system":
            position += 1
        else:
            excess -= estimate_tokens(kept.pop(position).content)
    return kept
