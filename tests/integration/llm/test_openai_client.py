import asyncio
import contextlib
import json
import traceback
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import pytest
from pydantic import SecretStr

from nadia.llm.client import OpenAIClient, retry_after_seconds
from nadia.llm.errors import ModelError, Outcome
from nadia.llm.models import ChatMessage, Completion
from nadia.llm.registry import OpenAIModel
from support.openai_server import Answer, OpenAIServer, completion, cut, drip, failure, hang, http, huge

KEY = "no-pattern-knows-this-key"
ASKED = (ChatMessage("system", "Be kind."), ChatMessage("user", "Hello"))


@pytest.fixture
async def server() -> AsyncIterator[OpenAIServer]:
    async with OpenAIServer() as running:
        yield running


def entry(server: OpenAIServer, **changes: Any) -> OpenAIModel:
    fields: dict[str, Any] = {
        "provider": "openai",
        "model": "scripted-1",
        "base_url": server.base_url,
        "api_key_env": "KEY",
        "private_network": True,
        "input_price_per_million": Decimal("0.15"),
        "output_price_per_million": Decimal("0.60"),
    }
    return OpenAIModel.model_validate(fields | changes)


async def ask(server: OpenAIServer, *, timeout: float = 10, **changes: Any) -> Completion:
    client = OpenAIClient(model=entry(server, **changes), api_key=SecretStr(KEY))
    async with contextlib.aclosing(_Closing(client)):
        return await client.complete(ASKED, temperature=0.3, max_output_tokens=200, timeout=timeout)


class _Closing:
    def __init__(self, client: OpenAIClient) -> None:
        self.aclose = client.close


async def failed(server: OpenAIServer, *answers: Answer, timeout: float = 10, **changes: Any) -> ModelError:
    server.script(*answers)
    with pytest.raises(ModelError) as error:
        await ask(server, timeout=timeout, **changes)
    assert KEY not in "".join(traceback.format_exception(error.value))
    return error.value


async def test_an_answer_comes_with_its_usage_and_cost(server: OpenAIServer) -> None:
    server.script(completion("Hello there!", tokens=(1_000, 50)))
    answer = await ask(server)
    assert (answer.text, answer.model, answer.score, answer.truncated) == ("Hello there!", "scripted-1", None, False)
    assert (answer.input_tokens, answer.output_tokens) == (1_000, 50)
    assert answer.cost_usd == Decimal("0.00018")
    assert answer.latency_seconds > 0


async def test_the_request_is_what_the_protocol_wants(server: OpenAIServer) -> None:
    await ask(server)
    (request,) = server.requests
    assert request.path == "/v1/chat/completions"
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert request.headers["host"].startswith("127.0.0.1:")
    assert request.body == {
        "model": "scripted-1",
        "temperature": 0.3,
        "max_tokens": 200,
        "messages": [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hello"}],
    }


async def test_models_that_refuse_parameters_are_spared_them(server: OpenAIServer) -> None:
    await ask(server, accepts_temperature=False, output_limit_parameter="max_completion_tokens", output_tokens=64)
    assert server.requests[0].body.keys() == {"model", "messages", "max_completion_tokens"}
    assert server.requests[0].body["max_completion_tokens"] == 64


async def test_usage_is_estimated_where_none_is_reported(server: OpenAIServer) -> None:
    server.script(completion("x" * 30, tokens=None))
    answer = await ask(server)
    assert (answer.input_tokens, answer.output_tokens) == (5, 10)
    assert answer.cost_usd > 0


async def test_a_host_name_is_kept_while_its_address_is_connected_to(server: OpenAIServer) -> None:
    await ask(server, base_url=server.base_url.replace("127.0.0.1", "localhost"))
    assert server.requests[0].headers["host"].startswith("localhost:")


@pytest.mark.parametrize(
    ("answer", "outcome", "is_transient"),
    [
        (failure(401, f"Incorrect API key provided: {KEY}"), Outcome.AUTHENTICATION, False),
        (failure(403), Outcome.AUTHENTICATION, False),
        (failure(404), Outcome.REFUSED, False),
        (failure(400), Outcome.REFUSED, False),
        (failure(408), Outcome.SERVER_ERROR, True),
        (failure(429), Outcome.RATE_LIMITED, True),
        (failure(429, code="insufficient_quota"), Outcome.RATE_LIMITED, False),
        (failure(500), Outcome.SERVER_ERROR, True),
        (http(503, "<html>no JSON</html>", headers={"Content-Type": "text/html"}), Outcome.SERVER_ERROR, True),
        (cut, Outcome.CONNECTION, True),
        (huge, Outcome.UNUSABLE, False),
        (http(200, "{not json"), Outcome.UNUSABLE, False),
        (http(200, '"a string"'), Outcome.UNUSABLE, False),
        (http(200, "<html></html>", headers={"Content-Type": "text/html"}), Outcome.UNUSABLE, False),
        (http(200, '{"choices": []}'), Outcome.UNUSABLE, False),
        (http(200, '{"choices": [{"message": null}]}'), Outcome.UNUSABLE, False),
        (http(200, '{"choices": [{"message": {"content": "\\ud800"}}]}'), Outcome.UNUSABLE, False),
        (http(200, b"", headers={"Content-Encoding": "gzip"}), Outcome.UNUSABLE, False),
        (completion(""), Outcome.UNUSABLE, False),
        (completion(None), Outcome.UNUSABLE, False),
        (completion("", finish_reason="length"), Outcome.UNUSABLE, False),
        (completion("half", finish_reason="content_filter"), Outcome.FILTERED, False),
        (completion(None, refusal="I can't help with that."), Outcome.FILTERED, False),
    ],
)
async def test_every_failure_has_its_kind(
    server: OpenAIServer, answer: Answer, outcome: Outcome, is_transient: bool
) -> None:
    error = await failed(server, answer)
    assert (error.outcome, error.is_transient) == (outcome, is_transient)
    assert len(server.requests) == 1  # retries are the chain's


async def test_an_unusable_answer_still_costs(server: OpenAIServer) -> None:
    error = await failed(server, completion("", tokens=(1_000, 0)))
    assert error.usage.input_tokens == 1_000
    assert error.cost_usd == Decimal("0.00015")


async def test_a_redirect_is_not_followed(server: OpenAIServer) -> None:
    target = {"Location": f"{server.base_url}/elsewhere"}
    error = await failed(server, http(302, "", headers=target), completion("from elsewhere"))
    assert error.outcome is Outcome.REFUSED
    assert "base_url" in (error.hint or "")
    assert len(server.requests) == 1


@pytest.mark.parametrize("answer", [hang, drip])
async def test_a_server_that_takes_too_long_is_given_up(server: OpenAIServer, answer: Answer) -> None:
    error = await failed(server, answer, timeout_seconds=0.2)
    assert error.outcome is Outcome.TIMEOUT
    await asyncio.wait_for(server.left.wait(), 10)


async def test_a_cancelled_call_drops_its_connection(server: OpenAIServer) -> None:
    server.script(hang)
    call = asyncio.create_task(ask(server))
    await server.arrived.wait()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    await asyncio.wait_for(server.left.wait(), 10)


async def test_nobody_listening_is_a_connection_failure(server: OpenAIServer) -> None:
    async with OpenAIServer() as gone:
        address = gone.base_url
    error = await failed(server, completion("never asked"), base_url=address)
    assert error.outcome is Outcome.CONNECTION
    assert error.is_transient


async def test_an_unknown_host_is_a_connection_failure(server: OpenAIServer) -> None:
    error = await failed(server, completion("never asked"), base_url="http://host.invalid/v1")
    assert error.outcome is Outcome.CONNECTION


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "[::1]", "10.0.0.1", "169.254.169.254", "[::ffff:10.0.0.1]", "224.0.0.1"]
)
async def test_addresses_that_are_not_public_are_refused_unless_allowed(server: OpenAIServer, host: str) -> None:
    error = await failed(
        server, completion("x"), base_url=server.base_url.replace("127.0.0.1", host), private_network=False
    )
    assert error.outcome is Outcome.REFUSED
    assert "private_network" in (error.hint or "")
    assert server.requests == []


async def test_an_answer_cut_at_its_limit_is_flagged(server: OpenAIServer) -> None:
    server.script(completion("We will look into", finish_reason="length"))
    answer = await ask(server)
    assert answer.truncated


async def test_an_answer_is_cleared_of_control_characters_and_thoughts(server: OpenAIServer) -> None:
    server.script(completion("<think>\nThe customer says hi.\n</think>\n\nHello\x00 \x1b[1mthere\r\n\tyou \n"))
    answer = await ask(server)
    assert answer.text == "Hello [1mthere\n\tyou"


async def test_a_provider_without_key_is_asked_without_ours(server: OpenAIServer) -> None:
    client = OpenAIClient(model=entry(server, api_key_env=None), api_key=None)
    await client.complete(ASKED, temperature=0, max_output_tokens=10, timeout=10)
    await client.close()
    assert server.requests[0].headers["authorization"] == "Bearer none"


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("7", 7.0),
        ("0.5", 0.5),
        ("-3", 0.0),
        ("99999999", 3600.0),
        ("nan", None),
        ("soon", None),
        ("Thu, 01 Jan 1970 00:01:40 GMT", 40.0),
        ("Thu, 01 Jan 1970 00:00:10 GMT", 0.0),
    ],
)
def test_retry_after_is_read_in_both_its_forms(value: str | None, seconds: float | None) -> None:
    headers = {} if value is None else {"retry-after": value}
    assert retry_after_seconds(headers, now=lambda: 60.0) == seconds


async def test_older_messages_are_left_out_of_a_small_context(server: OpenAIServer) -> None:
    client = OpenAIClient(model=entry(server, context_tokens=512, output_tokens=100), api_key=SecretStr(KEY))
    long = [ChatMessage("user", f"{number} " + "x" * 300) for number in range(10)]
    await client.complete([ASKED[0], *long], temperature=0, max_output_tokens=200, timeout=10)
    await client.close()
    sent = json.dumps(server.requests[0].body["messages"])
    assert "Be kind." in sent
    assert '"9 x' in sent
    assert '"0 x' not in sent
