"""A bot acts for an account while it owns it, and leaves one whose session was revoked to a person."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from nadia.app import bot, revocation
from nadia.app.bot import AccountRunner, MakeGateway, bot_parts
from nadia.app.context import ProcessContext
from nadia.app.factory import open_context
from nadia.app.installation import sandbox_server
from nadia.app.revocation import PassingRevocation
from nadia.app.supervision import run_parts
from nadia.conversations.batches import Sealed
from nadia.embedded.endpoints import RedisEndpoint
from nadia.health.figure_recorder import FigureRecorder
from nadia.health.models import HealthStatus
from nadia.settings import Config
from nadia.telegram.errors import GatewayDisconnectedError
from nadia.telegram.gateway import Update
from nadia.telegram.limiter import RequestLimiter
from nadia.telegram.ownership import Ownership
from nadia.telegram.sandbox.control import SandboxControl
from nadia.telegram.sandbox.customer import CustomerClient
from nadia.telegram.sandbox.faults import FaultKind
from nadia.telegram.sandbox.gateway import SandboxGateway
from support.reply_world import World
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
            "NADIA_DELIVERY_SPEED": "10000",
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


def runner(context: ProcessContext, make_gateway: MakeGateway) -> AccountRunner:
    return AccountRunner(
        context=context,
        make_gateway=make_gateway,
        revocation=PassingRevocation(database=context.database),
        limiter=RequestLimiter(account_id="sandbox"),
    )


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
        await client.write(account="sandbox", user_id=ana.user_id, text="are you there?")
        await until(context, "SELECT 1 FROM messages WHERE text = 'are you there?'")  # the first is surely dealt with

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


REVOKED = "SELECT 1 FROM notices WHERE topic = 'telegram.account_revoked' AND NOT resolves"
WELL = "SELECT 1 FROM notices WHERE topic = 'telegram.account_revoked' AND resolves"


async def test_a_session_that_stays_revoked_is_one_notice_until_it_worked_again(
    context: ProcessContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(revocation, "_FIRST_SECONDS", 0.05)
    monkeypatch.setattr(revocation, "_LONGEST_SECONDS", 0.1)
    tries = 0

    def make_gateway() -> SandboxGateway:
        nonlocal tries
        tries += 1
        return SandboxGateway(account_id="sandbox", address=context.endpoints.sandbox, request_timeout=5)

    async with SandboxControl(address=context.endpoints.sandbox) as control:
        running = asyncio.create_task(runner(context, make_gateway).run())
        await until(context, "SELECT 1 FROM telegram_accounts WHERE holder IS NOT NULL")
        await control.revoke("sandbox")
        await until(context, REVOKED)
        await tried(lambda: tries, more=4)
        assert len(await rows(context, REVOKED)) == 1

        await control.restore("sandbox")
        async with CustomerClient(address=context.endpoints.sandbox) as client:
            ana = await client.create(name="Ana")
            await client.write(account="sandbox", user_id=ana.user_id, text="hello")
        await until(context, "SELECT 1 FROM messages WHERE text = 'hello'")  # it works again
        assert len(await rows(context, WELL)) == 1
        await control.revoke("sandbox")
        await until(context, REVOKED + " HAVING count(*) = 2")
        running.cancel()
        await asyncio.wait({running})


class BreaksOff(SandboxGateway):
    """Connects, and loses the link as soon as it is read."""

    async def updates(self) -> AsyncIterator[Update]:
        raise GatewayDisconnectedError("the link broke")
        yield


@pytest.mark.parametrize(
    ("settled", "delays"), [(30.0, [0.01, 0.02, 0.04, 0.08, 0.16]), (0.0, [0.01] * 5)], ids=["at once", "later"]
)
async def test_a_link_that_breaks_at_once_is_tried_ever_less_often(
    context: ProcessContext, monkeypatch: pytest.MonkeyPatch, settled: float, delays: list[float]
) -> None:
    monkeypatch.setattr(bot, "_FIRST_RECONNECT_SECONDS", 0.01)
    monkeypatch.setattr(bot, "_SETTLED_SECONDS", settled)

    def make_gateway() -> SandboxGateway:
        return BreaksOff(account_id="sandbox", address=context.endpoints.sandbox, request_timeout=5)

    with capture_logs() as logs:

        def waited() -> list[object]:
            return [entry["delay"] for entry in logs if entry["event"] == "account.disconnected"]

        running = asyncio.create_task(runner(context, make_gateway).run())
        await tried(lambda: len(waited()), more=len(delays))
        running.cancel()
        await asyncio.wait({running})
    assert waited()[: len(delays)] == delays


async def tried(count: Callable[[], int], *, more: int) -> None:
    """Wait for so many more tries."""
    goal = count() + more
    async with asyncio.timeout(15):
        while count() < goal:
            await asyncio.sleep(0.02)


async def test_what_is_being_sent_when_the_process_ends_is_put_on_record(context: ProcessContext) -> None:
    world = World(database=context.database, events=context.events)
    reviewer = await world.reviewer()
    address = context.endpoints.sandbox
    async with SandboxControl(address=address) as control, acting(context), CustomerClient(address=address) as client:
        ana = await client.create(name="Ana")
        await client.write(account="sandbox", user_id=ana.user_id, text="hello")
        await until(context, "SELECT 1 FROM messages WHERE text = 'hello'")
        (conversation,) = await world.execute("UPDATE conversations SET disclosed_at = now() RETURNING id")
        sealed = await world.batches.seal(conversation["id"])
        assert isinstance(sealed, Sealed)
        await control.force(FaultKind.SLOW_ANSWER, method="account.send", seconds=1.2)
        await world.approve(sealed.batch.id, reviewer, "Good morning.", "What is it?")
        await until(context, "SELECT 1 FROM outbox WHERE state = 'sending'")
        async with asyncio.timeout(15):
            while "Good morning." not in await chat(client, ana.user_id):
                await asyncio.sleep(0.02)

    assert [row["state"] for row in await world.outbox_rows(sealed.batch.id)] == ["sent", "queued"]
    assert [row["text"] for row in await rows(context, "SELECT text FROM messages WHERE author = 'desk'")] == [
        "Good morning."
    ]


async def chat(client: CustomerClient, user_id: int) -> list[str]:
    return [message.text for message in await client.history(account="sandbox", user_id=user_id, after_id=0, limit=100)]


async def test_the_account_is_given_back_though_the_end_is_asked_for_again(
    context: ProcessContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    releasing, goes_on = asyncio.Event(), asyncio.Event()
    release = context.ownerships.release

    async def slowly(ownership: Ownership) -> None:
        releasing.set()
        await goes_on.wait()
        await release(ownership)

    monkeypatch.setattr(context.ownerships, "release", slowly)
    running = asyncio.create_task(
        runner(
            context,
            lambda: SandboxGateway(account_id="sandbox", address=context.endpoints.sandbox, request_timeout=5),
        ).run()
    )
    await until(context, "SELECT 1 FROM telegram_accounts WHERE holder IS NOT NULL")
    running.cancel()
    await releasing.wait()
    running.cancel()
    await asyncio.sleep(0)
    goes_on.set()
    await asyncio.wait({running})
    assert running.cancelled()
    (account,) = await rows(context, "SELECT holder FROM telegram_accounts")
    assert account["holder"] is None


async def test_a_health_check_is_told_whether_the_account_is_connected(context: ProcessContext) -> None:
    recorder = FigureRecorder(redis=context.redis, process="bot")

    async def until_it_is(status: HealthStatus, said: str) -> None:
        async with asyncio.timeout(15):
            while True:
                await recorder.record()
                found = (await context.health.report(["telegram-link"])).of("telegram-link")
                if found.status is status and said in found.summary:
                    return
                await asyncio.sleep(0.02)

    async with SandboxControl(address=context.endpoints.sandbox) as control, acting(context):
        await until_it_is(HealthStatus.HEALTHY, "1 of 1 account connected")
        await control.revoke("sandbox")
        await until_it_is(HealthStatus.WARNING, "not connected: sandbox")
        await control.restore("sandbox")
