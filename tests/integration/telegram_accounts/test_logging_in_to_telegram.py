"""Logging in to Telegram and out: each way, and each way in which people and Telegram get it wrong."""

import asyncio

import pytest
from pydantic import SecretStr
from telethon import TelegramClient
from telethon.tl import functions

from nadia.errors import ConfigurationError, InvalidInputError
from nadia.telegram.errors import GatewayDisconnectedError
from nadia.telegram.telethon.login import LogInRefusedError, log_out, logging_in
from support.log_in import Person, api_of, log_in_at, new_session, place_of
from support.mtproto.faults import Fault
from support.mtproto.server import TelegramTestServer

PHONE = "+1 (202) 555-0123"


def somebody(telegram: TelegramTestServer, *wrong: str, **more: object) -> Person:
    """A person who gives these codes first, and then the one that was sent."""
    codes = [lambda code=code: code for code in wrong]
    return Person(number=PHONE, codes=[*codes, lambda: telegram.code_for(PHONE)], **more)  # type: ignore[arg-type]


async def test_a_code_logs_an_account_in(telegram: TelegramTestServer) -> None:
    desk = telegram.add_account("Desk", phone=PHONE)
    person = somebody(telegram)
    async with log_in_at(telegram) as attempt:
        material = await attempt.by_code(person)
        attempt.is_kept = True

    assert (material.user_id, material.is_bot) == (desk.user.user_id, False)
    assert (material.dc_id, material.host, material.port) == (telegram.dc_id, telegram.host, telegram.port)
    assert len(material.auth_key) == 256
    assert person.asked == ["phone", "code by SMS"]
    assert telegram.sessions_of(desk) == 1


async def test_the_number_may_be_given_before(telegram: TelegramTestServer) -> None:
    telegram.add_account("Desk", phone=PHONE)
    person = somebody(telegram)
    async with log_in_at(telegram) as attempt:
        await attempt.by_code(person, phone=PHONE)

    assert person.asked == ["code by SMS"]


async def test_a_person_is_told_where_the_code_went(telegram: TelegramTestServer) -> None:
    desk = telegram.add_account("Desk", phone=PHONE)
    telegram.new_session(desk)  # on another device
    person = somebody(telegram)
    async with log_in_at(telegram) as attempt:
        await attempt.by_code(person)

    assert person.asked[-1] == "code in Telegram, on a device where the account is logged in"


async def test_a_code_may_be_typed_with_gaps(telegram: TelegramTestServer) -> None:
    desk = telegram.add_account("Desk", phone=PHONE)
    person = Person(number=PHONE, codes=[lambda: " - ".join(telegram.code_for(PHONE))])
    async with log_in_at(telegram) as attempt:
        assert (await attempt.by_code(person)).user_id == desk.user.user_id


@pytest.mark.parametrize("wrong", ["00000x", "", "🤷", "1" * 1_000])
async def test_a_wrong_code_is_asked_for_again(telegram: TelegramTestServer, wrong: str) -> None:
    desk = telegram.add_account("Desk", phone=PHONE)
    person = somebody(telegram, wrong)
    async with log_in_at(telegram) as attempt:
        assert (await attempt.by_code(person)).user_id == desk.user.user_id

    assert person.told == ["That is not the code; 2 tries are left."]


async def test_three_wrong_codes_are_enough(telegram: TelegramTestServer) -> None:
    telegram.add_account("Desk", phone=PHONE)
    person = somebody(telegram, "no", "nor this", "nor that")
    async with log_in_at(telegram) as attempt:
        with pytest.raises(LogInRefusedError, match="3 codes were wrong"):
            await attempt.by_code(person)

    assert person.told[-1] == "That is not the code; that was the last try."


async def test_an_expired_code_is_sent_anew(telegram: TelegramTestServer) -> None:
    desk = telegram.add_account("Desk", phone=PHONE)

    def too_late() -> str:
        telegram.expire_code(PHONE)
        return telegram.code_for(PHONE)

    person = Person(number=PHONE, codes=[too_late, lambda: telegram.code_for(PHONE)])
    async with log_in_at(telegram) as attempt:
        assert (await attempt.by_code(person)).user_id == desk.user.user_id

    assert person.told == ["That code has expired; Telegram sends another one."]


@pytest.mark.parametrize("number", ["", "hello", "12", "1" * 40, "+1 202 555 0123 ext. 4", "١٢٣٤٥٦٧٨٩"])
async def test_what_is_no_number_is_not_sent_to_telegram(telegram: TelegramTestServer, number: str) -> None:
    async with log_in_at(telegram) as attempt:
        with pytest.raises(InvalidInputError, match="phone: is no phone number") as caught:
            await attempt.by_code(Person(number=number))

    assert not number or number not in str(caught.value)
    assert not telegram.count(functions.auth.SendCodeRequest)


async def test_a_number_without_an_account_is_refused(telegram: TelegramTestServer) -> None:
    async with log_in_at(telegram) as attempt:
        with pytest.raises(InvalidInputError, match="no Telegram account has this number"):
            await attempt.by_code(somebody(telegram))


async def test_a_banned_number_is_refused(telegram: TelegramTestServer) -> None:
    telegram.login.banned.add("12025550123")
    async with log_in_at(telegram) as attempt:
        with pytest.raises(LogInRefusedError, match="banned"):
            await attempt.by_code(somebody(telegram))


@pytest.mark.parametrize("answer", ["PHONE_MIGRATE_2", "NETWORK_MIGRATE_2"])
async def test_an_account_of_another_data_centre_is_followed_there(
    telegram: TelegramTestServer, monkeypatch: pytest.MonkeyPatch, answer: str
) -> None:
    monkeypatch.setattr(TelegramClient, "_config", None)  # kept for the process, which has one Telegram in earnest
    desk = telegram.add_account("Desk", phone=PHONE)
    telegram.faults.meet(functions.auth.SendCodeRequest, Fault.error(303, answer))
    async with log_in_at(telegram) as attempt:
        material = await attempt.by_code(somebody(telegram))

    assert (material.user_id, material.dc_id, material.port) == (desk.user.user_id, 2, telegram.port)
    assert telegram.count(functions.auth.SendCodeRequest) == 2


async def test_a_wait_is_said_in_hours_and_minutes(telegram: TelegramTestServer) -> None:
    telegram.faults.meet(functions.auth.SendCodeRequest, Fault.flood_wait(7_325))
    async with log_in_at(telegram) as attempt:
        with pytest.raises(LogInRefusedError, match="wait 2 h 2 min 5 s before the next attempt"):
            await attempt.by_code(somebody(telegram))


async def test_an_application_that_telegram_does_not_know_is_named(telegram: TelegramTestServer) -> None:
    with pytest.raises(ConfigurationError, match="API_ID and API_HASH"):
        async with logging_in(api_of(telegram, api_id=999), place_of(telegram), request_timeout=5):
            pass


async def test_two_step_verification_asks_for_the_password_after_the_code(telegram: TelegramTestServer) -> None:
    desk = telegram.add_account("Desk", phone=PHONE, password="correct horse")
    person = somebody(telegram, passwords=["wrong horse", "correct horse"])
    async with log_in_at(telegram) as attempt:
        assert (await attempt.by_code(person)).user_id == desk.user.user_id

    assert person.asked[-2:] == ["password", "password"]
    assert person.told == ["That is not the password of two-step verification; 2 tries are left."]


async def test_three_wrong_passwords_are_enough(telegram: TelegramTestServer) -> None:
    desk = telegram.add_account("Desk", phone=PHONE, password="correct horse")
    person = somebody(telegram, passwords=["a", "", "🐴" * 500])
    async with log_in_at(telegram) as attempt:
        with pytest.raises(LogInRefusedError, match="3 passwords were wrong"):
            await attempt.by_code(person)

    assert telegram.sessions_of(desk) == 0


async def test_a_scanned_code_logs_an_account_in(telegram: TelegramTestServer) -> None:
    desk = telegram.add_account("Desk", phone=PHONE)
    person = Person(on_link=lambda link: telegram.scan(link, desk))
    async with log_in_at(telegram) as attempt:
        async with asyncio.timeout(10):
            assert (await attempt.by_qr(person)).user_id == desk.user.user_id

    (link,) = person.links
    assert link.startswith("tg://login?token=")


async def test_a_code_that_nobody_scans_is_shown_anew_until_somebody_does(telegram: TelegramTestServer) -> None:
    desk = telegram.add_account("Desk", phone=PHONE)
    telegram.login.token_seconds = 1
    shown: list[str] = []

    def third_time(link: str) -> None:
        shown.append(link)
        if len(shown) == 3:
            telegram.login.token_seconds = 30
            telegram.scan(link, desk)

    async with log_in_at(telegram) as attempt:
        assert (await attempt.by_qr(Person(on_link=third_time))).user_id == desk.user.user_id

    assert len(set(shown)) == 3


async def test_a_scanned_code_may_want_the_password_too(telegram: TelegramTestServer) -> None:
    desk = telegram.add_account("Desk", phone=PHONE, password="correct horse")
    person = Person(passwords=["correct horse"], on_link=lambda link: telegram.scan(link, desk))
    async with log_in_at(telegram) as attempt:
        assert (await attempt.by_qr(person)).user_id == desk.user.user_id


BOT_TOKEN = "123456:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw"


async def test_a_token_logs_a_bot_in(telegram: TelegramTestServer) -> None:
    bot = telegram.add_bot("helper", token=BOT_TOKEN)
    async with log_in_at(telegram) as attempt:
        material = await attempt.by_bot_token(SecretStr(f"{BOT_TOKEN}\n"))

    assert (material.user_id, material.is_bot) == (bot.user.user_id, True)


async def test_a_token_that_telegram_does_not_know_is_refused(telegram: TelegramTestServer) -> None:
    async with log_in_at(telegram) as attempt:
        with pytest.raises(LogInRefusedError, match="bot token"):
            await attempt.by_bot_token(SecretStr(BOT_TOKEN))


@pytest.mark.parametrize("token", ["", "hello", "123456:short", f"{BOT_TOKEN} {BOT_TOKEN}"])
async def test_what_is_no_token_is_not_sent_to_telegram(telegram: TelegramTestServer, token: str) -> None:
    async with log_in_at(telegram) as attempt:
        with pytest.raises(InvalidInputError, match="bot token"):
            await attempt.by_bot_token(SecretStr(token))

    assert not telegram.count(functions.auth.ImportBotAuthorizationRequest)


async def test_a_log_in_that_is_not_kept_leaves_no_session_at_telegram(telegram: TelegramTestServer) -> None:
    desk = telegram.add_account("Desk", phone=PHONE)
    with pytest.raises(ZeroDivisionError):
        async with log_in_at(telegram) as attempt:
            await attempt.by_code(somebody(telegram))
            raise ZeroDivisionError

    assert telegram.sessions_of(desk) == 0


async def test_a_link_that_breaks_while_the_code_is_typed_is_mended(telegram: TelegramTestServer) -> None:
    desk = telegram.add_account("Desk", phone=PHONE)

    def code_after_a_cut() -> str:
        telegram.cut()
        return telegram.code_for(PHONE)

    async with log_in_at(telegram) as attempt:
        material = await attempt.by_code(Person(number=PHONE, codes=[code_after_a_cut]))

    assert material.user_id == desk.user.user_id


async def test_a_telegram_that_cannot_be_reached_is_said(telegram: TelegramTestServer) -> None:
    await telegram.refuse()
    with pytest.raises(GatewayDisconnectedError):
        async with log_in_at(telegram):
            pass


async def test_a_telegram_that_does_not_answer_is_not_waited_for_longer_than_set(telegram: TelegramTestServer) -> None:
    telegram.faults.meet(functions.auth.SendCodeRequest, Fault.unanswered())
    async with log_in_at(telegram, request_timeout=0.5) as attempt:
        with pytest.raises(GatewayDisconnectedError, match="does not answer"):
            await attempt.by_code(somebody(telegram))


async def test_logging_out_ends_the_session_at_telegram(telegram: TelegramTestServer) -> None:
    desk = telegram.add_account("Desk", phone=PHONE)
    material = new_session(telegram, desk)

    assert await log_out(material, api_of(telegram), place_of(telegram), request_timeout=5)
    assert telegram.sessions_of(desk) == 0
    assert not await log_out(material, api_of(telegram), place_of(telegram), request_timeout=5), "it had ended"


async def test_logging_out_of_what_telegram_took_away_is_no_error(telegram: TelegramTestServer) -> None:
    desk = telegram.add_account("Desk", phone=PHONE)
    material = new_session(telegram, desk)
    telegram.revoke(desk)
    assert not await log_out(material, api_of(telegram), place_of(telegram), request_timeout=5)
    telegram.forget_key(material.auth_key)
    assert not await log_out(material, api_of(telegram), place_of(telegram), request_timeout=5)
