"""`nadia telegram`, as people and scripts run it."""

import asyncio
import json
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from nadia.app.session_keys import session_keys
from nadia.postgres.database import Database
from nadia.settings import Config
from support.command_line import Outcome, run_nadia
from support.log_in import put_on_record
from support.mtproto.server import TelegramTestServer
from support.mtproto.world import Account
from support.servers import ClonedDatabase
from support.terminal import nadia_on_a_terminal

PHONE = "+12025550123"
PASSWORD = "correct horse"
BOT_TOKEN = "123456:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw"


@pytest.fixture
async def db(database: ClonedDatabase) -> AsyncIterator[Database]:
    opened = Database(dsn=database.app_dsn, pool_size=2)
    await opened.open()
    yield opened
    await opened.close()


@pytest.fixture
def desk(telegram: TelegramTestServer) -> Account:
    return telegram.add_account("Desk", phone=PHONE, password=PASSWORD)


async def nadia(*arguments: str, folder: Path, environment: dict[str, str]) -> Outcome:
    return await asyncio.to_thread(run_nadia, "telegram", *arguments, cwd=folder, environ=environment)


async def test_a_person_logs_in_with_code_and_password_and_sees_no_secret(
    telegram: TelegramTestServer, desk: Account, folder: Path, environment: dict[str, str], config: Config
) -> None:
    async with nadia_on_a_terminal(
        "telegram", "login", "--account", "desk", cwd=folder, environ=environment
    ) as terminal:
        await terminal.expect("Phone number, with country code: ")
        terminal.type(PHONE)
        await terminal.expect("Code that Telegram has sent by SMS: ")
        terminal.type("nonsense")
        await terminal.expect("That is not the code; 2 tries are left.")
        await terminal.expect("Code that Telegram has sent by SMS: ")
        terminal.type(telegram.code_for(PHONE))
        await terminal.expect("Password of two-step verification: ")
        terminal.type("wrong horse")
        await terminal.expect("2 tries are left.")
        await terminal.expect("Password of two-step verification: ")
        terminal.type(PASSWORD)
        await terminal.expect(f"desk is logged in as user {desk.user.user_id}")
        await terminal.expect("keep a copy apart from backups of the database")
        assert await terminal.end() == 0, terminal.screen

    assert "horse" not in terminal.screen, "a password is not echoed"
    key = session_keys(config).path
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert key.read_text().splitlines()[1] not in terminal.screen


async def test_ctrl_c_at_a_question_ends_at_once_and_leaves_nothing(
    telegram: TelegramTestServer, desk: Account, folder: Path, environment: dict[str, str], db: Database
) -> None:
    for question, answer in (("Code", PHONE), ("Password", None)):
        async with nadia_on_a_terminal(
            "telegram", "login", "--account", "desk", cwd=folder, environ=environment
        ) as terminal:
            await terminal.expect("Phone number")
            terminal.type(PHONE)
            await terminal.expect("Code")
            if answer is None:
                terminal.type(telegram.code_for(PHONE))
                await terminal.expect(question)
            terminal.interrupt()
            assert await terminal.end(within=10) == 130, terminal.screen

    assert telegram.sessions_of(desk) == 0
    async with db.connection() as conn:
        assert not await (await conn.execute("SELECT 1 FROM telegram_sessions")).fetchall()


async def test_a_code_to_scan_is_drawn_by_the_machines_program_and_printed(
    telegram: TelegramTestServer, folder: Path, environment: dict[str, str]
) -> None:
    shop = telegram.add_account("Shop", phone="+12025550199")
    drawer = folder / "bin" / "qrencode"
    drawer.parent.mkdir()
    drawer.write_text('#!/bin/sh\nprintf "drawn: %s of %s\\n" "$*" "$(cat | wc -c)"\n')
    drawer.chmod(0o755)
    environment["PATH"] = f"{drawer.parent}:/usr/bin:/bin"
    async with nadia_on_a_terminal(
        "telegram", "login", "--account", "shop", "--qr", cwd=folder, environ=environment
    ) as terminal:
        await terminal.expect("tg://login?token=")
        link = "tg://login?token=" + terminal.screen.split("tg://login?token=")[1].split()[0]
        telegram.scan(link, shop)
        await terminal.expect(f"shop is logged in as user {shop.user.user_id}")
        assert await terminal.end() == 0

    assert f"drawn: -t UTF8 of {len(link)}" in terminal.screen


async def test_a_bot_is_logged_in_with_a_token_from_a_file(
    telegram: TelegramTestServer, folder: Path, environment: dict[str, str]
) -> None:
    bot = telegram.add_bot("helper", token=BOT_TOKEN)
    (folder / "token").write_text(f"{BOT_TOKEN}\n")
    outcome = await nadia(
        "login", "--account", "helper", "--bot-token-file", "token", folder=folder, environment=environment
    )

    assert (outcome.code, outcome.out) == (0, f"helper is logged in as bot {bot.user.user_id}\n")
    assert "AAHdq" not in outcome.err


async def test_answers_may_come_from_a_pipe_that_ends_too_soon(
    telegram: TelegramTestServer, desk: Account, folder: Path, environment: dict[str, str]
) -> None:
    outcome = await nadia("login", "--account", "desk", "--phone", PHONE, folder=folder, environment=environment)
    assert outcome.code == 4
    assert "nobody answers: standard input has ended" in outcome.err
    assert PHONE.lstrip("+") not in outcome.err
    assert telegram.code_for(PHONE) not in outcome.err


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["login", "--qr", "--phone", PHONE], 2, "choose one"),
        (["login", "--bot-token-file", "nowhere"], 2, "nowhere cannot be read: No such file"),
        (["login", "--account", "No Name"], 2, "is no name of an account"),
        (["login", "--phone", "hello"], 2, "is no phone number"),
        (["logout", "--account", "nobody"], 2, "nobody is logged in as nobody"),
        (["logout", "--account", "nobody", "--dry-run"], 2, "nobody is logged in as nobody"),
    ],
)
async def test_what_is_wrong_is_said_with_its_exit_code(
    folder: Path, environment: dict[str, str], arguments: list[str], code: int, said: str
) -> None:
    outcome = await nadia(*arguments, folder=folder, environment=environment)
    assert (outcome.code, outcome.out) == (code, "")
    assert said in outcome.err
    assert "hello" not in outcome.err


async def test_a_log_in_without_credentials_says_where_to_get_them(folder: Path, environment: dict[str, str]) -> None:
    environment |= {"API_ID": "", "API_HASH": "", "NADIA_TELEGRAM_GATEWAY": "sandbox"}
    outcome = await nadia("login", folder=folder, environment=environment)
    assert outcome.code == 2
    assert "https://my.telegram.org" in outcome.err


async def test_a_telegram_that_cannot_be_reached_is_exit_code_3(
    telegram: TelegramTestServer, folder: Path, environment: dict[str, str]
) -> None:
    await telegram.refuse()
    outcome = await nadia("login", "--account", "desk", "--phone", PHONE, folder=folder, environment=environment)
    assert outcome.code == 3
    assert "hint: is this machine connected" in outcome.err


async def test_status_tells_people_and_programs_the_same(
    telegram: TelegramTestServer,
    desk: Account,
    folder: Path,
    environment: dict[str, str],
    config: Config,
    db: Database,
) -> None:
    none = await nadia("status", folder=folder, environment=environment)
    assert (none.code, none.out) == (0, "")
    assert "nadia telegram login" in none.err
    await put_on_record(config, db, telegram, "desk", desk)

    (row,) = json.loads((await nadia("status", "--json", folder=folder, environment=environment)).out)
    assert row["logged_in_at"] is not None
    del row["logged_in_at"]
    assert row == {
        "account": "desk",
        "network": "telegram",
        "user_id": desk.user.user_id,
        "is_bot": False,
        "session": "accepted",
        "revoked_reason": None,
        "owner": None,
        "owned_until": None,
        "update_state_age_seconds": None,
        "paused": [],
    }
    header, line = (await nadia("status", folder=folder, environment=environment)).out.splitlines()
    assert header.split() == ["account", "network", "user", "session", "acting", "for", "it", "position", "paused"]
    assert line.split() == ["desk", "telegram", str(desk.user.user_id), "accepted", "nobody", "-", "-"]


async def test_a_log_out_says_what_it_would_do_and_does_it(
    telegram: TelegramTestServer,
    desk: Account,
    folder: Path,
    environment: dict[str, str],
    config: Config,
    db: Database,
) -> None:
    await put_on_record(config, db, telegram, "desk", desk)
    plan = await nadia("logout", "--account", "desk", "--dry-run", folder=folder, environment=environment)
    assert plan.out == (
        f"would end the session of desk (user {desk.user.user_id}), which is accepted; acting for it: nobody\n"
    )
    assert telegram.sessions_of(desk) == 1
    outcome = await nadia("logout", "--account", "desk", folder=folder, environment=environment)

    assert (outcome.code, outcome.out) == (0, "desk is logged out\n")
    assert telegram.sessions_of(desk) == 0


async def test_a_log_out_that_telegram_does_not_hear_of_says_what_is_left_to_do(
    telegram: TelegramTestServer,
    desk: Account,
    folder: Path,
    environment: dict[str, str],
    config: Config,
    db: Database,
) -> None:
    await put_on_record(config, db, telegram, "desk", desk)
    await telegram.refuse()
    outcome = await nadia("logout", "--account", "desk", folder=folder, environment=environment)

    assert (outcome.code, outcome.out) == (0, "desk is logged out here\n")
    assert "Telegram was not told" in outcome.err
    assert "Settings, Devices" in outcome.err
