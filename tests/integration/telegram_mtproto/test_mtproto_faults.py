"""Each thing that goes wrong, as a real client feels it."""

import asyncio
from typing import Any

import pytest
from telethon import errors
from telethon.tl import functions, types

from support.eventually import eventually
from support.mtproto.clients import Connect, ask
from support.mtproto.faults import Fault, Faults
from support.mtproto.server import TelegramTestServer
from support.mtproto.world import Account, User

SEND = functions.messages.SendMessageRequest


def send(telegram: TelegramTestServer, account: Account, user: User, random_id: int = 7) -> Any:
    peer = types.InputPeerUser(user.user_id, telegram.world.access_hash(account, user))
    return SEND(peer, "hello", random_id=random_id)


async def test_a_lost_answer_leaves_the_message_sent(
    telegram: TelegramTestServer, desk: Account, ana: User, connect: Connect
) -> None:
    key = telegram.new_session(desk)
    client = await connect(key)
    telegram.faults.meet(SEND, Fault.answer_lost())

    with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
        await client(send(telegram, desk, ana))
    assert telegram.texts_of(desk, ana) == ["hello"]
    with pytest.raises(errors.RandomIdDuplicateError):
        await ask(await connect(key), send(telegram, desk, ana))


async def test_a_cut_before_storing_leaves_nothing(
    telegram: TelegramTestServer, desk: Account, ana: User, connect: Connect
) -> None:
    key = telegram.new_session(desk)
    client = await connect(key)
    telegram.faults.meet(SEND, Fault.cut_before())

    with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
        await client(send(telegram, desk, ana))
    assert telegram.texts_of(desk, ana) == []
    await (await connect(key))(send(telegram, desk, ana))
    assert telegram.texts_of(desk, ana) == ["hello"]


@pytest.mark.parametrize(
    ("fault", "error", "sent"),
    [
        (Fault.flood_wait(7), errors.FloodWaitError, []),
        (Fault.peer_flood(), errors.PeerFloodError, []),
        (Fault.internal(), errors.ServerError, []),
        (Fault.internal(carried_out=True), errors.ServerError, ["hello"]),
        (Fault.error(500, "RANDOM_ID_DUPLICATE", carried_out=True), errors.RandomIdDuplicateError, ["hello"]),
        (Fault.error(-503, "Timeout"), errors.TimedOutError, []),
        (Fault.error(403, "CHAT_WRITE_FORBIDDEN"), errors.ChatWriteForbiddenError, []),
        (Fault.error(401, "AUTH_KEY_UNREGISTERED"), errors.AuthKeyUnregisteredError, []),
    ],
    ids=lambda value: value.failure[1] if isinstance(value, Fault) and value.failure else None,
)
async def test_an_error_strikes_once_and_the_link_holds(
    telegram: TelegramTestServer,
    desk: Account,
    ana: User,
    connect: Connect,
    fault: Fault,
    error: type[Exception],
    sent: list[str],
) -> None:
    client = await connect(telegram.new_session(desk))
    telegram.faults.meet(SEND, fault)

    with pytest.raises(error):
        await ask(client, send(telegram, desk, ana))
    assert telegram.texts_of(desk, ana) == sent
    assert (await client.get_me()).id == desk.user.user_id


async def test_a_flood_wait_tells_its_length(
    telegram: TelegramTestServer, desk: Account, ana: User, connect: Connect
) -> None:
    client = await connect(telegram.new_session(desk))
    telegram.faults.meet(SEND, Fault.flood_wait(7))

    with pytest.raises(errors.FloodWaitError) as caught:
        await client(send(telegram, desk, ana))
    assert caught.value.seconds == 7


async def test_an_answer_that_never_comes_holds_up_no_other(
    telegram: TelegramTestServer, desk: Account, ana: User, connect: Connect
) -> None:
    client = await connect(telegram.new_session(desk))
    gate = asyncio.Event()
    telegram.faults.meet(SEND, Fault.unanswered(carried_out=True), Fault.held(gate))
    lost = asyncio.ensure_future(client(send(telegram, desk, ana, 1)))
    held = asyncio.ensure_future(client(send(telegram, desk, ana, 2)))
    await eventually(lambda: telegram.count(SEND) == 2)
    assert (await client.get_me()).id == desk.user.user_id
    assert telegram.texts_of(desk, ana) == ["hello"]

    gate.set()
    assert (await held).id == 2
    assert not lost.done()
    lost.cancel()


@pytest.mark.parametrize(
    ("refusal", "error"),
    [
        ((401, "SESSION_REVOKED"), errors.SessionRevokedError),
        ((401, "AUTH_KEY_UNREGISTERED"), errors.AuthKeyUnregisteredError),
        ((401, "USER_DEACTIVATED_BAN"), errors.UserDeactivatedBanError),
        ((406, "AUTH_KEY_DUPLICATED"), errors.AuthKeyDuplicatedError),
    ],
    ids=["revoked", "unregistered", "banned", "duplicated"],
)
async def test_a_session_that_was_taken_away_is_told_and_may_be_given_back(
    telegram: TelegramTestServer,
    desk: Account,
    ana: User,
    connect: Connect,
    refusal: tuple[int, str],
    error: type[Exception],
) -> None:
    key = telegram.new_session(desk)
    client = await connect(key)
    stranger = telegram.new_session(telegram.add_account("Other", phone="+15550002"))
    telegram.revoke(desk, code=refusal[0], error=refusal[1])
    await client.disconnected
    assert isinstance(client._updates_error, error)

    again = await connect(telegram.new_session(desk))
    assert (await again.get_me()).id == desk.user.user_id
    assert await (await connect(stranger)).get_me() is not None
    telegram.restore(desk)
    assert (await (await connect(key)).get_me()).id == desk.user.user_id


async def test_a_method_called_too_often_is_paused_until_the_window_is_over() -> None:
    now = 100.0
    faults = Faults(monotonic=lambda: now)
    faults.limit(functions.updates.GetStateRequest, calls=2, seconds=30)
    request = functions.updates.GetStateRequest()
    assert [faults.strike(request) for _ in range(2)] == [None, None]
    now = 110.0
    assert faults.strike(request) == Fault.flood_wait(20)
    assert faults.strike(functions.help.GetConfigRequest()) is None
    now = 130.0
    assert faults.strike(request) is None
    faults.forget()
    assert [faults.strike(request) for _ in range(5)] == [None] * 5


async def test_a_server_that_is_gone_refuses_and_comes_back_where_it_was(
    telegram: TelegramTestServer, desk: Account, connect: Connect
) -> None:
    key = telegram.new_session(desk)
    client = await connect(key)
    await telegram.refuse()
    with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
        await client.disconnected
    with pytest.raises(ConnectionError):
        await connect(key)

    await telegram.accept()
    assert (await (await connect(key)).get_me()).id == desk.user.user_id


async def test_one_accounts_connections_are_cut_and_the_others_hold(
    telegram: TelegramTestServer, desk: Account, connect: Connect
) -> None:
    other = telegram.add_account("Other", phone="+15550002")
    one, two = await connect(telegram.new_session(desk)), await connect(telegram.new_session(other))
    telegram.cut(desk)

    with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
        await one.disconnected
    assert (await two.get_me()).id == other.user.user_id


async def test_requests_are_on_record(telegram: TelegramTestServer, desk: Account, ana: User, connect: Connect) -> None:
    client = await connect(telegram.new_session(desk))
    telegram.requests.clear()
    await client(send(telegram, desk, ana))
    await client.get_me()

    assert [(seen.name, seen.user_id) for seen in telegram.requests] == [
        ("SendMessageRequest", desk.user.user_id),
        ("GetUsersRequest", desk.user.user_id),
    ]
    assert telegram.requests[0].request.random_id == 7
    assert telegram.count(SEND) == 1
