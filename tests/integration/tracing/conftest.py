"""Fixtures for tracing."""

from collections.abc import AsyncIterator, Callable

import pytest

from nadia.redis.connection import RedisConnection
from nadia.tracing import service
from nadia.tracing.config import TracingSettings
from nadia.tracing.service import MessageTraces
from support.otlp_receiver import Receiver, otlp_receiver
from support.reply_fixtures import desk_database, live_events, reviewer, world
from support.reply_world import World

__all__ = ["desk_database", "live_events", "reviewer", "world"]

MakeTraces = Callable[..., MessageTraces]


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with otlp_receiver() as running:
        yield running


@pytest.fixture
async def make_traces(
    world: World, redis_connection: RedisConnection, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[MakeTraces]:
    """Returns what a worker runs, with settings of the test's own; nothing has to settle."""
    monkeypatch.setattr(service, "SETTLED", service.SETTLED * 0)
    made = []

    def make(**settings: object) -> MessageTraces:
        values = {"endpoint": receiver.url, "timeout_seconds": 2.0} | settings
        traces = MessageTraces(
            database=world.database, redis=redis_connection, settings=TracingSettings.model_validate(values)
        )
        made.append(traces)
        return traces

    yield make
    for traces in made:
        await traces._collector.close()


@pytest.fixture
def traces(make_traces: MakeTraces) -> MessageTraces:
    return make_traces()
