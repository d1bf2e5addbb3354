"""One trace per message, from what is really on record, at a collector that really parses it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import timedelta

import pytest

from nadia.errors import UnavailableError
from nadia.metrics import REGISTRY
from nadia.postgres.database import Database
from nadia.redis import keys
from nadia.redis.commands import Command
from nadia.redis.connection import RedisConnection
from nadia.review.models import ReviewerRef
from nadia.tracing import service
from nadia.tracing.service import MessageTraces
from support.core import running, until
from support.otlp_receiver import Receiver, otlp_receiver
from support.post_office import PostOffice
from support.reply_world import World
from support.sandbox_network import SandboxNetwork, sandbox_network

MakeTraces = Callable[..., MessageTraces]
SECRETS = ("Mina", "Four euros", "shipping", "Jonas")


def counted(outcome: str) -> float:
    return REGISTRY.get_sample_value("nadia_tracing_traces_total", {"outcome": outcome}) or 0


async def rejected(world: World, reviewer: ReviewerRef, *texts: str, name: str = "Mina") -> int:
    batch_id = await world.sealed(await world.customer(name), *texts)
    await reject(world, batch_id, reviewer)
    return batch_id


async def reject(world: World, batch_id: int, reviewer: ReviewerRef) -> None:
    seen = await world.desk.item(batch_id)
    await world.desk.reject(
        batch_id, reviewer, reason="about shipping, says Jonas", seen_revision=seen.conversation_revision
    )


@pytest.fixture
async def network(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[SandboxNetwork]:
    async with sandbox_network(tmp_path_factory.mktemp("tg")) as network:
        yield network


async def test_a_reply_that_was_sent_is_told_from_intake_to_its_last_bubble(
    world: World, reviewer: ReviewerRef, network: SandboxNetwork, traces: MessageTraces, receiver: Receiver
) -> None:
    office = PostOffice(world=world, network=network, reviewer=reviewer)
    conversation = await office.customer()
    await office.writes(conversation)
    await office.writes(conversation, "And to Malta?")
    await world.batches.seal(conversation.id)
    (row,) = await world.execute("SELECT max(id) AS id FROM batches")
    batch_id = int(row["id"])
    await world.add_draft(batch_id, ["Four euros."])
    await world.desk.claim(batch_id, reviewer)
    await world.approve(batch_id, reviewer, "Four euros.", "Six to Malta.")
    async with office.delivering():
        await office.reaches(batch_id, "sent")

    assert await traces.look() == 1
    assert len(receiver.traces) == 2
    for spans in receiver.traces.values():
        assert [span.name for span in spans] == [
            "message",
            "intake",
            "pacing",
            "waiting for a draft",
            "drafting",
            "waiting for a reviewer",
            "review",
            "waiting to send",
            "delivery",
            "bubble",
            "bubble",
        ]
        attributes = {pair.key: pair.value for span in spans for pair in span.attributes}
        assert attributes["nadia.outcome"].string_value == "sent"
        assert attributes["nadia.decision"].string_value == "approve"
        assert attributes["nadia.edited"].bool_value is True
        assert attributes["gen_ai.usage.input_tokens"].int_value == 11
        assert attributes["nadia.cost_usd"].double_value == pytest.approx(0.00012)
        whole = spans[0]
        assert all(span.end_time_unix_nano > span.start_time_unix_nano for span in spans if span.name == "bubble")
        assert len(whole.trace_id) == 16
        assert all(len(span.span_id) == 8 for span in spans)
        assert all(
            whole.start_time_unix_nano
            <= span.start_time_unix_nano
            <= span.end_time_unix_nano
            <= whole.end_time_unix_nano
            for span in spans
        )


async def test_nothing_that_anybody_wrote_or_is_called_is_told(
    world: World, reviewer: ReviewerRef, traces: MessageTraces, receiver: Receiver
) -> None:
    batch_id = await world.drafted(await world.customer("Mina"), bubbles=["Four euros."])
    await reject(world, batch_id, reviewer)
    await traces.look()
    (request,) = receiver.requests
    assert not [secret for secret in SECRETS if secret.encode() in request.SerializeToString()]


async def test_what_was_told_is_not_told_again_and_what_ends_later_is(
    world: World, reviewer: ReviewerRef, make_traces: MakeTraces, receiver: Receiver
) -> None:
    await rejected(world, reviewer)
    assert await make_traces().look() == 1
    assert await make_traces().look() == 0
    await rejected(world, reviewer, name="Tom")
    assert await make_traces().look() == 1
    assert len(receiver.traces) == 2


async def test_what_has_not_ended_or_only_just_is_not_told(
    world: World, reviewer: ReviewerRef, traces: MessageTraces, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.drafted(await world.customer())
    await rejected(world, reviewer, name="Tom")
    monkeypatch.setattr(service, "SETTLED", timedelta(seconds=20))
    assert await traces.look() == 0
    assert receiver.paths == []


async def test_a_lost_position_means_the_same_traces_again(
    world: World,
    reviewer: ReviewerRef,
    traces: MessageTraces,
    receiver: Receiver,
    redis_connection: RedisConnection,
) -> None:
    await rejected(world, reviewer)
    await traces.look()
    for damage in (Command(("DEL", keys.TRACED_UP_TO)), Command(("SET", keys.TRACED_UP_TO, "garbage x"))):
        await redis_connection.send([damage])
        assert await traces.look() == 1
    assert len(receiver.requests) == 3
    assert len({request.SerializeToString() for request in receiver.requests}) == 1


async def test_of_two_workers_one_tells_at_a_time(
    world: World, reviewer: ReviewerRef, make_traces: MakeTraces, receiver: Receiver
) -> None:
    for number in range(3):
        await rejected(world, reviewer, name=f"Customer {number}")
    told = await asyncio.gather(*(make_traces().look() for _ in range(4)))
    assert sorted(told) == [0, 0, 0, 3]
    assert len(receiver.traces) == 3


async def test_a_collector_that_is_away_slow_or_overloaded_loses_nothing(
    world: World, reviewer: ReviewerRef, make_traces: MakeTraces, receiver: Receiver
) -> None:
    await rejected(world, reviewer)
    nobody = make_traces(endpoint="http://127.0.0.1:1")
    with pytest.raises(UnavailableError, match="cannot be reached"):
        await nobody.look()
    receiver.silent = True
    with pytest.raises(UnavailableError, match="cannot be reached"):
        await make_traces(timeout_seconds=0.2).look()
    receiver.silent = False
    for status in (429, 500, 502, 503, 504):
        receiver.status = status
        with pytest.raises(UnavailableError, match=str(status)):
            await make_traces().look()
    receiver.status = 401
    with pytest.raises(UnavailableError) as refused:
        await make_traces().look()
    assert "NADIA_TRACING_HEADERS" in (refused.value.hint or "")
    receiver.status = 200
    assert await make_traces().look() == 1
    assert len(receiver.traces) == 1


async def test_spans_that_the_collector_cannot_read_hold_nothing_up(
    world: World, reviewer: ReviewerRef, traces: MessageTraces, receiver: Receiver
) -> None:
    await rejected(world, reviewer)
    before = counted("refused")
    receiver.status = 400
    assert await traces.look() == 1
    receiver.status = 200
    await rejected(world, reviewer, name="Tom")
    assert await traces.look() == 1
    assert counted("refused") == before + 1
    assert len(receiver.traces) == 1


async def test_neither_a_redirect_nor_a_huge_answer_is_followed(
    world: World, reviewer: ReviewerRef, make_traces: MakeTraces, receiver: Receiver
) -> None:
    await rejected(world, reviewer)
    async with otlp_receiver() as elsewhere:
        receiver.status, receiver.location = 307, elsewhere.url
        with pytest.raises(UnavailableError, match="307"):
            await make_traces(headers="authorization=Bearer%20hunter2").look()
        assert elsewhere.paths == []
    receiver.status, receiver.location, receiver.answer = 200, "", b"x" * 5_000_000
    assert await make_traces().look() == 1


async def test_the_headers_and_the_path_are_those_of_the_settings(
    world: World, reviewer: ReviewerRef, make_traces: MakeTraces, receiver: Receiver
) -> None:
    await rejected(world, reviewer)
    await make_traces(headers="authorization=Bearer%20hunter2").look()
    await rejected(world, reviewer, name="Tom")
    await make_traces(endpoint=f"{receiver.url}/otlp/v1/traces").look()
    assert receiver.paths == ["/v1/traces", "/otlp/v1/traces"]
    assert receiver.headers[0]["authorization"] == "Bearer hunter2"
    assert receiver.headers[0]["content-type"] == "application/x-protobuf"


async def test_a_share_of_the_messages_is_traced_the_same_ones_each_time(
    world: World, reviewer: ReviewerRef, make_traces: MakeTraces, receiver: Receiver, redis_connection: RedisConnection
) -> None:
    await rejected(world, reviewer, *(f"message {number}" for number in range(60)))
    seen = []
    for _ in range(2):
        receiver.requests.clear()
        await make_traces(sample_ratio=0.5).look()
        seen.append(set(receiver.traces))
        await redis_connection.send([Command(("DEL", keys.TRACED_UP_TO))])
    assert seen[0] == seen[1]
    assert 10 < len(seen[0]) < 50
    receiver.requests.clear()
    assert await make_traces(sample_ratio=0.0).look() == 1
    assert receiver.requests == []


async def test_very_many_messages_go_in_portions(
    world: World, reviewer: ReviewerRef, traces: MessageTraces, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "_PAGE", 4)
    monkeypatch.setattr(service, "_SPANS_AT_ONCE", 20)
    for number in range(10):
        await rejected(world, reviewer, *["x" * 4_000] * 10, name=f"Customer {number}")
    assert await traces.look() == 10
    assert len(receiver.traces) == 100
    assert max(receiver.sizes) < 100_000


async def test_of_a_batch_with_very_many_messages_the_first_are_traced(
    world: World, reviewer: ReviewerRef, traces: MessageTraces, receiver: Receiver
) -> None:
    await rejected(world, reviewer, *["hello"] * 120)
    await traces.look()
    assert len(receiver.traces) == 100


async def test_what_ended_more_than_a_day_ago_is_not_told(
    world: World, reviewer: ReviewerRef, traces: MessageTraces, receiver: Receiver, redis_connection: RedisConnection
) -> None:
    batch_id = await rejected(world, reviewer)
    await world.execute("UPDATE batches SET changed_at = changed_at - interval '25 hours' WHERE id = %s", batch_id)
    await redis_connection.send([Command(("SET", keys.TRACED_UP_TO, "2020-01-01T00:00:00+00:00 1"))])
    assert await traces.look() == 0


async def test_a_worker_goes_on_by_itself_when_the_collector_is_back(
    world: World,
    reviewer: ReviewerRef,
    make_traces: MakeTraces,
    receiver: Receiver,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(service, "_LOOK_SECONDS", 0.05)
    monkeypatch.setattr(service, "_LONGEST_WAIT_SECONDS", 0.1)
    await rejected(world, reviewer)
    receiver.status = 503

    async def asked() -> bool:
        return len(receiver.paths) >= 3

    async def told() -> bool:
        return len(receiver.traces) == 1

    async with running(make_traces().run):
        await until(asked)
        receiver.status = 200
        await until(told)


async def test_with_postgresql_or_redis_away_it_waits(
    world: World, redis_connection: RedisConnection, traces: MessageTraces, desk_database: Database
) -> None:
    await desk_database.close()
    with pytest.raises(UnavailableError):
        await traces.look()
