"""Redis' files never block a start: what this server cannot read is set aside, and reported."""

from pathlib import Path

import pytest

from nadia.embedded.binaries import Program, RedisProgram, RedisVersion
from nadia.embedded.errors import ServerStartError
from nadia.embedded.home import Home
from nadia.embedded.redis import EmbeddedRedis
from nadia.embedded.reports import StartResult
from nadia.embedded.servers import EmbeddedServers
from support.servers import redis_client


async def start_once(home: Home, binary: Path | None, *, write: bool = False) -> tuple[StartResult, str | bytes | None]:
    """Start, read the key (and write it), stop; returns how Redis came up and what it held."""
    servers = EmbeddedServers(home=home, redis_binary=binary)
    _, redis = await servers.start()
    try:
        async with redis_client(servers.redis) as client:
            held = await client.get("kept")
            if write:
                await client.set("kept", "yes")
    finally:
        await servers.stop()
    return redis, held


def append_only_file(home: Home) -> Path:
    data = home.path / "servers" / "redis" / "data"
    # Redis 7 keeps several in a folder; the growing one is what a crash cuts short.
    return next(iter([*data.glob("appendonlydir/*.incr.aof"), *data.glob("appendonly.aof")]))


async def test_an_older_server_sets_newer_files_aside_and_starts_empty(
    home: Home, newer_and_older_redis: tuple[Path, Path]
) -> None:
    newer, older = newer_and_older_redis
    await start_once(home, newer, write=True)
    start, held = await start_once(home, older)
    assert held is None
    assert start.fresh
    assert start.set_aside is not None
    assert list(start.set_aside.rglob("*.aof")) != []
    assert "written by redis 7" in (start.reason or "")
    assert (home.path / "servers" / "redis" / "written-by").read_text() == "redis 6.2.14\n"


async def test_a_newer_server_goes_on_with_older_files(home: Home, newer_and_older_redis: tuple[Path, Path]) -> None:
    newer, older = newer_and_older_redis
    await start_once(home, older, write=True)
    start, held = await start_once(home, newer)
    assert (held, start.set_aside) == ("yes", None)


async def test_another_products_files_are_set_aside(home: Home) -> None:
    await start_once(home, None, write=True)
    (home.path / "servers" / "redis" / "written-by").write_text("valkey 6.2.0\n")
    start, held = await start_once(home, None)
    assert held is None
    assert "written by valkey 6.2.0" in (start.reason or "")


async def test_a_file_cut_short_by_a_crash_is_loaded_up_to_there(home: Home, redis_binary: Path) -> None:
    await start_once(home, redis_binary, write=True)
    with append_only_file(home).open("ab") as file:
        file.write(b"*3\r\n$3\r\nSET\r\n$4\r\nke")
    start, held = await start_once(home, redis_binary)
    assert (held, start.set_aside) == ("yes", None)


async def test_a_damaged_file_is_set_aside_and_reported(home: Home, redis_binary: Path) -> None:
    await start_once(home, redis_binary, write=True)
    damaged = append_only_file(home)
    damaged.write_bytes(b"this is not a command\r\n" + damaged.read_bytes())
    start, held = await start_once(home, redis_binary)
    assert held is None
    assert start.set_aside is not None
    assert "did not start with them" in (start.reason or "")
    assert (start.set_aside / damaged.relative_to(home.path / "servers" / "redis" / "data")).exists()


async def test_files_that_are_not_to_blame_stay_where_they_are(home: Home) -> None:
    servers = EmbeddedServers(home=home)
    await start_once(home, None, write=True)
    file = append_only_file(home)
    content = file.read_bytes()
    broken = Path("/bin/false")
    found = RedisProgram(
        program=Program(path=broken, root=broken.parent, parts=("false",)),
        version=RedisVersion(product="redis", version=(99, 0, 0)),
    )
    with pytest.raises(ServerStartError, match="exited with status 1"):
        await EmbeddedRedis(home=home, place=servers.place, found=found).start()
    assert file.read_bytes() == content
    assert list(file.parents[1].glob("data.set-aside-*")) == []
