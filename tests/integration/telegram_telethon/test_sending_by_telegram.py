"""Sending and typing by the real Telegram: every refusal as what it is, every doubt as a doubt."""

import asyncio

import pytest
from telethon.tl import functions

from nadia.telegram.entities import ResolvedPeer
from nadia.telegram.errors import (
    FloodWaitError,
    GatewayDisconnectedError,
    PeerFloodError,
    RandomIdDuplicateError,
    SendRefusedError,
    SendUncertainError,
)
from nadia.telegram.telethon.gateway import TelethonGateway
from support.eventually import eventually
from support.gateway_contract import read_to_the_end, take_texts
from support.mtproto.faults import Fault
from support.telethon_network import TelethonNetwork

SendMessage = functions.messages.SendMessageRequest
SetTyping = functions.messages.SetTypingRequest


async def send(gateway: TelethonGateway, chat_id: int, text: str = "hello", random_id: int = 1) -> None:
    await gateway.send(chat_id=chat_id, text=text, random_id=random_id)


@pytest.mark.parametrize("code", [400, 500])
async def test_a_duplicate_is_one_whatever_number_its_error_has(
    network: TelethonNetwork, gateway: TelethonGateway, code: int
) -> None:
    network.telegram.world.duplicate_code = code
    chat = await network.add_customer("Ana")
    await send(gateway, chat)

    with pytest.raises(RandomIdDuplicateError):
        await send(gateway, chat)
    assert network.telegram.count(SendMessage) == 2
    assert await network.texts_of(chat) == ["hello"]


async def test_trouble_at_telegrams_end_leaves_a_doubt_that_the_next_attempt_clears(
    network: TelethonNetwork, gateway: TelethonGateway
) -> None:
    chat = await network.add_customer("Ana")
    network.telegram.faults.meet(SendMessage, Fault.internal(carried_out=True), Fault.internal())

    with pytest.raises(SendUncertainError):
        await send(gateway, chat)
    with pytest.raises(RandomIdDuplicateError):
        network.telegram.faults.forget(SendMessage)
        await send(gateway, chat)
    assert await network.texts_of(chat) == ["hello"]


async def test_an_answer_that_never_comes_is_a_doubt_and_ends_the_link(network: TelethonNetwork) -> None:
    chat = await network.add_customer("Ana")
    gateway = network.gateway(request_timeout=1.0)
    await gateway.connect(await network.beginning())
    reading = asyncio.ensure_future(read_to_the_end(gateway.updates()))
    await gateway.send(chat_id=chat, text="before", random_id=1)
    network.telegram.faults.meet(SendMessage, Fault.unanswered(carried_out=True))

    with pytest.raises(SendUncertainError):
        await send(gateway, chat, random_id=2)
    with pytest.raises(GatewayDisconnectedError):
        await reading
    with pytest.raises(GatewayDisconnectedError):
        await send(gateway, chat, random_id=3)
    assert await network.texts_of(chat) == ["before", "hello"]


async def test_a_flood_wait_for_one_kind_of_request_holds_up_no_other_and_no_other_chat(
    network: TelethonNetwork, gateway: TelethonGateway
) -> None:
    """Telethon alone refuses every request of the kind until then, whomever it is for."""
    ana, ben = await network.add_customer("Ana"), await network.add_customer("Ben")
    network.telegram.faults.meet(SetTyping, Fault.flood_wait(60))
    network.telegram.faults.meet(SendMessage, Fault.flood_wait(3600))

    with pytest.raises(FloodWaitError) as typing:
        await gateway.set_typing(chat_id=ana)
    with pytest.raises(FloodWaitError) as sending:
        await send(gateway, ana)
    await send(gateway, ben)
    await gateway.set_typing(chat_id=ben)

    assert (typing.value.seconds, sending.value.seconds) == (60, 3600)
    assert await network.texts_of(ben) == ["hello"]


@pytest.mark.parametrize(
    ("code", "error", "raised"),
    [
        (400, "PEER_FLOOD", PeerFloodError),
        (420, "FROZEN_METHOD_INVALID", PeerFloodError),
        (420, "SLOWMODE_WAIT_9", FloodWaitError),
        (420, "FLOOD_PREMIUM_WAIT_9", FloodWaitError),
        (420, "SOMETHING_NEW", FloodWaitError),
        (403, "CHAT_WRITE_FORBIDDEN", SendRefusedError),
        (403, "PRIVACY_PREMIUM_REQUIRED", SendRefusedError),
        (403, "ALLOW_PAYMENT_REQUIRED_10", SendRefusedError),
        (400, "INPUT_USER_DEACTIVATED", SendRefusedError),
        (400, "SOMETHING_NEW", SendRefusedError),
        (406, "SOMETHING_NEW", SendRefusedError),
        (303, "FILE_MIGRATE_3", SendRefusedError),
        (500, "SOMETHING_NEW", SendUncertainError),
        (-500, "No workers running", SendUncertainError),
        (-503, "Timeout", SendUncertainError),
        (503, "SOMETHING_NEW", SendUncertainError),
    ],
)
async def test_every_refusal_says_what_may_be_done_next(
    network: TelethonNetwork, gateway: TelethonGateway, code: int, error: str, raised: type[Exception]
) -> None:
    chat = await network.add_customer("Ana")
    network.telegram.faults.meet(SendMessage, Fault.error(code, error))

    with pytest.raises(raised) as caught:
        await send(gateway, chat)
    if isinstance(caught.value, SendRefusedError):
        assert caught.value.reason == error.replace("_3", "_X")
    if isinstance(caught.value, FloodWaitError):
        assert caught.value.seconds == (60 if error == "SOMETHING_NEW" else 9)
    assert await network.texts_of(chat) == []


async def test_what_can_never_be_sent_is_refused_without_asking(
    network: TelethonNetwork, gateway: TelethonGateway
) -> None:
    chat = await network.add_customer("Ana")
    for text, reason in (("x" * 4097, "MESSAGE_TOO_LONG"), ("half a \ud83d", "MESSAGE_NOT_UNICODE")):
        with pytest.raises(SendRefusedError) as caught:
            await send(gateway, chat, text)
        assert caught.value.reason == reason
        assert text not in str(caught.value)
    assert network.telegram.count(SendMessage) == 0


async def test_the_long_form_of_an_answer_names_the_message_as_well(
    network: TelethonNetwork, gateway: TelethonGateway
) -> None:
    network.telegram.world.full_answers = True
    chat = await network.add_customer("Ana")
    sent = await gateway.send(chat_id=chat, text="hello", random_id=1)

    (found,) = await gateway.history(chat_id=chat)
    assert (found.message_id, found.outgoing) == (sent.message_id, True)
    assert abs((found.sent_at - sent.sent_at).total_seconds()) < 2
    await network.write(chat, "hi")
    assert await take_texts(gateway.updates(), 1) == ["hi"]


async def test_nothing_is_added_to_what_was_approved(network: TelethonNetwork, gateway: TelethonGateway) -> None:
    chat = await network.add_customer("Ana")
    await send(gateway, chat, "**see** https://example.com")

    (seen,) = [seen for seen in network.telegram.requests if seen.name == "SendMessageRequest"]
    assert (seen.request.message, seen.request.entities) == ("**see** https://example.com", None)
    assert seen.request.no_webpage


async def test_an_access_hash_that_went_stale_is_found_anew_once(
    network: TelethonNetwork, gateway: TelethonGateway
) -> None:
    ana, ben = await network.add_customer("Ana"), network.telegram.add_user("Ben")
    await network.peers.remember([ResolvedPeer(ana, 1), ResolvedPeer(ben.user_id, 1)])

    await send(gateway, ana)
    assert await network.texts_of(ana) == ["hello"]
    with pytest.raises(SendRefusedError) as caught:
        await send(gateway, ben.user_id, random_id=2)
    assert caught.value.reason == "PEER_UNRESOLVED"
    assert network.telegram.count(SendMessage) == 3


async def test_what_is_on_its_way_when_the_link_breaks_is_in_doubt(
    network: TelethonNetwork, gateway: TelethonGateway
) -> None:
    chat = await network.add_customer("Ana")
    hold = asyncio.Event()
    network.telegram.faults.meet(SendMessage, *[Fault.held(hold)] * 20)
    sending = [asyncio.ensure_future(send(gateway, chat, f"{i}", i + 1)) for i in range(20)]
    await eventually(lambda: network.telegram.count(SendMessage) == 20)
    network.telegram.cut(network.account)

    results = await asyncio.gather(*sending, return_exceptions=True)
    hold.set()

    assert {type(result) for result in results} == {SendUncertainError}


async def test_closing_lets_nobody_wait(network: TelethonNetwork, gateway: TelethonGateway) -> None:
    chat = await network.add_customer("Ana")
    hold = asyncio.Event()
    network.telegram.faults.meet(SendMessage, *[Fault.held(hold)] * 3)
    sending = [asyncio.ensure_future(send(gateway, chat, f"{i}", i + 1)) for i in range(3)]
    await eventually(lambda: network.telegram.count(SendMessage) == 3)
    async with asyncio.timeout(5):
        await gateway.close()
        results = await asyncio.gather(*sending, return_exceptions=True)
    hold.set()

    assert {type(result) for result in results} == {SendUncertainError}


async def test_a_cancelled_send_is_cancelled_and_the_link_goes_on(
    network: TelethonNetwork, gateway: TelethonGateway
) -> None:
    chat = await network.add_customer("Ana")
    hold = asyncio.Event()
    network.telegram.faults.meet(SendMessage, Fault.held(hold))
    sending = asyncio.ensure_future(send(gateway, chat))
    await eventually(lambda: network.telegram.count(SendMessage) == 1)
    sending.cancel()

    with pytest.raises(asyncio.CancelledError):
        await sending
    hold.set()
    await send(gateway, chat, "another", 2)
    assert await network.texts_of(chat) == ["hello", "another"]


async def test_typing_is_shown_at_no_cost_for_somebody_who_cannot_be_addressed(
    network: TelethonNetwork, gateway: TelethonGateway
) -> None:
    for _ in range(5):
        await gateway.set_typing(chat_id=1)

    assert network.telegram.count(SetTyping) == 0
    assert network.telegram.count(functions.messages.GetDialogsRequest) == 0
    assert network.telegram.count(functions.users.GetUsersRequest) <= 2 + 1 + 1  # those of connecting, and one


async def test_the_typing_signal_and_its_end_reach_the_customer(
    network: TelethonNetwork, gateway: TelethonGateway
) -> None:
    chat = await network.add_customer("Ana")
    await gateway.set_typing(chat_id=chat)
    await gateway.set_typing(chat_id=chat, active=False)

    assert network.desk_typing_seen(chat) == [True, False]
