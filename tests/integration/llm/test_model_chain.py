import asyncio
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path

import pytest

from nadia import metrics
from nadia.errors import ConfigurationError, InvalidInputError
from nadia.llm.chain import ModelChain
from nadia.llm.errors import NoModelAvailableError
from nadia.llm.models import ChatMessage, Completion
from nadia.llm.registry import load_registry
from nadia.llm.saved_replies import SavedReplies
from nadia.resilience import BreakerState
from support.openai_server import OpenAIServer, completion, cut, failure, hang

REGISTRY = """\
models:
  {first}:
    provider: openai
    model: first-1
    base_url: {first_url}
    api_key_env: KEY
    private_network: true
    input_price_per_million: 1
    output_price_per_million: 2
  {second}:
    provider: openai
    model: second-1
    base_url: {second_url}
    private_network: true
    input_price_per_million: 10
    output_price_per_million: 20
  offline:
    provider: offline
profiles:
  default:
    chain: [{first}, {second}, offline]
  remote:
    chain: [{first}, {second}]
"""
ASKED = [ChatMessage("user", "where is my order")]


class Clock:
    """Real time, which a test may move on."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return asyncio.get_running_loop().time() + self.ahead


class Desk:
    """A chain of two scripted servers and the shipped saved replies."""

    def __init__(self, folder: Path, first: OpenAIServer, second: OpenAIServer, environment: dict[str, str]) -> None:
        # Names of this test's own, because metrics are the process's.
        self.first_name, self.second_name = f"first-{id(self)}", f"second-{id(self)}"
        path = folder / "models.yaml"
        path.write_text(
            REGISTRY.format(
                first=self.first_name, first_url=first.base_url, second=self.second_name, second_url=second.base_url
            )
        )
        self.first, self.second, self.clock = first, second, Clock()
        self.chain = ModelChain(
            registry=load_registry(path, environment=environment),
            replies=SavedReplies(),
            first_wait=0.0,
            clock=self.clock,
        )

    async def answer(self, profile: str = "default", *, timeout: float = 20) -> Completion:
        return await self.chain.complete(ASKED, profile=profile, timeout=timeout)

    def count(self, name: str, **labels: str) -> float:
        return metrics.REGISTRY.get_sample_value(name, labels) or 0.0

    def calls(self, model: str, outcome: str) -> float:
        return self.count("nadia_llm_calls_total", model=model, outcome=outcome)


@pytest.fixture
def environment() -> dict[str, str]:
    return {"KEY": "a-key"}


@pytest.fixture
async def desk(tmp_path: Path, environment: dict[str, str]) -> AsyncIterator[Desk]:
    async with OpenAIServer() as first, OpenAIServer() as second:
        desk = Desk(tmp_path, first, second, environment)
        yield desk
        await desk.chain.close()


async def test_the_first_model_that_answers_is_enough(desk: Desk) -> None:
    desk.first.script(completion("From the first.", tokens=(100, 10)))
    answer = await desk.answer()
    assert (answer.text, answer.model, answer.cost_usd) == ("From the first.", "first-1", Decimal("0.00012"))
    assert desk.second.requests == []
    assert desk.calls(desk.first_name, "ok") == 1
    assert desk.count("nadia_llm_tokens_total", model=desk.first_name, direction="input") == 100
    assert desk.count("nadia_llm_cost_usd_total", model=desk.first_name) == pytest.approx(0.00012)
    assert desk.count("nadia_llm_call_seconds_count", model=desk.first_name) == 1


async def test_every_model_exports_zero_before_its_first_call(desk: Desk) -> None:
    exported = metrics.render()[0].decode()
    for name in (desk.first_name, desk.second_name, "offline"):
        assert f'nadia_llm_calls_total{{model="{name}",outcome="timeout"}}' in exported
        assert f'nadia_llm_cost_usd_total{{model="{name}"}}' in exported


async def test_a_passing_failure_is_tried_again(desk: Desk) -> None:
    desk.first.script(failure(500), cut, completion("Third time lucky."))
    assert (await desk.answer()).text == "Third time lucky."
    assert (desk.calls(desk.first_name, "server_error"), desk.calls(desk.first_name, "connection")) == (1, 1)


async def test_retry_after_is_waited_for_when_it_is_short(desk: Desk) -> None:
    desk.first.script(failure(429, retry_after="0.05"), completion("Now."))
    answer = await desk.answer()
    assert answer.text == "Now."
    assert answer.latency_seconds >= 0.05


async def test_a_long_retry_after_goes_on_to_the_next_model_and_is_respected(desk: Desk) -> None:
    desk.first.script(failure(429, retry_after="120"), completion("Rested."))
    desk.second.script(completion("From the second."))
    assert [(await desk.answer()).text for _ in range(2)] == ["From the second."] * 2
    assert len(desk.first.requests) == 1
    desk.clock.ahead += 121
    assert (await desk.answer()).text == "Rested."


async def test_a_wrong_key_is_not_tried_again(desk: Desk) -> None:
    desk.first.script(failure(401))
    desk.second.script(completion("From the second."))
    assert (await desk.answer()).model == "second-1"
    assert len(desk.first.requests) == 1


async def test_without_a_key_a_model_is_passed_over(desk: Desk, environment: dict[str, str]) -> None:
    del environment["KEY"]
    assert (await desk.answer()).model == "second-1"
    assert desk.first.requests == []


async def test_the_saved_replies_answer_when_all_models_fail(desk: Desk) -> None:
    desk.first.script(failure(400))
    desk.second.script(failure(400))
    answer = await desk.answer()
    assert answer.model == "offline"
    assert answer.score == pytest.approx(1.0)


async def test_unusable_answers_on_the_way_are_paid_for(desk: Desk) -> None:
    desk.first.script(completion("", tokens=(1_000, 0)))
    desk.second.script(completion("Here.", tokens=(100, 10)))
    answer = await desk.answer()
    assert answer.cost_usd == Decimal("0.001") + Decimal("0.0012")
    assert (answer.input_tokens, answer.output_tokens) == (1_100, 10)


async def test_when_nobody_answers_the_reasons_are_told(desk: Desk, environment: dict[str, str]) -> None:
    del environment["KEY"]
    desk.second.script(failure(404, "no such model"))
    with pytest.raises(NoModelAvailableError) as error:
        await desk.answer("remote")
    assert error.value.reasons == (
        (desk.first_name, "KEY is not set"),
        (desk.second_name, "HTTP 404: no such model"),
    )


async def test_a_model_that_hangs_leaves_time_for_the_next(desk: Desk) -> None:
    desk.first.script(hang)
    desk.second.script(completion("In time."))
    answer = await desk.answer(timeout=1.0)
    assert answer.text == "In time."
    assert desk.calls(desk.first_name, "timeout") == 1


async def test_when_all_time_is_used_up_the_saved_replies_still_answer(desk: Desk) -> None:
    desk.first.script(hang)
    desk.second.script(hang)
    assert (await desk.answer(timeout=0.4)).model == "offline"


async def test_a_model_that_keeps_failing_is_left_alone_and_comes_back(desk: Desk) -> None:
    desk.first.script(failure(500))
    desk.second.script(completion("From the second."))
    for _ in range(2):
        await desk.answer()
    asked = len(desk.first.requests)
    assert desk.chain.breakers[desk.first_name] is BreakerState.OPEN
    assert desk.count("nadia_llm_circuit_open", model=desk.first_name) == 1
    assert (await desk.answer()).model == "second-1"
    assert len(desk.first.requests) == asked
    assert desk.calls(desk.first_name, "circuit_open") >= 1

    desk.first.script(completion("Back again."))
    desk.clock.ahead += 31
    assert (await desk.answer()).text == "Back again."
    assert desk.count("nadia_llm_circuit_open", model=desk.first_name) == 0


async def test_refused_requests_do_not_open_the_circuit(desk: Desk) -> None:
    desk.first.script(failure(400))
    for _ in range(6):
        await desk.answer()
    assert desk.chain.breakers[desk.first_name] is BreakerState.CLOSED


async def test_cancelling_stops_the_running_call_and_asks_nobody_else(desk: Desk) -> None:
    desk.first.script(hang)
    call = asyncio.create_task(desk.answer())
    await desk.first.arrived.wait()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    await asyncio.wait_for(desk.first.left.wait(), 10)
    assert desk.second.requests == []
    assert desk.calls(desk.first_name, "cancelled") == 1
    assert desk.chain.breakers[desk.first_name] is BreakerState.CLOSED


async def test_an_unknown_profile_or_no_message_is_refused_before_any_call(desk: Desk) -> None:
    with pytest.raises(ConfigurationError, match="no model profile"):
        await desk.answer("nope")
    with pytest.raises(InvalidInputError, match="messages"):
        await desk.chain.complete([], profile="default", timeout=1)
    assert desk.first.requests == []


async def test_calls_at_the_same_time_do_not_disturb_each_other(desk: Desk) -> None:
    desk.first.script(completion("Hello."))
    answers = await asyncio.gather(*(desk.answer() for _ in range(20)))
    assert {answer.text for answer in answers} == {"Hello."}
    assert desk.calls(desk.first_name, "ok") == 20
