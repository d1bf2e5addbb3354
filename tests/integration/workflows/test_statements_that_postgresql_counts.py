"""Slow statements as PostgreSQL's own extension counts them: the servers of most operators have it, ours has not."""

import os
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row

from nadia.embedded.service_user import ServiceUser
from nadia.postgres.failures import Connection
from nadia.workflows.slowness.statements import counted_by_postgres
from support.servers import short_folder
from support.tools import require_tool


def _programs() -> Path:
    """The folder of a distribution's PostgreSQL with its extensions."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/lib/pg_stat_statements.so"))
    if found:
        return found[-1].parents[1] / "bin"
    return Path(require_tool("pg_ctlcluster", package="postgresql")).parent


@pytest.fixture(scope="module")
def socket_folder() -> Iterator[Path]:
    """A server of the distribution's that counts statements."""
    programs, user = _programs(), ServiceUser.resolve()
    become: dict[str, Any] = {} if user.is_us else {"user": user.uid, "group": user.gid, "extra_groups": []}
    with short_folder() as folder:
        data = folder / "data"
        os.chown(folder, user.uid, user.gid)
        subprocess.run(
            [programs / "initdb", "-D", data, "-U", "nadia", "-A", "trust", "-E", "UTF8", "--no-sync"],
            check=True,
            capture_output=True,
            cwd=folder,
            **become,
        )
        server = subprocess.Popen(
            [
                *(programs / "postgres", "-D", data, "-k", folder, "-F"),
                *("-c", "listen_addresses=", "-c", "shared_preload_libraries=pg_stat_statements"),
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=folder,
            **become,
        )
        try:
            yield folder
        finally:
            server.terminate()
            server.wait(20)


async def connect(socket_folder: Path, user: str) -> Connection:
    deadline = time.monotonic() + 20
    while True:
        try:
            return await psycopg.AsyncConnection.connect(
                f"host={socket_folder} user={user} dbname=postgres", autocommit=True, row_factory=dict_row
            )
        except psycopg.OperationalError:
            assert time.monotonic() < deadline, "the server did not come up"


@pytest.fixture
async def conn(socket_folder: Path) -> AsyncIterator[Connection]:
    async with await connect(socket_folder, "nadia") as opened:
        yield opened


async def test_without_the_extension_it_says_so(conn: Connection) -> None:
    assert await counted_by_postgres(conn, limit=10) is None


async def test_the_slowest_comes_first_without_its_values(conn: Connection) -> None:
    await conn.execute("CREATE SCHEMA counters")
    await conn.execute("CREATE EXTENSION pg_stat_statements SCHEMA counters")
    try:
        for _ in range(3):
            await conn.execute("SELECT pg_sleep(0.05), 'a word of a customer'")
        found = await counted_by_postgres(conn, limit=1)
    finally:
        await conn.execute("DROP SCHEMA counters CASCADE")
    assert found is not None
    (slowest,) = found
    assert slowest.name.startswith("SELECT pg_sleep($")
    assert "customer" not in slowest.name
    assert slowest.calls == 3
    assert 0.05 <= slowest.mean < 1
    assert slowest.slow is not None
    assert slowest.slow >= slowest.mean


async def test_who_may_not_see_it_is_told_nothing_and_goes_on(conn: Connection, socket_folder: Path) -> None:
    await conn.execute("CREATE SCHEMA counters")
    await conn.execute("CREATE EXTENSION pg_stat_statements SCHEMA counters")
    await conn.execute("CREATE ROLE stranger LOGIN")
    try:
        async with await connect(socket_folder, "stranger") as stranger:
            assert await counted_by_postgres(stranger, limit=10) is None
            assert await (await stranger.execute("SELECT 1 AS one")).fetchone() == {"one": 1}
    finally:
        await conn.execute("DROP SCHEMA counters CASCADE")
        await conn.execute("DROP ROLE stranger")
