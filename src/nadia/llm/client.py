"""One client for every endpoint that speaks OpenAI's chat completions."""

import asyncio
import math
import re
import time
from collections.abc import Callable, Mapping, Sequence
from email.utils import mktime_tz, parsedate_tz
from typing import TYPE_CHECKING, Final

from pydantic import BaseModel, Field, SecretStr, ValidationError

from nadia.llm.cost import cost_of, estimate_tokens, fit
from nadia.llm.errors import ModelError, Outcome
from nadia.llm.models import ChatMessage, Completion, Usage
from nadia.llm.registry import OpenAIModel
from nadia.redaction import MASK, redact_text

if TYPE_CHECKING:
    from openai import APIStatusError, AsyncOpenAI
    from openai.types.chat import ChatCompletionMessageParam

_CONNECT_SECONDS: Final = 10.0
_LONGEST_REASON: Final = 200
_THOUGHTS = re.compile(r"\A\s*<think>.*?</think>", re.DOTALL)
"""Local reasoning models (DeepSeek R1, Qwen 3) think aloud in front of the answer."""
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_OUT_OF_QUOTA = "insufficient_quota"  # an OpenAI error code that comes with status 429 and does not pass


class _ReportedUsage(BaseModel):
    prompt_tokens: int = Field(0, ge=0)
    completion_tokens: int = Field(0, ge=0)


class _Message(BaseModel):
    content: str | None = None
    refusal: str | None = None


class _Choice(BaseModel):
    message: _Message
    finish_reason: str | None = None


class _Answer(BaseModel):
    """The parts of a chat completion that we rely on (OpenAI API reference, "Create chat completion")."""

    choices: list[_Choice] = Field(min_length=1)
    usage: _ReportedUsage | None = None


class OpenAIClient:
    """Asks one model of the registry. Tries once: retries and fallbacks are the chain's.

    Parameters
    ----------
    model : OpenAIModel
        Its registry entry.
    api_key : SecretStr or None
        None for an endpoint that wants no key.
    clock : callable
        Monotonic seconds, for the latency.
    """

    def __init__(
        self, *, model: OpenAIModel, api_key: SecretStr | None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._model = model
        self._key = api_key
        self._clock = clock
        self._connecting = asyncio.Lock()
        self._client: AsyncOpenAI | None = None

    async def complete(
        self,
        messages: Sequence[ChatMessage],
        *,
        temperature: float,
        max_output_tokens: int,
        timeout: float,  # noqa: ASYNC109 - an expired one is this model's failure, not the caller's
    ) -> Completion:
        """Ask for the next message of a conversation.

        Parameters
        ----------
        messages : sequence of ChatMessage
            Instructions and the conversation. What exceeds the model's context is left out, the oldest first.
        temperature : float
            0 to 2; not sent to models that refuse one.
        max_output_tokens : int
            Bound on the answer; the model's own limit where that is lower.
        timeout : float
            Seconds for the whole call; the registry's bound where that is lower.

        Raises
        ------
        ModelError
            If there is no usable answer. `outcome` says why.
        """
        seconds = min(timeout, self._model.timeout_seconds)
        output_limit = min(max_output_tokens, self._model.output_tokens)
        shown = fit(messages, tokens=self._model.context_tokens - output_limit)
        started = self._clock()
        client = await self._connected()
        try:
            async with asyncio.timeout(seconds):  # httpx bounds each read, which a dripping server can stretch
                body = await self._ask(client, shown, temperature, output_limit, seconds)
        except TimeoutError:
            raise ModelError(f"no answer within {seconds:.0f} s", outcome=Outcome.TIMEOUT) from None
        return self._read(body, shown, latency=self._clock() - started)

    async def close(self) -> None:
        """Close its connections."""
        if self._client is not None:
            await self._client.close()
            self._client = None

    async def _connected(self) -> "AsyncOpenAI":
        async with self._connecting:
            if self._client is None:
                # Importing the SDK takes most of a second: not on the event loop.
                self._client = await asyncio.to_thread(_build_client, self._model, self._key)
            return self._client

    async def _ask(
        self, client: "AsyncOpenAI", messages: list[ChatMessage], temperature: float, output_limit: int, seconds: float
    ) -> bytes:
        import httpx2
        import openai

        try:
            response = await client.chat.completions.with_raw_response.create(
                model=self._model.model,
                messages=[_as_parameter(message) for message in messages],
                temperature=temperature if self._model.accepts_temperature else openai.omit,
                extra_body={self._model.output_limit_parameter: output_limit},
                timeout=httpx2.Timeout(seconds, connect=min(seconds, _CONNECT_SECONDS)),
            )
        except openai.APIStatusError as exc:
            # Without the original: its text may repeat the key.
            raise self._refusal(exc) from None
        except openai.APITimeoutError as exc:
            raise ModelError(f"no answer within {seconds:.0f} s", outcome=Outcome.TIMEOUT) from exc
        except openai.APIConnectionError as exc:
            cause = type(exc.__cause__).__name__ if exc.__cause__ else "no connection"
            raise ModelError(f"the connection failed ({cause})", outcome=Outcome.CONNECTION) from exc
        except openai.OpenAIError as exc:
            raise ModelError(f"the call failed ({type(exc).__name__})", outcome=Outcome.UNUSABLE) from exc
        return response.content

    def _read(self, body: bytes, messages: list[ChatMessage], *, latency: float) -> Completion:
        try:
            answer = _Answer.model_validate_json(body)
        except ValidationError as exc:
            first = exc.errors(include_input=False)[0]
            where = ".".join(str(step) for step in first["loc"]) or "the body"
            raise ModelError(
                f"the answer is not a chat completion ({where}: {first['msg'][:_LONGEST_REASON]})",
                outcome=Outcome.UNUSABLE,
            ) from None
        choice = answer.choices[0]
        raw = choice.message.content or ""
        if answer.usage is not None:
            usage = Usage(answer.usage.prompt_tokens, answer.usage.completion_tokens)
        else:  # some endpoints report none; an estimate is nearer the truth than zero
            usage = Usage(sum(estimate_tokens(message.content) for message in messages), estimate_tokens(raw))
        cost = cost_of(
            usage, input_price=self._model.input_price_per_million, output_price=self._model.output_price_per_million
        )
        text = _CONTROL.sub("", _THOUGHTS.sub("", raw.replace("\r\n", "\n"))).strip()
        is_truncated = choice.finish_reason == "length"
        if choice.finish_reason == "content_filter" or (choice.message.refusal and not text):
            raise ModelError(
                "the provider's filter withheld the answer", outcome=Outcome.FILTERED, usage=usage, cost_usd=cost
            )
        if not text:
            reason = "it used up its output limit before answering" if is_truncated else "it is empty"
            raise ModelError(f"no usable answer: {reason}", outcome=Outcome.UNUSABLE, usage=usage, cost_usd=cost)
        return Completion(
            text=text,
            model=self._model.model,
            score=None,
            input_tokens=usage.input_tokens,
            output_tokens=usage.output_tokens,
            cost_usd=cost,
            latency_seconds=latency,
            truncated=is_truncated,
        )

    def _refusal(self, exc: "APIStatusError") -> ModelError:
        """Say what an HTTP status means, with the provider's own words cleared of secrets."""
        status, name = int(exc.status_code), self._model.api_key_env
        said = f"HTTP {status}: {self._clean(_said(exc))}"
        if status in (401, 403):
            remedy = f"check the key in {name}" if name else "the endpoint wants a key: set api_key_env at the model"
            return ModelError(said, outcome=Outcome.AUTHENTICATION, hint=remedy)
        if status == 429:
            is_final = exc.code == _OUT_OF_QUOTA
            return ModelError(
                said,
                outcome=Outcome.RATE_LIMITED,
                is_permanent=is_final,
                retry_after=retry_after_seconds(exc.response.headers),
                hint="the account's quota is used up" if is_final else None,
            )
        if status in (408, 409) or status >= 500:
            retry_after = retry_after_seconds(exc.response.headers)
            return ModelError(said, outcome=Outcome.SERVER_ERROR, retry_after=retry_after)
        if status < 400:
            return ModelError(
                f"HTTP {status}: a redirect, which is not followed",
                outcome=Outcome.REFUSED,
                hint="set base_url to the final address",
            )
        hint = "check model and base_url in the registry" if status == 404 else None
        return ModelError(said, outcome=Outcome.REFUSED, hint=hint)

    def _clean(self, text: str) -> str:
        if self._key is not None:
            text = text.replace(self._key.get_secret_value(), MASK)
        return redact_text(" ".join(text.split()))[:_LONGEST_REASON]


_LONGEST_RETRY_AFTER: Final = 3600.0
"""Seconds; a provider that names more, by mistake or clock skew, is asked again within the hour."""


def retry_after_seconds(headers: Mapping[str, str], *, now: Callable[[], float] = time.time) -> float | None:
    """Return how long a ``Retry-After`` header asks to wait, in seconds, or a date (RFC 9110 section 10.2.3)."""
    value = headers.get("retry-after")
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        parsed = parsedate_tz(value)
        if parsed is None:
            return None
        try:
            seconds = mktime_tz(parsed) - now()
        except (ValueError, OverflowError):
            return None
    return None if math.isnan(seconds) else min(max(0.0, seconds), _LONGEST_RETRY_AFTER)


def _said(exc: "APIStatusError") -> str:
    """Return the provider's explanation, by the error object that most endpoints send."""
    if isinstance(exc.body, dict) and isinstance(exc.body.get("message"), str):
        return str(exc.body["message"])
    return exc.response.reason_phrase


def _as_parameter(message: ChatMessage) -> "ChatCompletionMessageParam":
    if message.role == "system":
        return {"role": "system", "content": message.content}
    if message.role == "assistant":
        return {"role": "assistant", "content": message.content}
    return {"role": "user", "content": message.content}


def _build_client(model: OpenAIModel, api_key: SecretStr | None) -> "AsyncOpenAI":
    import httpx2
    import openai

    from nadia.llm.outbound import OutboundTransport

    return openai.AsyncOpenAI(
        # The SDK insists on a key; endpoints that want none ignore it.
        api_key=api_key.get_secret_value() if api_key else "none",
        base_url=model.base_url,
        max_retries=0,
        default_headers={"Accept-Encoding": "identity"},
        http_client=httpx2.AsyncClient(
            transport=OutboundTransport(private_network=model.private_network), follow_redirects=False
        ),
    )
