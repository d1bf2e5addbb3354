"""`BareRedis` answers what the driver's connection answers, and says what is wrong in the same words."""

import asyncio
from collections.abc import AsyncIterator
from urllib.parse import quote

import pytest

from nadia.embedded.endpoints import RedisEndpoint
from nadia.errors import UnavailableError
from nadia.redis.bare import BareRedis
from nadia.redis.commands import Command, Script, info_of
from nadia.redis.connection import RedisConnection
from nadia.redis.source import RedisSource

COMMANDS = (
    Command(("SET", "nadia:text", "Grüße, 你好 \r\n $5\r\n")),
    Command(("GET", "nadia:text")),
    Command(("GET", "nadia:none")),
    Command(("INCRBY", "nadia:number", 41)),
    Command(("RPUSH", "nadia:list", "a", "", "c" * 200_000)),
    Command(("LRANGE", "nadia:list", 0, -1)),
    Command(("LRANGE", "nadia:none", 0, -1)),
    Command(("HSET", "nadia:hash", "field", "value")),
    Command(("HGETALL", "nadia:hash")),
    Command(("HGETALL", "nadia:none")),
    Command(("EVAL", "return {1, 'two', {3, false}}", 0)),
)


@pytest.fixture
async def bare(redis_source: RedisSource, redis_connection: RedisConnection) -> AsyncIterator[BareRedis]:
    assert BareRedis.suits(redis_source)
    connection = BareRedis(redis_source)
    yield connection
    await connection.close()


async def answering(text: bytes) -> tuple[asyncio.Server, BareRedis]:
    """Start a server that answers everything with some bytes, and ends the connection."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(text)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    return server, BareRedis(RedisSource(url=f"redis://127.0.0.1:{port}/0", timeout_seconds=0.5))


async def test_answers_are_the_driver_s(bare: BareRedis, redis_connection: RedisConnection) -> None:
    ours = await bare.send(COMMANDS)
    await redis_connection.send([Command(("DEL", command.words[1])) for command in COMMANDS if "nadia" in str(command)])
    theirs = await redis_connection.send(COMMANDS)

    assert ours[1:] == theirs[1:]
    assert ours[0] == "OK"


async def test_an_info_can_be_read_of_either(bare: BareRedis, redis_connection: RedisConnection) -> None:
    info = Command(("INFO", "memory"))

    ours, theirs = info_of((await bare.send([info]))[0]), info_of((await redis_connection.send([info]))[0])

    assert ours["maxmemory_policy"] == theirs["maxmemory_policy"] == "noeviction"
    assert int(ours["used_memory"]) > 0


async def test_questions_that_are_asked_at_once_get_their_own_answers(bare: BareRedis) -> None:
    answers = await asyncio.gather(*(bare.send([Command(("ECHO", number))]) for number in range(100)))

    assert answers == [[str(number)] for number in range(100)]


async def test_who_gives_up_waiting_does_not_leave_the_answer_to_the_next(bare: BareRedis) -> None:
    await bare.send([Command(("ECHO", "warm"))])
    given_up = asyncio.create_task(bare.send([Command(("BLPOP", "nadia:none", 5))]))
    for _ in range(3):
        await asyncio.sleep(0)
    given_up.cancel()
    with pytest.raises(asyncio.CancelledError):
        await given_up

    assert await bare.send([Command(("ECHO", "mine"))]) == ["mine"]


async def test_a_refusal_names_its_kind_and_not_what_was_sent(bare: BareRedis) -> None:
    with pytest.raises(UnavailableError) as refused:
        await bare.send([Command(("GET", "nadia:x")), Command(("NONSENSE", "what a customer wrote"))])

    assert refused.value.message == "Redis refused a command (ERR)"
    assert await bare.send([Command(("ECHO", "still there"))]) == ["still there"]


async def test_a_connection_that_died_while_idle_is_made_anew(
    bare: BareRedis, redis_connection: RedisConnection
) -> None:
    script = Script("return 'ran'")
    await bare.send([Command(("SET", "nadia:n", 1))])
    await redis_connection.send([Command(("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"))])

    assert await bare.send([Command(("INCR", "nadia:n")), Command(("ECHO", "here"))]) == [2, "here"]
    await redis_connection.send([Command(("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"))])
    assert await bare.run(script, keys=[], args=[]) == "ran"


async def test_a_server_that_ends_each_connection_is_asked_again_once_and_only_then() -> None:
    questions = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        questions.append(await reader.read(100))
        if len(questions) == 1:
            writer.write(b"+PONG\r\n")
            questions.append(await reader.read(100))
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    bare = BareRedis(RedisSource(url=f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}/0", timeout_seconds=5))
    async with server:
        assert await bare.send([Command(("PING",))]) == ["PONG"]
        with pytest.raises(UnavailableError, match="cannot be reached"):
            await bare.send([Command(("PING",))])
    assert len(questions) == 3, "once over the kept connection, once over a new one"


async def test_an_answer_that_breaks_off_is_not_asked_for_again() -> None:
    questions = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for answer in (b":1\r\n", b":"):
            questions.append(await reader.read(100))
            writer.write(answer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    bare = BareRedis(RedisSource(url=f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}/0", timeout_seconds=5))
    async with server:
        assert await bare.send([Command(("INCR", "n"))]) == [1]
        with pytest.raises(UnavailableError, match="cannot be reached"):
            await bare.send([Command(("INCR", "n"))])
    assert len(questions) == 2


async def test_a_refusal_within_a_list_is_a_refusal() -> None:
    server, bare = await answering(b"*2\r\n:1\r\n*1\r\n-ERR what a customer wrote\r\n")
    async with server:
        with pytest.raises(UnavailableError) as refused:
            await bare.send([Command(("PING",))])
        await bare.close()
    assert refused.value.message == "Redis refused a command (ERR)"


async def test_nothing_to_ask_is_answered_at_once() -> None:
    assert await BareRedis(RedisSource(url="redis://127.0.0.1:1/0")).send([]) == []


async def test_a_wrong_password_is_a_refusal(redis_endpoint: RedisEndpoint) -> None:
    url = f"unix://{redis_endpoint.username}:wrong@{quote(str(redis_endpoint.socket_path))}"

    with pytest.raises(UnavailableError, match="WRONGPASS"):
        await BareRedis(RedisSource(url=url)).send([Command(("PING",))])


async def test_another_database_of_the_server_is_another_one(redis_endpoint: RedisEndpoint, bare: BareRedis) -> None:
    await bare.send([Command(("SET", "nadia:here", 1))])
    other = BareRedis(RedisSource(url=f"{redis_endpoint.url}?db=1"))
    try:
        assert await other.send([Command(("GET", "nadia:here"))]) == [None]
    finally:
        await other.close()


@pytest.mark.parametrize(
    "text",
    [b"", b"$5\r\nab", b"*3\r\n:1\r\n", b"HTTP/1.1 400 Bad\r\n\r\n", b"$x\r\n", b"x" * 99_999, b"*1\r\n" * 2_000],
)
async def test_what_is_no_redis_cannot_be_reached(text: bytes) -> None:
    server, bare = await answering(text)
    async with server:
        with pytest.raises(UnavailableError, match="cannot be reached"):
            await bare.send([Command(("PING",))])


async def test_nobody_there_is_told_at_once() -> None:
    with pytest.raises(UnavailableError, match="ConnectionRefusedError"):
        await BareRedis(RedisSource(url="redis://127.0.0.1:1/0")).send([Command(("PING",))])


async def test_no_answer_is_waited_for_no_longer_than_told() -> None:
    ended = asyncio.Event()

    async def accept(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await ended.wait()
        writer.close()

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    bare = BareRedis(RedisSource(url=f"redis://127.0.0.1:{port}/0", timeout_seconds=0.1))
    async with server:
        with pytest.raises(UnavailableError, match="TimeoutError"):
            await bare.send([Command(("PING",))])
        ended.set()


@pytest.mark.parametrize(
    "source",
    [
        RedisSource(url="rediss://host/0"),
        RedisSource(url="redis://host/0", mode="cluster"),
        RedisSource(url="redis://host/0", mode="sentinel"),
    ],
)
def test_what_needs_the_driver_is_left_to_it(source: RedisSource) -> None:
    assert not BareRedis.suits(source)


async def test_a_script_runs_whether_redis_knows_it_or_not(bare: BareRedis) -> None:
    script = Script("return {KEYS[1], ARGV[1]}")
    redis_knows = script.call(keys=["nadia:a"], args=["1"])
    for _ in range(2):
        await bare.send([Command(("SCRIPT", "FLUSH"))])
        for _ in range(2):
            assert await bare.run(script, keys=["nadia:a"], args=["1"]) == ["nadia:a", "1"]
    assert await bare.send([Command(("ECHO", "before")), redis_knows, Command(("ECHO", "after"))]) == [
        "before",
        ["nadia:a", "1"],
        "after",
    ]
