"""What goes into a language model and what comes out of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal, Protocol


@dataclass(frozen=True, slots=True)
class ChatMessage:
    """One message of what a model is shown: instructions, the customer's words, or the desk's."""

    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens that a call was charged for."""

    input_tokens: int = 0
    output_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Completion:
    """A model's answer and what it took to get it.

    Attributes
    ----------
    text : str
        The answer, not empty, without control characters other than line breaks and tabs.
    model : str
        The provider's name of the model that answered; ``offline`` for a saved reply.
    score : float or None
        How sure the answerer is, 0 to 1; None for models that do not say.
    input_tokens, output_tokens : int
        Charged for this answer, unusable answers on the way to it included.
    cost_usd : Decimal
        The same in US dollars, by the registry's prices.
    latency_seconds : float
        From the request to the answer, failed attempts and fallbacks included.
    truncated : bool
        The model ran into its output limit: the text ends in mid-sentence.
    """

    text: str
    model: str
    score: float | None
    input_tokens: int
    output_tokens: int
    cost_usd: Decimal
    latency_seconds: float
    truncated: bool = False


class Drafter(Protocol):
    """Whoever answers a conversation by a profile of the registry."""

    async def complete(
        self,
        messages: Sequence[ChatMessage],
        *,
        profile: str,
        timeout: float,  # noqa: ASYNC109 - a chain shares it out among its models
    ) -> Completion:
        """Answer within `timeout` seconds, or raise `NoModelAvailableError`."""


class Model(Protocol):
    """One model of a chain."""

    async def complete(
        self,
        messages: Sequence[ChatMessage],
        *,
        temperature: float,
        max_output_tokens: int,
        timeout: float,  # noqa: ASYNC109 - an expired one is this model's failure, not the caller's
    ) -> Completion:
        """Answer within `timeout` seconds, or raise `ModelError`."""

    async def close(self) -> None:
        """Give back what it holds."""
