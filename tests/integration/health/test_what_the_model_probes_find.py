"""Models that fail, are left alone, or cannot be asked at all: by what the drafting processes counted."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest

from nadia.clock import utc_now
from nadia.errors import ConfigurationError
from nadia.health.figure_recorder import FigureRecorder
from nadia.health.figures import FigureHistory
from nadia.health.probes.model_errors import ModelErrorsProbe
from nadia.llm.chain import ModelChain
from nadia.llm.errors import NoModelAvailableError
from nadia.llm.models import ChatMessage
from nadia.llm.registry import Link, ModelRegistry, load_registry
from nadia.llm.saved_replies import SavedReplies
from support.health_world import CRITICAL, HEALTHY, WARNING, HealthWorld
from support.openai_server import OpenAIServer, completion, failure

REGISTRY = """\
models:
  {first}:
    provider: openai
    model: first-1
    base_url: {url}
    private_network: true
    input_price_per_million: 1
    output_price_per_million: 2
  {keyed}:
    provider: openai
    model: keyed-1
    api_key_env: NOT_SET
    input_price_per_million: 1
    output_price_per_million: 2
  offline:
    provider: offline
profiles:
  default:
    chain: [{keyed}, {first}, offline]
  remote:
    chain: [{first}]
  keyed:
    chain: [{keyed}]
"""
ASKED = [ChatMessage("user", "where is my order")]


class Drafting:
    """A process that drafts with a model behind a server, and records what it counts."""

    def __init__(self, world: HealthWorld, registry: ModelRegistry, name: str) -> None:
        self.name = name
        self.registry = registry
        self.chain = ModelChain(registry=registry, replies=SavedReplies(), attempts=1, first_wait=0.0)
        self.recorder = FigureRecorder(redis=world.core.redis, process=f"worker-{name}")

    async def drafts(self, times: int, *, profile: str = "default") -> None:
        for _ in range(times):
            try:
                await self.chain.complete(ASKED, profile=profile, timeout=10)
            except NoModelAvailableError:
                continue
        await self.recorder.record()

    def links(self, profile: str = "default") -> Sequence[Link]:
        return self.registry.chain(profile)


@pytest.fixture
async def server() -> AsyncIterator[OpenAIServer]:
    async with OpenAIServer() as running:
        yield running


@pytest.fixture
def drafting(world: HealthWorld, server: OpenAIServer, tmp_path: Path) -> Drafting:
    # A name of this test's own, because metrics are the process's.
    name = f"first-{uuid4().hex[:8]}"
    path = tmp_path / "models.yaml"
    path.write_text(REGISTRY.format(first=name, keyed=f"keyed-{name}", url=server.base_url))
    return Drafting(world, load_registry(path, environment={}), name)


async def test_models_that_answer_are_well(world: HealthWorld, drafting: Drafting, server: OpenAIServer) -> None:
    server.script(*[completion("It is on its way.")] * 4)
    await drafting.drafts(4)
    probed = replace(world, chain=drafting.links)

    assert await probed.turned() == {}
    assert (await probed.of("model-errors")).summary == "0 of 4 in 10 min"


async def test_a_model_that_fails_is_told_by_its_error_rate_before_it_is_left_alone(
    world: HealthWorld, drafting: Drafting, server: OpenAIServer
) -> None:
    server.script(*[failure(500)] * 4)
    await drafting.drafts(4)
    probed = replace(world, chain=drafting.links)

    assert await probed.turned() == {"model-errors": WARNING}
    found = await probed.of("model-errors")
    assert found.value == 1
    assert found.figures["model"] == drafting.name
    assert "scripted failure" not in found.model_dump_json()


async def test_a_model_that_is_left_alone_is_told_with_who_drafts_instead(
    world: HealthWorld, drafting: Drafting, server: OpenAIServer
) -> None:
    server.script(*[failure(500)] * 5)
    await drafting.drafts(6)
    probed = replace(world, chain=drafting.links)

    assert await probed.turned() == {"model-errors": WARNING, "model-circuits": WARNING}
    assert (await probed.of("model-circuits")).summary == f"{drafting.name}; drafts come from offline"
    assert (await probed.of("model-errors")).figures["failed"] == 5, "what was not asked did not fail"


async def test_when_every_model_is_left_alone_it_is_critical(
    world: HealthWorld, drafting: Drafting, server: OpenAIServer
) -> None:
    server.script(*[failure(500)] * 5)
    await drafting.drafts(5, profile="remote")
    probed = replace(world, chain=lambda: drafting.links("remote"))

    assert (await probed.turned())["model-circuits"] is CRITICAL
    assert (await probed.of("model-circuits")).summary == f"{drafting.name}; nothing is drafted"


async def test_few_failures_say_nothing(world: HealthWorld, drafting: Drafting, server: OpenAIServer) -> None:
    server.script(failure(500), failure(500))
    await drafting.drafts(2)

    assert await replace(world, chain=drafting.links).turned() == {}


async def test_old_failures_are_forgotten(world: HealthWorld, drafting: Drafting, server: OpenAIServer) -> None:
    server.script(*[failure(500)] * 4)
    await drafting.drafts(4)

    def later() -> object:
        return utc_now() + timedelta(minutes=25)

    figures = FigureHistory(redis=world.redis, clock=later)  # type: ignore[arg-type]  # a clock all the same
    probe = ModelErrorsProbe(figures=figures, rate=0.05, clock=later)  # type: ignore[arg-type]

    found = await probe.measure()

    assert (found.status, found.summary) == (HEALTHY, "no call in 10 min")


async def test_a_profile_whose_models_all_lack_their_key_is_critical(world: HealthWorld, drafting: Drafting) -> None:
    probed = replace(world, chain=lambda: drafting.links("keyed"))

    assert await probed.turned() == {"model-chain": CRITICAL}
    assert "NOT_SET is not set" in (await probed.of("model-chain")).summary


async def test_a_model_that_is_passed_over_is_told_and_no_trouble_while_another_can_be_asked(
    world: HealthWorld, drafting: Drafting
) -> None:
    found = await replace(world, chain=drafting.links).of("model-chain")

    assert found.status is HEALTHY
    assert found.summary == f"{drafting.name}, then offline; passed over: keyed-{drafting.name}: NOT_SET is not set"


async def test_a_registry_that_is_wrong_is_critical(world: HealthWorld) -> None:
    def wrong() -> Sequence[Link]:
        raise ConfigurationError("models.yaml:3: what it says is not repeated here")

    probed = replace(world, chain=wrong)

    assert await probed.turned() == {"model-chain": CRITICAL}
    assert "not repeated" not in (await probed.report()).model_dump_json()
