"""A profile's models, asked in order until one answers."""

import functools
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Final

import structlog

from nadia.errors import InvalidInputError
from nadia.llm import metrics
from nadia.llm.client import OpenAIClient
from nadia.llm.errors import ModelError, NoModelAvailableError, Outcome
from nadia.llm.models import ChatMessage, Completion, Model, Usage
from nadia.llm.offline import OfflineDrafter
from nadia.llm.registry import Link, ModelRegistry, OfflineModel, Profile
from nadia.llm.saved_replies import SavedReplies
from nadia.resilience import BreakerState, CircuitBreaker, CircuitOpenError, retry

log = structlog.get_logger(__name__)

_ATTEMPTS: Final = 3
_LONGEST_WAIT_SECONDS: Final = 4.0
"""A reviewer waits for the draft: above this, the next model of the chain is quicker."""


@dataclass(slots=True)
class _Spent:
    """What a draft has cost so far, unusable answers included."""

    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: Decimal = Decimal(0)

    def add(self, usage: Usage, cost_usd: Decimal) -> None:
        self.input_tokens += usage.input_tokens
        self.output_tokens += usage.output_tokens
        self.cost_usd += cost_usd


class ModelChain:
    """Answers conversations by the profiles of a registry.

    Each model has a circuit breaker for the life of the chain, so that one that is down costs no draft its time.

    Parameters
    ----------
    registry : ModelRegistry
        The models.
    replies : SavedReplies
        What the offline drafter answers with.
    attempts : int
        Most calls of one model for one draft.
    first_wait : float
        Seconds before the second call, and bound of the random addition to it; later ones wait longer.
    clock : callable
        Monotonic seconds.
    """

    def __init__(
        self,
        *,
        registry: ModelRegistry,
        replies: SavedReplies,
        attempts: int = _ATTEMPTS,
        first_wait: float = 0.5,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._registry = registry
        self._replies = replies
        self._attempts = attempts
        self._first_wait = first_wait
        self._clock = clock
        self._models: dict[str, Model] = {}
        self._breakers = {
            name: CircuitBreaker(name=f"model {name}", counts=_is_providers_fault, clock=clock)
            for name in registry.models
        }
        metrics.start_at_zero(registry.models)
        for name, breaker in self._breakers.items():
            metrics.CIRCUIT_OPEN.labels(name).set_function(functools.partial(_is_open, breaker))

    @property
    def breakers(self) -> Mapping[str, BreakerState]:
        """Where each model's circuit breaker stands."""
        return {name: breaker.state for name, breaker in self._breakers.items()}

    async def complete(
        self,
        messages: Sequence[ChatMessage],
        *,
        profile: str,
        timeout: float,  # noqa: ASYNC109 - shared out among the models
    ) -> Completion:
        """Return the first usable answer of the profile's chain.

        Models that are asked over the network share the time, so that one that hangs leaves some to the next.

        Parameters
        ----------
        messages : sequence of ChatMessage
            Instructions and the conversation, ending with what is to be answered.
        profile : str
            Name in the registry.
        timeout : float
            Seconds for the whole chain.

        Raises
        ------
        NoModelAvailableError
            If every model was skipped or failed; carries the reasons.
        ConfigurationError
            If there is no such profile.
        InvalidInputError
            If there is no message.
        """
        if not messages:
            raise InvalidInputError("there is nothing to answer", field="messages")
        limits = self._registry.profile(profile)
        links = self._registry.chain(profile)
        started = self._clock()
        spent = _Spent()
        reasons: list[tuple[str, str]] = []
        still_to_ask = sum(_is_remote(link) for link in links)
        for link in links:
            if link.skipped is not None:
                reasons.append((link.name, link.skipped))
                continue
            remaining = timeout - (self._clock() - started)
            if _is_remote(link):
                share, still_to_ask = remaining / still_to_ask, still_to_ask - 1
            else:
                share = timeout  # takes no time, and is the way out when the others have used all of it
            if share <= 0:
                reasons.append((link.name, "no time left"))
                continue
            try:
                answer = await self._ask(link, limits, messages, share, spent)
            except (ModelError, CircuitOpenError) as exc:
                reasons.append((link.name, exc.message))
                log.warning("llm.model_failed", model=link.name, profile=profile, reason=exc.message, hint=exc.hint)
                continue
            return replace(
                answer,
                input_tokens=spent.input_tokens,
                output_tokens=spent.output_tokens,
                cost_usd=spent.cost_usd,
                latency_seconds=self._clock() - started,
            )
        raise NoModelAvailableError(profile, reasons)

    async def close(self) -> None:
        """Close the connections of all models."""
        models, self._models = list(self._models.values()), {}
        for model in models:
            await model.close()

    async def _ask(
        self, link: Link, limits: Profile, messages: Sequence[ChatMessage], seconds: float, spent: _Spent
    ) -> Completion:
        """Ask one model until it answers, fails for good, or its share of the time is used up."""
        breaker = self._breakers[link.name]
        until = self._clock() + seconds
        longest_wait = min(_LONGEST_WAIT_SECONDS, seconds / 4)

        def is_worth_another(exc: Exception) -> bool:
            # Waiting must leave at least as much time for the attempt itself.
            return isinstance(exc, ModelError) and exc.is_transient and until - self._clock() > 2 * longest_wait

        @retry(
            on=is_worth_another,
            attempts=self._attempts,
            within=None,
            first_wait=self._first_wait,
            longest_wait=longest_wait,
            jitter=self._first_wait,
        )
        async def ask_model() -> Completion:
            return await breaker.call(self._attempt, link, limits, messages, until - self._clock(), spent)

        try:
            return await ask_model()
        except CircuitOpenError:
            metrics.CALLS.labels(link.name, Outcome.CIRCUIT_OPEN).inc()
            raise
        except ModelError as exc:
            if exc.retry_after:
                breaker.hold(exc.retry_after)
            raise

    async def _attempt(
        self, link: Link, limits: Profile, messages: Sequence[ChatMessage], seconds: float, spent: _Spent
    ) -> Completion:
        """Call a model once, and count how that went and what it cost."""
        started = self._clock()
        outcome, usage, cost = Outcome.CANCELLED, Usage(), Decimal(0)
        try:
            answer = await self._model(link).complete(
                messages, temperature=limits.temperature, max_output_tokens=limits.max_output_tokens, timeout=seconds
            )
        except ModelError as exc:
            outcome, usage, cost = exc.outcome, exc.usage, exc.cost_usd
            raise
        else:
            outcome, usage, cost = Outcome.OK, Usage(answer.input_tokens, answer.output_tokens), answer.cost_usd
            return answer
        finally:
            spent.add(usage, cost)
            metrics.CALLS.labels(link.name, outcome).inc()
            metrics.SECONDS.labels(link.name).observe(self._clock() - started)
            metrics.TOKENS.labels(link.name, "input").inc(usage.input_tokens)
            metrics.TOKENS.labels(link.name, "output").inc(usage.output_tokens)
            metrics.COST.labels(link.name).inc(float(cost))

    def _model(self, link: Link) -> Model:
        if link.name not in self._models:
            self._models[link.name] = (
                OfflineDrafter(model=link.model, replies=self._replies, clock=self._clock)
                if isinstance(link.model, OfflineModel)
                else OpenAIClient(model=link.model, api_key=link.api_key, clock=self._clock)
            )
        return self._models[link.name]


def _is_open(breaker: CircuitBreaker) -> float:
    return float(breaker.state is BreakerState.OPEN)


def _is_remote(link: Link) -> bool:
    return link.skipped is None and not isinstance(link.model, OfflineModel)


def _is_providers_fault(exc: Exception) -> bool:
    return not isinstance(exc, ModelError) or exc.is_providers_fault
