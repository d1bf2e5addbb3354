"""Both servers as the product runs them: who may reach them, what they keep, how they end."""

import asyncio
import os
import stat
from pathlib import Path

import psutil
import psycopg
import pytest
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from nadia.embedded.endpoints import Role
from nadia.embedded.errors import HomeInUseError, ServerStartError
from nadia.embedded.home import Home
from nadia.embedded.process import run_program
from nadia.embedded.servers import EmbeddedServers
from nadia.embedded.service_user import ServiceUser
from support.server_processes import running_below
from support.servers import redis_client, short_folder


async def rows(dsn: str, query: str) -> list[tuple[object, ...]]:
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as connection:
        cursor = await connection.execute(query.encode())
        return await cursor.fetchall() if cursor.description else []


async def test_data_survive_a_restart(home: Home, redis_binary: Path) -> None:
    servers = EmbeddedServers(home=home, redis_binary=redis_binary)
    first = await servers.start()
    await rows(servers.dsn(Role.OWNER), "CREATE TABLE kept (id int); INSERT INTO kept VALUES (7)")
    async with redis_client(servers.redis) as client:
        await client.set("kept", "yes")
    await servers.stop()
    second = await servers.start()
    try:
        assert await rows(servers.dsn(), "SELECT id FROM kept") == [(7,)]
        async with redis_client(servers.redis) as client:
            assert await client.get("kept") == "yes"
    finally:
        await servers.stop()
    assert [(start.server, start.fresh) for start in first] == [("postgres", True), ("redis", True)]
    assert [(start.server, start.fresh) for start in second] == [("postgres", False), ("redis", False)]


async def test_stopping_leaves_no_process_and_gives_the_home_back(home: Home) -> None:
    servers = EmbeddedServers(home=home, durable=False)
    await servers.start()
    waiting = asyncio.create_task(servers.wait())
    with pytest.raises(HomeInUseError) as refused:
        await EmbeddedServers(home=Home(path=home.path)).start()
    assert refused.value.pid == os.getpid()
    assert len(running_below(home.path)) > 2
    await servers.stop()
    assert running_below(home.path) == []
    assert list(servers.place.socket_folder.iterdir()) == []
    await asyncio.wait_for(waiting, 5)
    with Home(path=home.path).lock():
        pass


async def test_only_the_passwords_open_the_servers(servers: EmbeddedServers) -> None:
    for role in Role:
        assert await rows(servers.dsn(role), "SELECT current_user::text") == [(role.value,)]
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            await psycopg.AsyncConnection.connect(servers.dsn(role), password="wrong")
        with pytest.raises(psycopg.OperationalError, match="no password supplied"):
            await psycopg.AsyncConnection.connect(servers.dsn(role), password="", passfile="/nonexistent")
    for password, refusal in (("wrong", "invalid username-password"), (None, "authenticat")):
        once = Retry(NoBackoff(), 0)
        client = Redis(unix_socket_path=str(servers.redis.socket_path), password=password, retry=once)
        with pytest.raises(RedisError, match=refusal):
            await client.ping()
        await client.aclose()


async def test_the_redis_url_and_the_postgres_url_lead_to_the_servers(servers: EmbeddedServers) -> None:
    client = Redis.from_url(servers.redis.url)
    assert await client.ping() is True
    await client.aclose()
    assert await rows(servers.dsn(Role.OWNER), "SELECT current_database()::text") == [("nadia",)]


async def test_no_password_is_in_a_command_line_an_environment_or_a_log(servers: EmbeddedServers) -> None:
    place = servers.place.path
    passwords = [path.read_text().strip() for path in (place.parent / "secrets").iterdir()]
    assert len(passwords) == 4
    seen = [path.read_bytes() for path in (place / "log").iterdir()]
    for pid in psutil.pids():
        for name in ("cmdline", "environ"):
            try:
                seen.append(Path(f"/proc/{pid}/{name}").read_bytes())
            except OSError:
                continue
    everything = b"\n".join(seen)
    assert b"redis-server" in everything
    assert [password for password in passwords if password.encode() in everything] == []


async def test_what_we_start_gets_nothing_of_our_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "not-for-the-servers")
    printed = await run_program(["/usr/bin/env"], folder=Path("/"), user=ServiceUser.resolve())
    assert {line.partition("=")[0] for line in printed.splitlines()} == {"PATH", "LC_ALL", "TZ"}


async def test_sockets_and_files_are_closed_to_everybody_else(servers: EmbeddedServers) -> None:
    place = servers.place
    folder = place.socket_folder
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {path.name for path in folder.iterdir() if path.is_socket()} == {".s.PGSQL.5432", "redis.sock"}
    for path in [*folder.iterdir(), *place.path.rglob("*.conf"), *(place.path / "log").iterdir()]:
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path
    for name in ("run", "postgres", "redis"):
        status = (place.path / name).stat()
        assert (status.st_uid, stat.S_IMODE(status.st_mode)) == (place.user.uid, 0o700)


async def test_nothing_listens_on_the_network(servers: EmbeddedServers) -> None:
    for process in running_below(servers.place.path):
        assert process.net_connections(kind="inet") == []


async def test_ctrl_c_in_the_terminal_does_not_reach_the_servers(servers: EmbeddedServers) -> None:
    for pid in (servers.pid("postgres"), servers.pid("redis")):
        assert pid is not None
        assert os.getsid(pid) == pid != os.getsid(0)


async def test_the_application_role_changes_rows_and_not_the_schema(postgres_dsn: str, postgres_owner_dsn: str) -> None:
    await rows(
        postgres_owner_dsn,
        "CREATE SCHEMA side; CREATE TABLE side.t (id serial, v int); CREATE TABLE t (id serial, v int)",
    )
    for table in ("t", "side.t"):
        assert await rows(postgres_dsn, f"INSERT INTO {table} (v) VALUES (1) RETURNING id") == [(1,)]
        assert await rows(postgres_dsn, f"UPDATE {table} SET v = 2 RETURNING v") == [(2,)]
        assert await rows(postgres_dsn, f"DELETE FROM {table} RETURNING v") == [(2,)]
        for forbidden in ("DROP TABLE {}", "ALTER TABLE {} ADD x int", "TRUNCATE {}"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                await rows(postgres_dsn, forbidden.format(table))
    for forbidden in ("CREATE TABLE other (id int)", "CREATE SCHEMA other", "SET ROLE nadia_owner"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            await rows(postgres_dsn, forbidden)


async def test_the_servers_are_set_up_as_the_design_says(home: Home, redis_binary: Path) -> None:
    async with EmbeddedServers(home=home, redis_binary=redis_binary) as servers:
        for name, value in {
            "fsync": "on",
            "full_page_writes": "on",
            "synchronous_commit": "on",
            "autovacuum": "on",
            "jit": "off",
            "listen_addresses": "",
            "max_connections": "60",
            "server_encoding": "UTF8",
            "TimeZone": "UTC",
        }.items():
            assert await rows(servers.dsn(), f"SELECT current_setting('{name}')") == [(value,)], name
        async with redis_client(servers.redis) as client:
            for name, value in {
                "port": "0",
                "appendonly": "yes",
                "appendfsync": "everysec",
                "maxmemory-policy": "noeviction",
                "maxmemory": str(200 * 1024 * 1024),
            }.items():
                assert (await client.config_get(name))[name] == value


@pytest.mark.parametrize("name", ["with space", 'it\'s "quoted"\\', "naïve-ü", "a,b", "d" * 120])
async def test_a_home_of_any_name_works(name: str) -> None:
    with short_folder() as base:
        (base / name).mkdir(mode=0o711)
        (base / name / "home").mkdir(mode=0o711)
        async with EmbeddedServers(home=Home(path=base / name / "home"), durable=False) as servers:
            assert await rows(servers.dsn(), "SELECT 1") == [(1,)]
            async with redis_client(servers.redis) as client:
                assert await client.ping()
        await servers.erase()
        assert not servers.place.socket_folder.exists()


async def test_a_start_cancelled_at_any_moment_leaves_nothing_running(home: Home) -> None:
    loop = asyncio.get_running_loop()
    for hundredths in range(0, 60, 6):
        servers = EmbeddedServers(home=home, durable=False)
        start = asyncio.create_task(servers.start())
        loop.call_later(hundredths / 100, start.cancel)
        try:
            await start
        except asyncio.CancelledError:
            assert running_below(home.path) == []
            assert home.owner_pid() is None
        else:
            await servers.stop()
    async with EmbeddedServers(home=home, durable=False) as servers:
        assert await rows(servers.dsn(), "SELECT 1") == [(1,)]


async def test_a_server_that_cannot_start_takes_the_other_down_and_says_why(home: Home) -> None:
    async with EmbeddedServers(home=home, durable=False) as servers:
        place = servers.place
    (place.path / "postgres" / "data" / "global" / "pg_control").unlink()
    with pytest.raises(ServerStartError, match="pg_control"):
        await servers.start()
    assert running_below(home.path) == []
    assert home.owner_pid() is None


async def test_a_cluster_of_another_major_version_is_refused(home: Home) -> None:
    async with EmbeddedServers(home=home, durable=False) as servers:
        place = servers.place
    (place.path / "postgres" / "data" / "PG_VERSION").write_text("16\n")
    with pytest.raises(ServerStartError, match="made by PostgreSQL 16, and this is 18"):
        await servers.start()
