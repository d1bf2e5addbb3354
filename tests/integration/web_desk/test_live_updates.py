"""Live updates from Redis to a page, and without Redis."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import pytest

from nadia.embedded.endpoints import RedisEndpoint
from nadia.redis.connection import RedisConnection
from nadia.redis.events import LiveEvents
from nadia.redis.live_feed import LiveFeed
from nadia.redis.source import RedisSource
from nadia.web.live import follow
from support.desk_app import DeskHouse

LIVE = "/api/v1/live"
DEADLINE = 20.0


class Stream:
    """The events of an open stream."""

    def __init__(self, lines: AsyncIterator[str]) -> None:
        self._lines = lines

    async def next(self) -> tuple[str, dict[str, object], str]:
        name, data, number = "", {}, ""
        async with asyncio.timeout(DEADLINE):
            async for line in self._lines:
                key, _, value = line.partition(": ")
                if key == "event":
                    name = value
                elif key == "data":
                    data = json.loads(value)
                elif key == "id":
                    number = value
                elif not line and name:
                    return name, data, number
        raise EOFError

    async def ends(self) -> bool:
        try:
            while True:
                await self.next()
        except EOFError:
            return True


async def test_a_page_hears_of_what_happens(house: DeskHouse, ann: httpx.AsyncClient) -> None:
    async with ann.stream("GET", LIVE) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        stream = Stream(answer.aiter_lines())
        assert (await stream.next())[0] == "refresh"
        await house.events.publish("item.claimed", batch=7)
        name, data, number = await stream.next()
    assert (name, data) == ("change", {"kind": "item.claimed", "fields": {"batch": "7"}})
    assert number


@pytest.mark.parametrize("how", ["header", "query"])
async def test_a_page_that_comes_back_hears_what_it_missed(house: DeskHouse, ann: httpx.AsyncClient, how: str) -> None:
    await house.events.publish("one")
    position = await house.events.latest_id()
    await house.events.publish("two")
    params = {"last_event_id": position} if how == "query" else {}
    headers = {"Last-Event-ID": position} if how == "header" else {}
    async with ann.stream("GET", LIVE, params=params, headers=headers) as answer:
        _, data, _ = await Stream(answer.aiter_lines()).next()
    assert data["kind"] == "two"


async def test_a_position_that_is_none_is_refused_in_the_query_and_passed_over_in_the_header(
    ann: httpx.AsyncClient,
) -> None:
    assert (await ann.get(LIVE, params={"last_event_id": "$"})).status_code == 422
    async with ann.stream("GET", LIVE, headers={"Last-Event-ID": "$"}) as answer:
        assert (await Stream(answer.aiter_lines()).next())[0] == "refresh"


async def test_nobody_listens_without_an_account(stranger: httpx.AsyncClient) -> None:
    assert (await stranger.get(LIVE)).status_code == 401


async def test_150_streams_are_served_and_redis_stays_there_for_others(house: DeskHouse) -> None:
    tokens = [await house.token(f"watcher{number}") for number in range(8)]
    async with AsyncExitStack() as everything:
        limits = httpx.Limits(max_connections=None)
        client = await everything.enter_async_context(httpx.AsyncClient(base_url=house.url, limits=limits, timeout=60))
        streams = []
        for number in range(150):
            headers = {"Authorization": f"Bearer {tokens[number % 8]}"}
            answer = await everything.enter_async_context(client.stream("GET", LIVE, headers=headers))
            assert answer.status_code == 200
            streams.append(Stream(answer.aiter_lines()))
        for stream in streams:
            assert (await stream.next())[0] == "refresh"
        await house.events.publish("item.claimed", batch=7)
        heard = [(await stream.next())[1].get("kind") for stream in streams]
        assert heard == ["item.claimed"] * 150
        assert await house.events.latest_id()  # raises where the connections' circuit is open


async def test_an_account_has_twenty_streams_and_a_closed_one_makes_room(ann: httpx.AsyncClient) -> None:
    async with AsyncExitStack() as everything:
        for _ in range(20):
            answer = await everything.enter_async_context(ann.stream("GET", LIVE))
            assert answer.status_code == 200
        refused = await ann.get(LIVE)
        assert (refused.status_code, refused.json()["error"]["code"]) == (429, "throttled")
        assert int(refused.headers["retry-after"]) > 0
    async with asyncio.timeout(DEADLINE):
        while True:  # the server notices by and by that they were closed
            async with ann.stream("GET", LIVE) as answer:
                if answer.status_code == 200:
                    break


async def test_open_streams_end_when_the_server_stops(house: DeskHouse, ann: httpx.AsyncClient) -> None:
    async with ann.stream("GET", LIVE) as answer:
        stream = Stream(answer.aiter_lines())
        await stream.next()
        stopping = asyncio.create_task(house.server.stop())
        assert await stream.ends()
        await stopping


async def test_without_redis_pages_are_told_to_refresh_until_it_is_back(
    redis_endpoint: RedisEndpoint, tmp_path: Path
) -> None:
    # the socket that the URL names is not there yet
    socket = tmp_path / "redis.sock"
    url = redis_endpoint.url.replace(str(redis_endpoint.socket_path), str(socket))
    connection = RedisConnection(RedisSource(url=url))
    stream = follow(LiveFeed(events=LiveEvents(redis=connection), retry_seconds=0), None)
    async with asyncio.timeout(DEADLINE):
        assert [(await anext(stream)).id for _ in range(3)] == [None, None, None]
        socket.symlink_to(redis_endpoint.socket_path)
        back = await anext(stream)
        while back.id is None:
            back = await anext(stream)
        assert back.name == "refresh"
        await LiveEvents(redis=connection).publish("item.claimed")
        assert (await anext(stream)).data["kind"] == "item.claimed"
    await stream.aclose()
    await connection.close()
