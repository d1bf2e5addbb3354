"""What is left after NADIA, or one of its servers, is killed; and that the next start works."""

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import psutil
import psycopg
import pytest

from nadia.embedded.binaries import find_postgres
from nadia.embedded.endpoints import Role
from nadia.embedded.home import Home
from nadia.embedded.reports import Exited, Restarted, ServerEvent
from nadia.embedded.servers import EmbeddedServers
from support import embedded_owner
from support.eventually import eventually
from support.server_processes import running_below
from support.servers import redis_client

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells children of their parent's death")


@asynccontextmanager
async def owner_process(home: Home) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, embedded_owner.__file__, str(home.path), stdout=asyncio.subprocess.PIPE
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def count(dsn: str) -> int:
    async with await psycopg.AsyncConnection.connect(dsn) as connection:
        row = await (await connection.execute("SELECT count(*) FROM kept")).fetchone()
        assert row is not None
        return int(row[0])


async def write_rows_until_cut_off(dsn: str) -> int:
    """Insert and commit one row after the other; returns how many commits were confirmed."""
    confirmed = 0
    try:
        async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as connection:
            while True:
                await connection.execute("INSERT INTO kept VALUES (1)")
                confirmed += 1
    except psycopg.OperationalError:
        return confirmed


@linux_only
async def test_killing_nadia_leaves_no_server_and_loses_no_commit(home: Home) -> None:
    async with (
        EmbeddedServers(home=home) as servers,
        await psycopg.AsyncConnection.connect(servers.dsn(Role.OWNER), autocommit=True) as connection,
    ):
        await connection.execute("CREATE TABLE kept (id int)")
    async with owner_process(home) as owner:
        assert owner.stdout is not None
        ready = json.loads(await owner.stdout.readline())
        async with redis_client(servers.redis) as client:
            await client.set("kept", "yes")
        writing = asyncio.create_task(write_rows_until_cut_off(ready["dsn"]))
        await eventually(lambda: psutil.Process(ready["postgres"]).is_running())
        asyncio.get_running_loop().call_later(0.3, owner.kill)
        confirmed = await writing
        assert confirmed > 0
        await eventually(lambda: running_below(home.path) == [], what="the end of the servers")
    async with EmbeddedServers(home=home) as servers:
        # The commit in flight may have been made without its confirmation reaching us.
        assert await count(servers.dsn()) in {confirmed, confirmed + 1}
        async with redis_client(servers.redis) as client:
            assert await client.get("kept") == "yes"


@linux_only
async def test_a_first_start_killed_at_any_moment_is_completed_by_the_next(home: Home) -> None:
    moments = random.Random(20)
    for _ in range(6):
        async with owner_process(home) as owner:
            assert owner.stdout is not None
            with suppress(TimeoutError):
                await asyncio.wait_for(owner.stdout.readline(), moments.uniform(0.25, 1.2))
            owner.kill()
    async with EmbeddedServers(home=home) as servers:
        async with await psycopg.AsyncConnection.connect(servers.dsn(Role.OWNER), autocommit=True) as connection:
            await connection.execute("CREATE TABLE kept (id int)")
        assert await count(servers.dsn()) == 0
    assert [path.name for path in (servers.place.path / "postgres").glob("new-*")] == []


async def test_a_half_made_cluster_is_made_anew(home: Home) -> None:
    servers = EmbeddedServers(home=home, durable=False)
    half_made = servers.place.path / "postgres" / "new-0123abcd"
    (half_made / "base").mkdir(parents=True)
    (half_made / "PG_VERSION").write_text("18\n")
    async with servers:
        assert not half_made.exists()
        async with await psycopg.AsyncConnection.connect(servers.dsn()) as connection:
            await connection.execute("SELECT 1")


async def test_a_set_up_cut_short_or_with_lost_secrets_is_completed(home: Home) -> None:
    async with EmbeddedServers(home=home, durable=False) as servers:
        admin = servers.dsn(Role.SUPERUSER, database="postgres")
        async with await psycopg.AsyncConnection.connect(admin, autocommit=True) as connection:
            await connection.execute("DROP DATABASE nadia")
            await connection.execute("DROP ROLE nadia_app")
    for role in Role:
        (home.path / "secrets" / role.secret_name).unlink()
    async with servers:
        for role in Role:
            async with await psycopg.AsyncConnection.connect(servers.dsn(role)) as connection:
                await connection.execute("SELECT 1")


@pytest.mark.parametrize("server", ["postgres", "redis"])
async def test_a_killed_server_is_restarted_with_its_data(home: Home, server: str) -> None:
    events: list[ServerEvent] = []
    async with EmbeddedServers(home=home, on_event=events.append) as servers:
        async with await psycopg.AsyncConnection.connect(servers.dsn(Role.OWNER), autocommit=True) as connection:
            await connection.execute("CREATE TABLE kept (id int); INSERT INTO kept VALUES (1)")
        async with redis_client(servers.redis) as client:
            await client.set("kept", "yes")
        pids = {"postgres": servers.pid("postgres"), "redis": servers.pid("redis")}
        for times in (1, 2):
            victim = servers.pid("postgres") if server == "postgres" else servers.pid("redis")
            assert victim is not None
            os.kill(victim, signal.SIGKILL)
            await eventually(lambda times=times: len(events) == 2 * times, what="exit and restart")  # type: ignore[misc]  # a default binds the turn
        assert await count(servers.dsn()) == 1
        async with redis_client(servers.redis) as client:
            assert await client.get("kept") == "yes"
        unharmed = "redis" if server == "postgres" else "postgres"
        assert servers.pid(unharmed) == pids[unharmed]  # type: ignore[arg-type]  # one of the two names
    for exited, restarted in (events[:2], events[2:]):
        assert isinstance(exited, Exited)
        assert (exited.server, exited.returncode) == (server, -signal.SIGKILL)
        assert isinstance(restarted, Restarted)
        assert not restarted.start.fresh
        assert restarted.start.set_aside is None


async def test_a_listener_that_fails_does_not_end_the_watch(home: Home) -> None:
    seen: list[ServerEvent] = []

    def fail(event: ServerEvent) -> None:
        seen.append(event)
        raise RuntimeError("a defect of the listener")

    async with EmbeddedServers(home=home, durable=False, on_event=fail) as servers:
        victim = servers.pid("redis")
        assert victim is not None
        os.kill(victim, signal.SIGKILL)
        await eventually(lambda: len(seen) == 2)
        async with redis_client(servers.redis) as client:
            assert await client.ping()


async def test_servers_left_over_on_the_same_files_are_stopped_first(home: Home, redis_binary: Path) -> None:
    servers = EmbeddedServers(home=home, redis_binary=redis_binary)
    await servers.start()
    async with await psycopg.AsyncConnection.connect(servers.dsn(Role.OWNER), autocommit=True) as connection:
        await connection.execute("CREATE TABLE kept (id int); INSERT INTO kept VALUES (1)")
    await servers.stop()
    place = servers.place
    # Started past our launcher, so they do not hear of anybody's death.
    as_user = {"user": place.user.uid, "group": place.user.gid, "extra_groups": []} if os.geteuid() == 0 else {}
    data, redis_data = place.path / "postgres" / "data", place.path / "redis" / "data"
    commands = (
        ([find_postgres().path, "-D", data], data),
        ([redis_binary, place.path / "redis" / "redis.conf"], redis_data),
    )
    left = [
        subprocess.Popen(command, cwd=folder, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL, **as_user)  # type: ignore[call-overload]  # keyword arguments by user
        for command, folder in commands
    ]
    await eventually(lambda: servers.redis.socket_path.exists() and (place.socket_folder / ".s.PGSQL.5432").exists())
    async with servers:
        assert [process.poll() for process in left] == [0, 0]
        assert await count(servers.dsn()) == 1


async def test_a_pid_file_that_names_somebody_elses_process_is_no_obstacle(home: Home) -> None:
    async with EmbeddedServers(home=home, durable=False) as servers:
        place = servers.place
        pid_file = place.path / "postgres" / "data" / "postmaster.pid"
        stale = pid_file.read_text().replace(str(servers.pid("postgres")), "{pid}", 1)
        socket_lock = (place.socket_folder / ".s.PGSQL.5432.lock").read_text()
        old_pid = str(servers.pid("postgres"))
    as_user = {"user": place.user.uid, "group": place.user.gid, "extra_groups": []} if os.geteuid() == 0 else {}
    bystander = subprocess.Popen(["/bin/sleep", "60"], **as_user)  # type: ignore[call-overload]  # keyword arguments by user
    try:
        place.user.write_private(pid_file, stale.replace("{pid}", str(bystander.pid)))
        lock = place.socket_folder / ".s.PGSQL.5432.lock"
        place.user.write_private(lock, socket_lock.replace(old_pid, str(bystander.pid), 1))
        async with servers:
            assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


async def test_a_server_that_ignores_the_wish_to_stop_is_killed(home: Home) -> None:
    servers = EmbeddedServers(home=home, durable=False)
    await servers.start()
    victim = servers.pid("redis")
    assert victim is not None
    os.kill(victim, signal.SIGSTOP)
    stopping = asyncio.create_task(servers.stop())
    await eventually(lambda: servers.pid("redis") is None)
    stopping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await stopping
    await eventually(lambda: running_below(home.path) == [], what="the end of the servers")
    assert home.owner_pid() is None
