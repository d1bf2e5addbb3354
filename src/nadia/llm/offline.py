"""The offline drafter: no model, but the nearest of the desk's saved replies, and how near it is."""

import time
from collections.abc import Callable, Sequence
from decimal import Decimal

from nadia.llm.errors import ModelError, Outcome
from nadia.llm.models import ChatMessage, Completion
from nadia.llm.registry import OfflineModel
from nadia.llm.saved_replies import SavedReplies


class OfflineDrafter:
    """Answers with a saved reply.

    Parameters
    ----------
    model : OfflineModel
        Its registry entry.
    replies : SavedReplies
        The desk's replies.
    clock : callable
        Monotonic seconds, for the latency.
    """

    def __init__(
        self, *, model: OfflineModel, replies: SavedReplies, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._minimum_score = model.minimum_score
        self._replies = replies
        self._clock = clock

    async def complete(
        self,
        messages: Sequence[ChatMessage],
        *,
        temperature: float,
        max_output_tokens: int,
        timeout: float,  # noqa: ASYNC109 - the protocol's; this takes milliseconds
    ) -> Completion:
        """Return the reply nearest to what the customer wrote since the desk last spoke.

        The score is the similarity; for the catch-all reply it is 0.

        Raises
        ------
        ModelError
            If no reply is near enough, and none is marked as the catch-all.
        """
        started = self._clock()
        matches = self._replies.nearest(last_customer_text(messages), limit=1)
        if matches and matches[0].score >= max(self._minimum_score, 1e-9):
            reply, score = matches[0].reply, matches[0].score
        else:
            catch_all = self._replies.catch_all()
            if catch_all is None:
                raise ModelError(
                    "no saved reply is near enough",
                    outcome=Outcome.NO_MATCH,
                    hint="add one, or mark one with `when: *`",
                )
            reply, score = catch_all, 0.0
        return Completion(
            text=reply.text,
            model="offline",
            score=round(score, 4),
            input_tokens=0,
            output_tokens=0,
            cost_usd=Decimal(0),
            latency_seconds=self._clock() - started,
        )

    async def close(self) -> None:
        """Nothing to give back."""


def last_customer_text(messages: Sequence[ChatMessage]) -> str:
    """Return what the customer wrote after the desk's last message, in order."""
    burst: list[str] = []
    for message in reversed(messages):
        if message.role == "assistant":
            break
        if message.role == "user":
            burst.append(message.content)
    return "\n".join(reversed(burst))
