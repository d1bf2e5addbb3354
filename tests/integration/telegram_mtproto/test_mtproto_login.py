"""Every way to log in, each with what people get wrong."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from telethon import errors
from telethon.tl import functions, types

from support.eventually import eventually
from support.mtproto.clients import Connect
from support.mtproto.rpc import RpcFailure
from support.mtproto.server import TelegramTestServer
from support.mtproto.world import Account

PHONE = "+1 555 0001"


async def test_the_right_code_logs_in(telegram: TelegramTestServer, desk: Account, connect: Connect) -> None:
    client = await connect()
    sent = await client.send_code_request(PHONE)
    assert isinstance(sent.type, types.auth.SentCodeTypeSms)

    me = await client.sign_in(PHONE, telegram.code_for(PHONE))

    assert me.id == desk.user.user_id
    assert telegram.sessions_of(desk) == 1


async def test_a_wrong_code_leaves_the_right_one_good(
    telegram: TelegramTestServer, desk: Account, connect: Connect
) -> None:
    client = await connect()
    await client.send_code_request(PHONE)

    with pytest.raises(errors.PhoneCodeInvalidError):
        await client.sign_in(PHONE, "not a code")
    assert (await client.sign_in(PHONE, telegram.code_for(PHONE))).id == desk.user.user_id


async def test_an_expired_code_and_an_old_one_are_refused(
    telegram: TelegramTestServer, desk: Account, connect: Connect
) -> None:
    client = await connect()
    await client.send_code_request(PHONE)
    telegram.expire_code(PHONE)
    with pytest.raises(errors.PhoneCodeExpiredError):
        await client.sign_in(PHONE, telegram.code_for(PHONE))

    first = await client.send_code_request(PHONE)
    old = telegram.code_for(PHONE)
    await (await connect()).send_code_request(PHONE)
    with pytest.raises(errors.PhoneCodeExpiredError):
        await client.sign_in(PHONE, old, phone_code_hash=first.phone_code_hash)


@pytest.mark.parametrize(
    ("phone", "error"),
    [("123", errors.PhoneNumberInvalidError), ("1" * 16, errors.PhoneNumberInvalidError)],
    ids=["too short", "too long"],
)
async def test_what_is_no_phone_number_is_refused(connect: Connect, phone: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        await (await connect()).send_code_request(phone)


async def test_a_banned_number_is_refused(telegram: TelegramTestServer, connect: Connect) -> None:
    telegram.login.banned.add("15550009")
    with pytest.raises(errors.PhoneNumberBannedError):
        await (await connect()).send_code_request("+15550009")


async def test_a_number_without_an_account_is_told_only_after_the_code(
    telegram: TelegramTestServer, connect: Connect
) -> None:
    client = await connect()
    await client.send_code_request("+15550404")
    with pytest.raises(errors.PhoneNumberUnoccupiedError):
        await client.sign_in("+15550404", telegram.code_for("+15550404"))


async def test_a_wrong_api_id_or_hash_is_refused(telegram: TelegramTestServer, connect: Connect) -> None:
    client = await connect()
    request = functions.auth.SendCodeRequest("15550001", telegram.api_id, "f" * 32, types.CodeSettings())
    with pytest.raises(errors.ApiIdInvalidError):
        await client(request)


async def test_a_second_factor_is_wanted_and_checked(telegram: TelegramTestServer, connect: Connect) -> None:
    boss = telegram.add_account("Boss", phone="+15550002", password="correct horse")
    client = await connect()
    await client.send_code_request("+15550002")
    with pytest.raises(errors.SessionPasswordNeededError):
        await client.sign_in("+15550002", telegram.code_for("+15550002"))
    assert telegram.sessions_of(boss) == 0

    for wrong in ("correct horse ", "", "Correct horse", "пароль" * 100):
        with pytest.raises(errors.PasswordHashInvalidError):
            await client(functions.auth.CheckPasswordRequest(await _proof(client, wrong)))
    assert (await client.sign_in(password="correct horse")).id == boss.user.user_id


async def test_a_proof_of_the_password_is_good_once(telegram: TelegramTestServer, connect: Connect) -> None:
    telegram.add_account("Boss", phone="+15550002", password="correct horse")
    client = await connect()
    await client.send_code_request("+15550002")
    with pytest.raises(errors.SessionPasswordNeededError):
        await client.sign_in("+15550002", telegram.code_for("+15550002"))
    proof = await _proof(client, "wrong")
    with pytest.raises(errors.PasswordHashInvalidError):
        await client(functions.auth.CheckPasswordRequest(proof))
    with pytest.raises(errors.SrpIdInvalidError):
        await client(functions.auth.CheckPasswordRequest(proof))


async def _proof(client: Any, password: str) -> Any:
    from telethon.password import compute_check

    return compute_check(await client(functions.account.GetPasswordRequest()), password)


async def test_the_code_of_an_account_in_use_comes_from_777000_into_its_chats(
    telegram: TelegramTestServer, desk: Account, connect: Connect
) -> None:
    old = await connect(telegram.new_session(desk))
    sent = await (await connect()).send_code_request(PHONE)

    assert isinstance(sent.type, types.auth.SentCodeTypeApp)
    await eventually(lambda: bool(old.seen))
    (update,) = old.seen
    assert update.message.peer_id.user_id == 777000
    assert telegram.code_for(PHONE) in update.message.message


async def test_a_scanned_qr_code_logs_in(telegram: TelegramTestServer, desk: Account, connect: Connect) -> None:
    client = await connect()
    shown = await client.qr_login()
    waiting = asyncio.ensure_future(shown.wait(10))
    await asyncio.sleep(0)
    telegram.scan(shown.url, desk)

    assert (await waiting).id == desk.user.user_id


async def test_a_scanned_qr_code_may_want_a_password(telegram: TelegramTestServer, connect: Connect) -> None:
    boss = telegram.add_account("Boss", phone="+15550002", password="pw")
    client = await connect()
    shown = await client.qr_login()
    waiting = asyncio.ensure_future(shown.wait(10))
    await asyncio.sleep(0)
    telegram.scan(shown.url, boss)

    with pytest.raises(errors.SessionPasswordNeededError):
        await waiting
    assert (await client.sign_in(password="pw")).id == boss.user.user_id


async def test_a_qr_code_expires_and_is_made_anew(
    telegram: TelegramTestServer, desk: Account, connect: Connect
) -> None:
    client = await connect()
    shown = await client.qr_login()
    old = shown.url
    now = telegram.world.now()
    telegram.world.now = lambda: now + timedelta(seconds=31)
    with pytest.raises(RpcFailure, match="AUTH_TOKEN_EXPIRED"):
        telegram.scan(old, desk)
    await shown.recreate()

    assert shown.url != old
    telegram.scan(shown.url, desk)
    with pytest.raises(RpcFailure, match="AUTH_TOKEN_ALREADY_ACCEPTED"):
        telegram.scan(shown.url, desk)


async def test_a_client_that_is_logged_in_scans_too(
    telegram: TelegramTestServer, desk: Account, connect: Connect
) -> None:
    phone = await connect(telegram.new_session(desk))
    shown = await (await connect()).qr_login()

    await phone(functions.auth.AcceptLoginTokenRequest(shown.token))
    with pytest.raises(errors.AuthTokenInvalidError):
        await phone(functions.auth.AcceptLoginTokenRequest(b"no such token"))


async def test_a_bot_logs_in_with_its_token(telegram: TelegramTestServer, connect: Connect) -> None:
    helper = telegram.add_bot("Helper", token="1:secret")
    client = await connect()
    with pytest.raises(errors.AccessTokenInvalidError):
        await client.sign_in(bot_token="1:wrong")

    me = await client.sign_in(bot_token="1:secret")
    assert (me.id, me.bot) == (helper.user.user_id, True)


async def test_logging_out_ends_the_session(telegram: TelegramTestServer, desk: Account, connect: Connect) -> None:
    key = telegram.new_session(desk)
    client = await connect(key)
    assert await client.log_out()

    assert telegram.sessions_of(desk) == 0
    assert await (await connect(key)).get_me() is None
