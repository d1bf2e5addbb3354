"""Sessions in PostgreSQL: encrypted, with a version for each log-in, and with who did it."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from pydantic import SecretStr

from nadia.app.session_keys import session_keys
from nadia.app.telegram import TelegramLogins, overview, telegram_logins
from nadia.errors import ConflictError, InvalidInputError, NotFoundError
from nadia.postgres.database import Database
from nadia.settings import Config
from nadia.telegram import sessions
from nadia.telegram.errors import GatewayDisconnectedError
from nadia.telegram.ownership import Ownerships
from nadia.telegram.session_key import SessionKeyError
from nadia.telegram.session_material import SessionMaterial
from support.servers import ClonedDatabase

AUTH_KEY = b"\x01the key of the account\xff" * 11


def material(user_id: int = 7, *, auth_key: bytes = AUTH_KEY) -> SessionMaterial:
    return SessionMaterial(dc_id=2, host="127.0.0.1", port=443, auth_key=auth_key, user_id=user_id, is_bot=False)


@pytest.fixture
async def db(database: ClonedDatabase) -> AsyncIterator[Database]:
    opened = Database(dsn=database.app_dsn, pool_size=12)
    await opened.open()
    yield opened
    await opened.close()


@pytest.fixture
def logins(config: Config, db: Database) -> TelegramLogins:
    return telegram_logins(config, db)


@pytest.fixture
def ownerships(db: Database) -> Ownerships:
    return Ownerships(database=db, holder="cli/1/a", lease_seconds=30, grace_seconds=10)


async def rows(db: Database, query: str) -> list[dict[str, Any]]:
    async with db.connection() as conn:
        return await (await conn.execute(query.encode())).fetchall()


async def keep(logins: TelegramLogins, name: str, session: SessionMaterial) -> int:
    return await logins.keep(name, session, key=await logins.prepare(name), actor="cli:ana")


async def stored(db: Database, config: Config, name: str = "desk") -> SessionMaterial:
    async with db.connection() as conn:
        found = await sessions.find(conn, name)
    assert found is not None
    return found.open(session_keys(config).read())


async def test_a_session_is_kept_encrypted_and_opened_again(
    logins: TelegramLogins, db: Database, config: Config
) -> None:
    assert await keep(logins, "desk", material()) == 1

    assert await stored(db, config) == material()
    (row,) = await rows(db, "SELECT * FROM telegram_sessions")
    assert bytes(row["ciphertext"]).startswith(b"age-encryption.org/v1")
    assert AUTH_KEY[:20] not in bytes(row["ciphertext"])


async def test_another_log_in_raises_the_version_and_ends_the_revocation(
    logins: TelegramLogins, db: Database, config: Config
) -> None:
    await keep(logins, "desk", material())
    async with db.connection() as conn:
        assert await sessions.revoke(conn, account_id="desk", version=1, reason="SESSION_REVOKED")
        assert not await sessions.revoke(conn, account_id="desk", version=1, reason="again"), "it was known"
        assert not await sessions.usable(conn)
    assert await keep(logins, "desk", material(auth_key=b"new")) == 2

    assert (await stored(db, config)).auth_key == b"new"
    async with db.connection() as conn:
        assert not await sessions.revoke(conn, account_id="desk", version=1, reason="late"), "of the old one"
        assert [each.version for each in await sessions.usable(conn)] == [2]


async def test_log_ins_at_once_each_have_a_version(logins: TelegramLogins, db: Database) -> None:
    key = await logins.prepare("desk")
    versions = await asyncio.gather(*(logins.keep("desk", material(), key=key, actor="a") for _ in range(8)))
    assert sorted(versions) == list(range(1, 9))


async def test_a_name_is_one_account_of_telegrams_for_good(
    logins: TelegramLogins, db: Database, config: Config, ownerships: Ownerships
) -> None:
    await keep(logins, "desk", material(user_id=7))
    with pytest.raises(ConflictError, match="another Telegram account"):
        await keep(logins, "desk", material(user_id=8))
    await log_out(logins, ownerships)
    with pytest.raises(ConflictError, match="another Telegram account"):
        await keep(logins, "desk", material(user_id=8))
    assert await keep(logins, "desk", material(user_id=7)) == 2
    assert (await stored(db, config)).user_id == 7


async def test_the_sandboxs_name_is_not_taken(logins: TelegramLogins, ownerships: Ownerships) -> None:
    await ownerships.register("sandbox", "sandbox")
    with pytest.raises(ConflictError, match="one of the network sandbox") as caught:
        await logins.prepare("sandbox")
    assert "--account" in str(caught.value.hint)


async def test_the_sandbox_does_not_take_an_accounts_name(logins: TelegramLogins, ownerships: Ownerships) -> None:
    await logins.prepare("desk")
    with pytest.raises(ConflictError, match="one of the network telegram"):
        await ownerships.register("desk", "sandbox")


@pytest.mark.parametrize("name", ["", "Desk", "a b", "../x", "x" * 64, "-a", "desk\x00", "desk\n"])
async def test_what_is_no_name_is_refused(logins: TelegramLogins, db: Database, name: str) -> None:
    with pytest.raises(InvalidInputError, match="--account"):
        await logins.prepare(name)
    assert not await rows(db, "SELECT 1 FROM telegram_accounts")


async def test_a_lost_key_is_not_replaced_while_other_accounts_need_it(
    logins: TelegramLogins, config: Config, ownerships: Ownerships
) -> None:
    await keep(logins, "desk", material())
    session_keys(config).path.unlink()

    with pytest.raises(SessionKeyError, match="sessions of desk is missing"):
        await logins.prepare("shop")
    await keep(logins, "desk", material(auth_key=b"new"))  # its own session is replaced: nothing is lost
    session_keys(config).path.unlink()
    await log_out(logins, ownerships)
    await keep(logins, "shop", material(user_id=8))


async def test_a_key_of_the_settings_leaves_no_file(environment: dict[str, str], db: Database) -> None:
    key = "AGE-SECRET-KEY-1GFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPQ4EGAEX"
    config = Config.from_env({**environment, "NADIA_TELEGRAM_SESSION_KEY": key}, dotenv=None)
    await keep(telegram_logins(config, db), "desk", material())

    assert await stored(db, config) == material()
    assert not session_keys(config).path.exists()
    assert SecretStr(key) == config.telegram.session_key


def test_the_key_is_neither_in_the_home_nor_shared_with_another(config: Config, environment: dict[str, str]) -> None:
    path = session_keys(config).path
    assert not path.is_relative_to(config.home)
    other = Config.from_env({**environment, "NADIA_HOME": f"{config.home}-2"}, dotenv=None)
    assert session_keys(other).path != path
    elsewhere = Config.from_env({**environment, "XDG_CONFIG_HOME": "/etc/xdg"}, dotenv=None)
    assert session_keys(elsewhere).path.is_relative_to("/etc/xdg/nadia")
    relative = Config.from_env({**environment, "XDG_CONFIG_HOME": "here"}, dotenv=None)
    assert session_keys(relative).path == path


async def log_out(
    logins: TelegramLogins, ownerships: Ownerships, *, reachable: bool = True, patience: float = 5
) -> bool:
    async def end_at_telegram(session: SessionMaterial) -> bool:
        if not reachable:
            raise GatewayDisconnectedError("Telegram does not answer")
        return True

    outcome = await logins.log_out(
        "desk", actor="cli:ana", ownerships=ownerships, patience=patience, end_at_telegram=end_at_telegram
    )
    return outcome.at_telegram


async def test_a_log_out_forgets_the_session_and_keeps_whose_it_was(
    logins: TelegramLogins, db: Database, ownerships: Ownerships
) -> None:
    await keep(logins, "desk", material())
    assert await log_out(logins, ownerships)

    (row,) = await rows(db, "SELECT * FROM telegram_sessions")
    assert (bytes(row["ciphertext"]), row["user_id"], row["revoked_reason"]) == (b"", 7, "LOGGED_OUT")
    (account,) = await rows(db, "SELECT holder FROM telegram_accounts")
    assert account["holder"] is None
    with pytest.raises(NotFoundError, match="nobody is logged in as desk"):
        await log_out(logins, ownerships)


async def test_a_log_out_without_telegram_or_key_forgets_the_session_all_the_same(
    logins: TelegramLogins, db: Database, config: Config, ownerships: Ownerships
) -> None:
    await keep(logins, "desk", material())
    assert not await log_out(logins, ownerships, reachable=False)
    await keep(logins, "desk", material())
    session_keys(config).path.unlink()
    assert not await log_out(logins, ownerships)

    assert await rows(db, "SELECT 1 FROM telegram_sessions WHERE ciphertext = ''")


async def test_a_log_out_does_not_act_while_another_process_does_and_may_be_repeated(
    logins: TelegramLogins, db: Database, ownerships: Ownerships
) -> None:
    await keep(logins, "desk", material())
    stubborn = Ownerships(database=db, holder="bot/1/a", lease_seconds=300, grace_seconds=10)
    owned = await stubborn.acquire("desk")
    assert owned is not None
    with pytest.raises(ConflictError, match="still acts for desk"):
        await log_out(logins, ownerships, patience=0)
    assert await rows(db, "SELECT 1 FROM telegram_sessions WHERE ciphertext <> '' AND revoked_reason = 'LOGGED_OUT'")

    await stubborn.release(owned)
    assert await log_out(logins, ownerships)


async def test_who_logged_in_and_out_is_on_record_without_the_session(
    logins: TelegramLogins, db: Database, ownerships: Ownerships
) -> None:
    await keep(logins, "desk", material())
    await log_out(logins, ownerships)
    found = await rows(db, "SELECT * FROM audit_log ORDER BY id")

    assert [(row["actor"], row["action"], row["subject"]) for row in found] == [
        ("cli:ana", "telegram.logged_in", "telegram_account:desk"),
        ("cli:ana", "telegram.logged_out", "telegram_account:desk"),
        ("cli:ana", "telegram.session_erased", "telegram_account:desk"),
    ]
    assert found[0]["after"] == {"version": 1, "user_id": 7, "is_bot": False}
    assert found[2]["after"] == {"ended_at_telegram": True}


async def test_an_overview_tells_how_each_account_is(
    logins: TelegramLogins, db: Database, ownerships: Ownerships
) -> None:
    await ownerships.register("sandbox", "sandbox")
    await keep(logins, "desk", material())
    await keep(logins, "lost", material(user_id=8))
    await logins.prepare("never")
    owned = await ownerships.acquire("desk")
    assert owned is not None
    await ownerships.store_state(owned, {"pts": 1})
    async with db.transaction() as conn:
        await sessions.revoke(conn, account_id="lost", version=1, reason="SESSION_REVOKED")
        await conn.execute(
            "INSERT INTO pauses (activity, telegram_account_id, reason, paused_by) "
            "VALUES ('sending', 'lost', 'r', 'a'), ('drafting', NULL, 'r', 'a')"
        )

    found = {each.id: (each, [activity.value for activity in paused]) for each, paused in await overview(db)}
    assert {name: each.session for name, (each, _) in found.items()} == {
        "sandbox": "none",
        "desk": "accepted",
        "lost": "revoked",
        "never": "none",
    }
    desk, lost = found["desk"][0], found["lost"][0]
    assert (desk.user_id, desk.owner, desk.network) == (7, "cli/1/a", "telegram")
    assert desk.owned_until is not None
    assert desk.position_age is not None
    assert (lost.owner, lost.revoked_reason, lost.position_age) == (None, "SESSION_REVOKED", None)
    assert (found["desk"][1], found["lost"][1]) == (["drafting"], ["sending", "drafting"])
