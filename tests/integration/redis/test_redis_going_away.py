"""What users of Redis meet while it is away: one failure, then none until it is back."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from nadia.embedded.servers import EmbeddedServers
from nadia.errors import UnavailableError
from nadia.redis.commands import Command
from nadia.redis.connection import RedisConnection
from nadia.redis.source import RedisSource
from nadia.resilience import CircuitOpenError
from support.core import until
from support.servers import short_folder

PING = Command(("PING",))


@contextmanager
def silenced(pid: int) -> Iterator[None]:
    """Stop a process from answering, without its connections breaking."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@pytest.fixture
async def connection(redis_source: RedisSource) -> AsyncIterator[RedisConnection]:
    impatient = RedisConnection(RedisSource(url=redis_source.url, timeout_seconds=0.3))
    yield impatient
    await impatient.close()


@pytest.fixture
def redis_pid(servers: EmbeddedServers) -> int:
    pid = servers.pid("redis")
    assert pid is not None
    return pid


async def answers(connection: RedisConnection) -> bool:
    try:
        return await connection.send([PING]) == [True]
    except UnavailableError:
        return False


async def test_nobody_listening_is_unavailable_with_the_remedy() -> None:
    connection = RedisConnection(RedisSource(url="unix:///nonexistent/redis.sock"))
    try:
        with pytest.raises(UnavailableError) as failed:
            await connection.send([PING])
        assert "REDIS_URL" in (failed.value.hint or "")
    finally:
        await connection.close()


async def test_one_time_out_is_paid_once_by_all_users(connection: RedisConnection, redis_pid: int) -> None:
    assert await answers(connection)
    loop = asyncio.get_running_loop()
    with silenced(redis_pid):
        with pytest.raises(UnavailableError):
            await connection.send([PING])
        began = loop.time()
        for _ in range(200):
            with pytest.raises(CircuitOpenError):
                await connection.send([PING])
            with pytest.raises(CircuitOpenError):
                async with connection.use():
                    pytest.fail("nobody gets a client while Redis is known to be away")
        assert loop.time() - began < 0.3  # not one more time-out among four hundred calls


async def test_no_caller_waits_for_a_probe(connection: RedisConnection, redis_pid: int) -> None:
    assert await answers(connection)
    with silenced(redis_pid):
        with pytest.raises(UnavailableError):
            await connection.send([PING])
        await asyncio.sleep(0)
        # Over more than one cool-down with its probe: whoever comes is refused without waiting.
        deadline = asyncio.get_running_loop().time() + 1.6
        while asyncio.get_running_loop().time() < deadline:
            before = asyncio.get_running_loop().time()
            with pytest.raises(CircuitOpenError):
                await connection.send([PING])
            assert asyncio.get_running_loop().time() - before < 0.25
            await asyncio.sleep(0.02)


async def test_it_is_found_again_without_anyone_asking(connection: RedisConnection, redis_pid: int) -> None:
    assert await answers(connection)
    with silenced(redis_pid), pytest.raises(UnavailableError):
        await connection.send([PING])

    async def back() -> bool:
        return await answers(connection)

    await until(back, within=5)


async def test_a_restart_between_two_commands_is_not_noticed() -> None:
    with short_folder() as base:
        socket = base / "redis.sock"
        connection = RedisConnection(RedisSource(url=f"unix://{socket}"))
        try:
            first = await start_redis(base, socket)
            assert await answers(connection)
            first.terminate()
            await first.wait()
            second = await start_redis(base, socket)
            try:
                assert await answers(connection)  # the pooled connection is broken; a fresh one is tried at once
            finally:
                second.terminate()
                await second.wait()
        finally:
            await connection.close()


async def test_a_refused_command_is_not_an_outage(redis_connection: RedisConnection) -> None:
    await redis_connection.send([Command(("SET", "text", "abc"))])
    with pytest.raises(UnavailableError, match=r"refused a command \(ResponseError\)") as refused:
        await redis_connection.send([Command(("RPUSH", "text", "what a customer wrote"))])
    assert "customer" not in str(refused.value)
    assert await answers(redis_connection)


async def test_an_exception_of_the_callers_own_passes_and_is_not_an_outage(redis_connection: RedisConnection) -> None:
    with pytest.raises(KeyError):
        async with redis_connection.use():
            raise KeyError("mine")
    assert await answers(redis_connection)


async def test_a_cancelled_command_leaves_no_answer_for_the_next_one(redis_connection: RedisConnection) -> None:
    async def read() -> None:
        async with redis_connection.use() as redis:
            await redis.xread({"nothing": "$"}, block=1_000)

    for _ in range(20):
        task = asyncio.create_task(read())
        await asyncio.sleep(0.002)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert await redis_connection.send([Command(("ECHO", "mine"))]) == ["mine"]


async def test_closing_ends_the_probe(redis_pid: int, redis_source: RedisSource) -> None:
    others = probes()
    connection = RedisConnection(RedisSource(url=redis_source.url, timeout_seconds=0.2))
    with silenced(redis_pid), pytest.raises(UnavailableError):
        await connection.send([PING])
    await connection.close()
    assert probes() <= others


def probes() -> set["asyncio.Task[object]"]:
    """Every probe of this event loop, which all tests share."""
    return {task for task in asyncio.all_tasks() if task.get_name() == "redis.probe"}


async def start_redis(base: Path, socket: Path) -> asyncio.subprocess.Process:
    from nadia.embedded.binaries import find_redis

    process = await asyncio.create_subprocess_exec(
        str(find_redis().program.path),
        *("--port", "0", "--unixsocket", str(socket), "--dir", str(base), "--save", ""),
        stdout=asyncio.subprocess.DEVNULL,
    )

    async def listens() -> bool:
        probe = RedisConnection(RedisSource(url=f"unix://{socket}"))
        try:
            return await answers(probe)
        finally:
            await probe.close()

    await until(listens)
    return process
