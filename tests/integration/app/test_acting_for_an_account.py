"""A bot acts for an account while it owns it, and leaves one whose session was revoked to a person."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from nadia.app.bot import bot_parts
from nadia.app.context import ProcessContext
from nadia.app.factory import open_context
from nadia.app.installation import sandbox_server
from nadia.app.supervision import run_parts
from nadia.embedded import RedisEndpoint
from nadia.settings import Config
from nadia.telegram.sandbox.control import SandboxControl
from nadia.telegram.sandbox.customer import CustomerClient
from support.servers import ClonedDatabase, short_folder


@pytest.fixture
async def folder() -> AsyncIterator[Path]:
    with short_folder() as base:
        yield base


@pytest.fixture
async def context(
    folder: Path, database: ClonedDatabase, redis_endpoint: RedisEndpoint
) -> AsyncIterator[ProcessContext]:
    (folder / "home").mkdir(mode=0o700)
    config = Config.from_env(
        {
            "NADIA_HOME": str(folder / "home"),
            "DATABASE_URL": database.app_dsn,
            "REDIS_URL": redis_endpoint.url,
            "NADIA_PACING_WINDOW_SECONDS": "0.2",
        },
        dotenv=None,
    )
    async with open_context(config, role="test") as built, sandbox_server(config, built.endpoints):
        yield built


@asynccontextmanager
async def acting(context: ProcessContext) -> AsyncIterator[None]:
    stop = asyncio.Event()
    parts = asyncio.create_task(run_parts(bot_parts(context), until=stop))
    try:
        yield
    finally:
        stop.set()
        await parts


async def rows(context: ProcessContext, query: str) -> list[dict[str, object]]:
    async with context.database.connection() as conn:
        return await (await conn.execute(query)).fetchall()


async def until(context: ProcessContext, query: str) -> None:
    """Wait until a query finds something."""
    async with asyncio.timeout(15):
        while not await rows(context, query):
            await asyncio.sleep(0.02)


async def test_what_customers_write_is_on_record_and_the_account_is_given_back_at_the_end(
    context: ProcessContext,
) -> None:
    async with acting(context), CustomerClient(address=context.endpoints.sandbox) as client:
        ana = await client.create(name="Ana")
        await client.write(account="sandbox", user_id=ana.user_id, text="hello")
        await until(context, "SELECT 1 FROM messages WHERE text = 'hello'")

    (account,) = await rows(context, "SELECT holder, expires_at, update_state FROM telegram_accounts")
    assert account["holder"] is None
    assert account["expires_at"] is None
    assert account["update_state"], "where the updates were read up to"


async def test_a_revoked_session_is_left_to_a_person_with_one_notice(context: ProcessContext) -> None:
    async with SandboxControl(address=context.endpoints.sandbox) as control, acting(context):
        await until(context, "SELECT 1 FROM telegram_accounts WHERE holder IS NOT NULL")
        await control.revoke("sandbox")
        await until(context, "SELECT 1 FROM notices WHERE topic = 'telegram.account_revoked'")
        await control.restore("sandbox")  # what would let it in again, if it kept trying

        (notice,) = await rows(context, "SELECT severity, summary FROM notices")
        assert notice["severity"] == "critical"
        assert "log it in again" in str(notice["summary"])
        (account,) = await rows(context, "SELECT holder FROM telegram_accounts")
        assert account["holder"], "no other process tries instead"
