"""A real PostgreSQL and Redis for the tests, started the way the product starts them."""

import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import psycopg
from psycopg import sql
from redis.asyncio import Redis

from nadia.embedded.endpoints import RedisEndpoint, Role
from nadia.embedded.home import Home
from nadia.embedded.servers import EmbeddedServers
from nadia.postgres import schema

TEMPLATE = "nadia_template"


@contextmanager
def short_folder() -> Iterator[Path]:
    """A temporary folder with a name short enough for sockets, which the servers' user may pass through."""
    folder = Path(tempfile.mkdtemp(prefix="nadia-t-", dir="/tmp"))
    folder.chmod(0o711)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def open_home(base: Path) -> Home:
    """A home below `base` that keeps the servers' files inside it, also for root, so that nothing is left behind."""
    path = base / "home"
    path.mkdir(mode=0o711, exist_ok=True)
    return Home(path=path)


async def start_servers(base: Path, *, durable: bool = False) -> EmbeddedServers:
    """Start both servers below `base`; who calls this stops them."""
    servers = EmbeddedServers(home=open_home(base), durable=durable)
    await servers.start()
    return servers


@dataclass(frozen=True)
class ClonedDatabase:
    """One test's own database, by role."""

    name: str
    app_dsn: str
    owner_dsn: str


def prepare_template(owner_dsn: str) -> None:
    """Bring the database that all tests' databases are cloned from to the newest schema.

    Parameters
    ----------
    owner_dsn : str
        The empty template, as the role that owns the schema.
    """
    schema.upgrade(owner_dsn)


async def create_template(servers: EmbeddedServers) -> str:
    """Create the template, with the privileges that the product's own database has; returns its owner's URL."""
    async with _administration(servers) as connection:
        # A clone of the product's database before any migration: default privileges come along.
        await connection.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE nadia OWNER {}").format(
                sql.Identifier(TEMPLATE), sql.Identifier(Role.OWNER)
            )
        )
    return servers.dsn(Role.OWNER, database=TEMPLATE)


@asynccontextmanager
async def cloned_database(servers: EmbeddedServers) -> AsyncIterator[ClonedDatabase]:
    """Clone the template under a new name, and drop the clone in the end."""
    name = f"test_{uuid4().hex[:12]}"
    async with _administration(servers) as connection:
        await connection.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {} OWNER {}").format(
                sql.Identifier(name), sql.Identifier(TEMPLATE), sql.Identifier(Role.OWNER)
            )
        )
        try:
            yield ClonedDatabase(
                name=name,
                app_dsn=servers.dsn(Role.APP, database=name),
                owner_dsn=servers.dsn(Role.OWNER, database=name),
            )
        finally:
            await connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


async def empty_redis(endpoint: RedisEndpoint) -> None:
    """Remove every key and script, as a Redis that was lost would come back."""
    async with redis_client(endpoint) as client:
        await client.flushall()
        await client.script_flush()


@asynccontextmanager
async def redis_client(endpoint: RedisEndpoint) -> AsyncIterator[Redis]:
    """A plain client, for tests that look at Redis past the product's own code."""
    client = Redis(
        unix_socket_path=str(endpoint.socket_path),
        username=endpoint.username,
        password=endpoint.password,
        decode_responses=True,
    )
    try:
        yield client
    finally:
        await client.aclose()


@asynccontextmanager
async def _administration(servers: EmbeddedServers) -> AsyncIterator[psycopg.AsyncConnection]:
    connection = await psycopg.AsyncConnection.connect(
        servers.dsn(Role.SUPERUSER, database="postgres"), autocommit=True
    )
    async with connection:
        yield connection
