"""Fixtures of the whole suite: one PostgreSQL and one Redis for a session, an own database for each test."""

import asyncio
from collections.abc import AsyncIterator, Callable, Generator, Iterator

import pytest
from prometheus_client import generate_latest

pytest.register_assert_rewrite("support")  # before anything of it is imported

from nadia.embedded.endpoints import RedisEndpoint  # noqa: E402
from nadia.embedded.servers import EmbeddedServers  # noqa: E402
from support import leaks  # noqa: E402
from support import servers as support  # noqa: E402


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    call: pytest.CallInfo[None],
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Fail a test in whose output a secret stands, whatever it was about (DESIGN promise 7)."""
    report = yield
    if call.when == "teardown" and (found := leaks.leaked_in(text for _, text in report.sections)):
        report.outcome = "failed"
        report.longrepr = "a secret came out: " + "; ".join(found)
    return report


@pytest.fixture(scope="session", autouse=True)
def metrics_without_secrets() -> Iterator[None]:
    """See that the whole session put no secret into a metric."""
    yield
    assert leaks.leaked_in([generate_latest().decode()]) == []


@pytest.fixture(scope="session")
async def servers() -> AsyncIterator[EmbeddedServers]:
    """Both servers, started on first use and stopped with the session."""
    with support.short_folder() as base:
        running = await support.start_servers(base)
        try:
            yield running
        finally:
            await running.stop()


@pytest.fixture(scope="session")
def prepare_template() -> Callable[[str], None]:
    """What fills the template database, given its owner's URL; a folder's conftest may put another in its place."""
    return support.prepare_template


@pytest.fixture(scope="session")
async def database_template(servers: EmbeddedServers, prepare_template: Callable[[str], None]) -> None:
    """The database that `database` clones, filled once."""
    owner_dsn = await support.create_template(servers)
    # In a thread: migrations may run an event loop of their own.
    await asyncio.to_thread(prepare_template, owner_dsn)


@pytest.fixture
async def database(servers: EmbeddedServers, database_template: None) -> AsyncIterator[support.ClonedDatabase]:
    """A database of this test's own, with the newest schema and no rows."""
    async with support.cloned_database(servers) as clone:
        yield clone


@pytest.fixture
def postgres_dsn(database: support.ClonedDatabase) -> str:
    """URL of this test's database as the product's role, which changes rows and no tables."""
    return database.app_dsn


@pytest.fixture
def postgres_owner_dsn(database: support.ClonedDatabase) -> str:
    """URL of this test's database as the role that owns the schema."""
    return database.owner_dsn


@pytest.fixture
async def redis_endpoint(servers: EmbeddedServers) -> RedisEndpoint:
    """The session's Redis, emptied."""
    await support.empty_redis(servers.redis)
    return servers.redis
