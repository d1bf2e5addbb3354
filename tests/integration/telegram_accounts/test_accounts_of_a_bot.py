"""A bot acts for every account that somebody has logged in, from the log-in to the end of the session."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from pydantic import SecretStr
from telethon.tl import functions

from nadia.app import account_watch, revocation, supervision
from nadia.app.bot import bot_parts
from nadia.app.context import ProcessContext
from nadia.app.factory import open_context
from nadia.app.session_keys import session_keys
from nadia.app.supervision import run_parts
from nadia.app.telegram import telegram_logins
from nadia.conversations.batches import Sealed
from nadia.conversations.pauses import Activity
from nadia.errors import UnavailableError
from nadia.postgres.database import Connection
from nadia.settings import Config
from nadia.telegram import sessions
from nadia.telegram.ownership import Ownership, Ownerships
from nadia.telegram.session_key import SessionKey, SessionKeySource
from nadia.telegram.sessions import StoredSession
from nadia.telegram.telethon.login import log_out
from support.eventually import eventually
from support.log_in import api_of, new_session, place_of, put_on_record
from support.mtproto.faults import Fault
from support.mtproto.server import TelegramTestServer
from support.mtproto.world import Account
from support.reply_world import World


@pytest.fixture(autouse=True)
def _quick_look(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(account_watch, "_LOOK_AGAIN_SECONDS", 0.05)


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
        return await (await conn.execute(query.encode())).fetchall()


async def until(context: ProcessContext, query: str) -> None:
    """Wait until a query finds something."""
    async with asyncio.timeout(20):
        while not await rows(context, query):
            await asyncio.sleep(0.02)


async def connected(telegram: TelegramTestServer, *accounts: Account) -> None:
    await eventually(
        lambda: all(telegram.connections_of(account) for account in accounts), what="the accounts' being connected"
    )


async def log_in(context: ProcessContext, telegram: TelegramTestServer, name: str, account: Account) -> None:
    await put_on_record(context.config, context.database, telegram, name, account)


async def reply(context: ProcessContext, world: World, *, text: str, to: str) -> None:
    """Approve a reply to the conversation in which `to` was written."""
    await until(context, f"SELECT 1 FROM messages WHERE text = '{to}'")
    (conversation,) = await world.execute(
        "UPDATE conversations SET disclosed_at = now() WHERE id = "
        "(SELECT conversation_id FROM messages WHERE text = %s) RETURNING id",
        to,
    )
    sealed = await world.batches.seal(conversation["id"])
    assert isinstance(sealed, Sealed)
    await world.approve(sealed.batch.id, await world.reviewer(f"reviewer of {to}"), text)


@pytest.fixture
def world(context: ProcessContext) -> World:
    return World(database=context.database, events=context.events)


async def test_two_accounts_of_one_process_keep_their_messages_and_replies_apart(
    context: ProcessContext, telegram: TelegramTestServer, world: World
) -> None:
    desk = telegram.add_account("Desk", phone="+15550001")
    shop = telegram.add_account("Shop", phone="+15550002")
    ana, ben = telegram.add_user("Ana"), telegram.add_user("Ben")
    await log_in(context, telegram, "desk", desk)
    await log_in(context, telegram, "shop", shop)
    async with acting(context):
        await connected(telegram, desk, shop)
        telegram.write(desk, ana, "ana to the desk")
        telegram.write(shop, ana, "ana to the shop")
        telegram.write(shop, ben, "ben to the shop")
        await reply(context, world, text="desk to ana", to="ana to the desk")
        await reply(context, world, text="shop to ana", to="ana to the shop")
        await reply(context, world, text="shop to ben", to="ben to the shop")
        await until(context, "SELECT 1 FROM messages WHERE author = 'desk' HAVING count(*) = 3")

    assert telegram.texts_of(desk, ana) == ["ana to the desk", "desk to ana"]
    assert telegram.texts_of(shop, ana) == ["ana to the shop", "shop to ana"]
    assert telegram.texts_of(shop, ben) == ["ben to the shop", "shop to ben"]
    found = await rows(
        context,
        "SELECT c.telegram_account_id, array_agg(text ORDER BY telegram_message_id) AS texts "
        "FROM messages JOIN conversations c ON c.id = conversation_id GROUP BY 1, c.chat_id ORDER BY 1, 2",
    )
    assert [(row["telegram_account_id"], row["texts"]) for row in found] == [
        ("desk", ["ana to the desk", "desk to ana"]),
        ("shop", ["ana to the shop", "shop to ana"]),
        ("shop", ["ben to the shop", "shop to ben"]),
    ]
    assert not await rows(context, "SELECT 1 FROM telegram_accounts WHERE holder IS NOT NULL"), "all given back"


async def test_an_account_that_is_logged_in_while_the_bot_runs_is_picked_up(
    context: ProcessContext, telegram: TelegramTestServer
) -> None:
    desk = telegram.add_account("Desk", phone="+15550001")
    ana = telegram.add_user("Ana")
    async with acting(context):
        assert not telegram.requests
        await log_in(context, telegram, "desk", desk)
        await connected(telegram, desk)
        telegram.write(desk, ana, "hello")
        await until(context, "SELECT 1 FROM messages WHERE text = 'hello'")


async def test_a_revoked_session_is_left_alone_until_another_log_in_and_nothing_is_lost(
    context: ProcessContext, telegram: TelegramTestServer, world: World
) -> None:
    desk = telegram.add_account("Desk", phone="+15550001")
    ana = telegram.add_user("Ana")
    await log_in(context, telegram, "desk", desk)
    async with acting(context):
        await connected(telegram, desk)
        telegram.write(desk, ana, "hello")
        await until(context, "SELECT 1 FROM messages WHERE text = 'hello'")
        telegram.revoke(desk)
        await until(context, "SELECT 1 FROM telegram_sessions WHERE revoked_reason = 'SESSION_REVOKED'")
        await until(context, "SELECT 1 FROM telegram_accounts WHERE holder IS NULL")
        await reply(context, world, text="good morning", to="hello")
        telegram.restore(desk)  # what would let the old session in again, if anybody tried it
        telegram.requests.clear()
        telegram.write(desk, ana, "are you there?")

        (notice,) = await rows(context, "SELECT * FROM notices WHERE topic = 'telegram.account_revoked'")
        assert notice["severity"] == "critical"
        assert "nadia telegram login --account desk" in str(notice["summary"])
        assert await rows(context, "SELECT 1 FROM outbox WHERE state = 'queued'")
        assert not telegram.requests

        await log_in(context, telegram, "desk", desk)
        await until(context, "SELECT 1 FROM messages WHERE text = 'are you there?'")  # by the difference since then
        await until(context, "SELECT 1 FROM telegram_sessions WHERE version = 2 AND revoked_at IS NULL")

    told = await rows(context, "SELECT resolves FROM notices WHERE topic = 'telegram.account_revoked' ORDER BY id")
    assert [notice["resolves"] for notice in told] == [False, True], "told of once, and over with the log-in"


async def test_another_log_in_replaces_a_session_that_works(
    context: ProcessContext, telegram: TelegramTestServer
) -> None:
    desk = telegram.add_account("Desk", phone="+15550001")
    ana = telegram.add_user("Ana")
    first = await put_on_record(context.config, context.database, telegram, "desk", desk)
    async with acting(context):
        await connected(telegram, desk)
        second = await put_on_record(context.config, context.database, telegram, "desk", desk)
        await until(context, "SELECT 1 FROM telegram_accounts WHERE fencing_token = 2 AND holder IS NOT NULL")
        telegram.forget_key(first.auth_key)
        telegram.write(desk, ana, "hello")
        await until(context, "SELECT 1 FROM messages WHERE text = 'hello'")

    assert second.auth_key != first.auth_key
    assert not await rows(context, "SELECT 1 FROM notices")


async def test_a_log_out_waits_until_the_bot_has_let_go(
    context: ProcessContext, telegram: TelegramTestServer, config: Config
) -> None:
    desk = telegram.add_account("Desk", phone="+15550001")
    await log_in(context, telegram, "desk", desk)
    logins = telegram_logins(config, context.database)
    async with acting(context):
        await connected(telegram, desk)
        outcome = await logins.log_out(
            "desk",
            actor="test",
            ownerships=Ownerships(database=context.database, holder="cli/1/a", lease_seconds=30, grace_seconds=10),
            patience=15,
            end_at_telegram=lambda material: log_out(material, api_of(telegram), place_of(telegram), request_timeout=5),
        )
        assert outcome.at_telegram
        assert telegram.sessions_of(desk) == 0
        await log_in(context, telegram, "desk", desk)  # and the same account is welcome again
        await connected(telegram, desk)

    (session,) = await rows(context, "SELECT version, ciphertext FROM telegram_sessions")
    assert session["version"] == 2
    assert not await rows(context, "SELECT 1 FROM notices")


async def test_a_session_that_cannot_be_opened_holds_up_no_other(
    context: ProcessContext, telegram: TelegramTestServer, config: Config, folder: Path
) -> None:
    desk = telegram.add_account("Desk", phone="+15550001")
    shop = telegram.add_account("Shop", phone="+15550002")
    await log_in(context, telegram, "shop", shop)
    stranger = SessionKey(
        SecretStr("AGE-SECRET-KEY-1GFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPQ4EGAEX"), origin="a stranger"
    )
    logins = telegram_logins(config, context.database)
    await logins.prepare("desk")
    await logins.keep("desk", new_session(telegram, desk), key=stranger, actor="test")
    async with acting(context):
        await connected(telegram, shop)

        assert not telegram.connections_of(desk)
        (account,) = await rows(context, "SELECT holder FROM telegram_accounts WHERE id = 'desk'")
        assert account["holder"] is None, "a process that has the key may act for it"
        assert str(folder) in str(session_keys(config).path)


async def test_a_session_that_cannot_be_opened_is_one_notice_until_it_can(
    context: ProcessContext, telegram: TelegramTestServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = "SELECT 1 FROM notices WHERE topic = 'telegram.session_unreadable'"
    desk = telegram.add_account("Desk", phone="+15550001")
    await log_in(context, telegram, "desk", desk)
    key = session_keys(context.config).path
    away = key.rename(key.with_name("somewhere-else"))
    monkeypatch.setattr(supervision, "_LONGEST_DELAY_SECONDS", 0.01)
    monkeypatch.setattr(supervision, "_FIRST_DELAY_SECONDS", 0.01)
    tries = 0
    read = SessionKeySource.read

    def counted(self: SessionKeySource) -> SessionKey:
        nonlocal tries
        tries += 1
        return read(self)

    monkeypatch.setattr(SessionKeySource, "read", counted)
    async with acting(context):
        await eventually(lambda: tries > 5)
    async with acting(context):  # nor does another process say it again
        so_far = tries
        await eventually(lambda: tries > so_far + 5)
        (notice,) = await rows(context, "SELECT * FROM notices")
        assert (notice["severity"], notice["labels"]) == ("critical", {"account": "desk"})
        assert str(key) in str(notice["summary"])
        away.rename(key)
        await connected(telegram, desk)
        await until(context, told + " AND resolves")

        away = key.rename(away)
        await another_log_in(context)
        await until(context, told + " AND NOT resolves HAVING count(*) = 2")


async def another_log_in(context: ProcessContext) -> None:
    """Another log-in, as bots see it."""
    async with context.database.connection() as conn:
        await conn.execute("UPDATE telegram_sessions SET version = version + 1")


async def test_a_process_that_stops_ends_all_its_accounts_in_order(
    context: ProcessContext, telegram: TelegramTestServer
) -> None:
    accounts = [telegram.add_account(f"Desk {n}", phone=f"+1555000{n}") for n in range(5)]
    for number, account in enumerate(accounts):
        await log_in(context, telegram, f"desk-{number}", account)
    async with acting(context):
        await connected(telegram, *accounts)
    assert not await rows(context, "SELECT 1 FROM telegram_accounts WHERE holder IS NOT NULL")
    await eventually(lambda: not any(telegram.connections_of(account) for account in accounts))


async def test_an_account_that_telegram_limits_stops_sending_and_no_other(
    context: ProcessContext, telegram: TelegramTestServer, world: World
) -> None:
    desk = telegram.add_account("Desk", phone="+15550001")
    shop = telegram.add_account("Shop", phone="+15550002")
    ana = telegram.add_user("Ana")
    await log_in(context, telegram, "desk", desk)
    await log_in(context, telegram, "shop", shop)
    async with acting(context):
        await connected(telegram, desk, shop)
        telegram.write(desk, ana, "ana to the desk")
        telegram.write(shop, ana, "ana to the shop")
        telegram.faults.meet(functions.messages.SendMessageRequest, Fault.peer_flood())
        await reply(context, world, text="desk to ana", to="ana to the desk")
        await until(context, "SELECT 1 FROM pauses WHERE activity = 'sending' AND telegram_account_id = 'desk'")
        await reply(context, world, text="shop to ana", to="ana to the shop")
        await until(context, "SELECT 1 FROM messages WHERE text = 'shop to ana'")

        assert telegram.texts_of(desk, ana) == ["ana to the desk"]
        assert await rows(context, "SELECT 1 FROM outbox WHERE state = 'queued'"), "what is queued stays queued"
        (notice,) = await rows(context, "SELECT severity, labels FROM notices WHERE topic = 'telegram.account_limited'")
        assert (notice["severity"], notice["labels"]) == ("critical", {"account": "desk"})
        await world.pauses.resume(Activity.SENDING, account_id="desk", actor="test")
        await until(context, "SELECT 1 FROM messages WHERE text = 'desk to ana'")


async def test_what_runs_goes_on_while_postgresql_cannot_say_which_accounts_there_are(
    context: ProcessContext, telegram: TelegramTestServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = telegram.add_account("Desk", phone="+15550001")
    shop = telegram.add_account("Shop", phone="+15550002")
    await log_in(context, telegram, "desk", desk)
    looks = 0

    async def away(conn: Connection) -> Sequence[StoredSession]:
        nonlocal looks
        looks += 1
        raise UnavailableError("PostgreSQL cannot be reached")

    async with acting(context):
        await connected(telegram, desk)
        with monkeypatch.context() as patched:
            patched.setattr(sessions, "usable", away)
            await log_in(context, telegram, "shop", shop)
            await eventually(lambda: looks > 3)
            assert (telegram.connections_of(desk), telegram.connections_of(shop)) == (1, 0)
        await connected(telegram, shop)
        (account,) = await rows(context, "SELECT fencing_token FROM telegram_accounts WHERE id = 'desk'")
        assert account["fencing_token"] == 1, "never given up"


async def test_a_revocation_that_postgresql_cannot_take_is_recorded_later_and_the_session_is_not_tried_meanwhile(
    context: ProcessContext, telegram: TelegramTestServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = telegram.add_account("Desk", phone="+15550001")
    await log_in(context, telegram, "desk", desk)
    monkeypatch.setattr(revocation, "_ASK_AGAIN_SECONDS", 0.01)
    refusals = 0

    async def away(conn: Connection, *, account_id: str, version: int, reason: str) -> bool:
        nonlocal refusals
        refusals += 1
        raise UnavailableError("PostgreSQL cannot be reached")

    async with acting(context):
        await connected(telegram, desk)
        with monkeypatch.context() as patched:
            patched.setattr(sessions, "revoke", away)
            telegram.revoke(desk)
            await eventually(lambda: refusals > 0)
            telegram.requests.clear()
            so_far = refusals
            await eventually(lambda: refusals > so_far + 5)
            assert not telegram.requests
        await until(context, "SELECT 1 FROM notices WHERE topic = 'telegram.account_revoked'")
        assert await rows(context, "SELECT 1 FROM telegram_sessions WHERE revoked_reason = 'SESSION_REVOKED'")


async def test_a_revocation_is_recorded_though_the_account_was_lost_before_postgresql_could_take_it(
    environment: dict[str, str], telegram: TelegramTestServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    refusals = 0

    async def away(conn: Connection, *, account_id: str, version: int, reason: str) -> bool:
        nonlocal refusals
        refusals += 1
        raise UnavailableError("PostgreSQL cannot be reached")

    async def lost(ownership: Ownership) -> bool:
        return False

    desk = telegram.add_account("Desk", phone="+15550001")
    config = Config.from_env(environment | {"NADIA_TELEGRAM_LEASE_SECONDS": "2"}, dotenv=None)
    async with open_context(config, role="test") as context:
        await log_in(context, telegram, "desk", desk)
        async with acting(context):
            await connected(telegram, desk)
            with monkeypatch.context() as patched:
                patched.setattr(sessions, "revoke", away)
                telegram.revoke(desk)
                await eventually(lambda: refusals > 0)
                patched.setattr(context.ownerships, "renew", lost)
                await until(context, "SELECT 1 FROM telegram_accounts WHERE holder IS NOT NULL AND fencing_token > 1")
            await until(context, "SELECT 1 FROM telegram_sessions WHERE revoked_reason = 'SESSION_REVOKED'")
            await until(context, "SELECT 1 FROM telegram_accounts WHERE holder IS NULL")
        assert await rows(context, "SELECT 1 FROM notices WHERE topic = 'telegram.account_revoked' HAVING count(*) = 1")
