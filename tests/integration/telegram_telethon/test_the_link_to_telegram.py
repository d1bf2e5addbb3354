"""A connection to the real Telegram leaves nothing behind when it ends, and nothing in the log while it lasts."""

import asyncio
import gc
import logging
import traceback
from collections.abc import AsyncIterator
from typing import Any

import pytest
from telethon.tl import functions

from nadia.errors import ConfigurationError, NadiaError
from nadia.telegram.errors import (
    AccountRevokedError,
    GatewayDisconnectedError,
    GatewayError,
    SendUncertainError,
    TelegramTroubleError,
)
from nadia.telegram.session_material import DataCentre, SessionMaterial
from nadia.telegram.telethon.gateway import TelethonGateway
from nadia.telegram.telethon.link import Link
from nadia.telegram.telethon.people import People
from nadia.telegram.telethon.updates import Feed
from support.eventually import eventually
from support.gateway_contract import read_to_the_end, take
from support.mtproto.faults import Fault
from support.telethon_network import TelethonNetwork

GetUsers = functions.users.GetUsersRequest
SendMessage = functions.messages.SendMessageRequest


@pytest.fixture
async def nothing_left(network: TelethonNetwork) -> AsyncIterator[None]:
    """Fails the test if a task is left over, or an error that nobody looked at."""
    loop = asyncio.get_running_loop()
    problems: list[dict[str, Any]] = []
    before = asyncio.all_tasks()
    loop.set_exception_handler(lambda _, context: problems.append(context))
    try:
        yield
        await network.close_gateways()
        await network.telegram.refuse()
        gc.collect()
        await asyncio.sleep(0)
    finally:
        loop.set_exception_handler(None)
    assert asyncio.all_tasks() - before - {asyncio.current_task()} == set()
    assert problems == []


@pytest.mark.usefixtures("nothing_left")
class TestNothingIsLeftBehind:
    async def test_by_a_connection_that_was_used_and_closed(self, network: TelethonNetwork) -> None:
        chat = await network.add_customer("Ana")
        gateway = network.gateway()
        await gateway.connect(None)
        await network.write(chat, "hello")
        await take(gateway.updates(), 2)
        await gateway.send(chat_id=chat, text="hi", random_id=1)
        await gateway.close()
        await gateway.close()

    async def test_when_nobody_is_there(self, network: TelethonNetwork) -> None:
        await network.telegram.refuse()

        with pytest.raises(GatewayDisconnectedError):
            await network.gateway().connect(None)
        await network.telegram.accept()

    @pytest.mark.parametrize(
        "method",
        [
            functions.help.GetConfigRequest,
            GetUsers,
            functions.updates.GetStateRequest,
            functions.updates.GetDifferenceRequest,
        ],
        ids=lambda method: str(method.__name__),
    )
    @pytest.mark.parametrize(
        "fault", [Fault.cut_before(), Fault.internal(), Fault.unanswered()], ids=["cut", "refused", "silent"]
    )
    async def test_when_connecting_fails_halfway(self, network: TelethonNetwork, method: type, fault: Fault) -> None:
        network.telegram.faults.meet(method, fault)
        gateway = network.gateway(request_timeout=0.5)

        with pytest.raises((GatewayDisconnectedError, TelegramTroubleError)):
            await gateway.connect(None)
        with pytest.raises(GatewayDisconnectedError):
            await gateway.history(chat_id=1)

    async def test_when_connecting_is_cancelled(self, network: TelethonNetwork) -> None:
        hold = asyncio.Event()
        network.telegram.faults.meet(GetUsers, Fault.held(hold))
        connecting = asyncio.ensure_future(network.gateway().connect(None))
        await eventually(lambda: network.telegram.count(GetUsers) == 1)
        connecting.cancel()

        with pytest.raises(asyncio.CancelledError):
            await connecting
        hold.set()

    async def test_when_the_link_breaks_with_everybody_waiting(self, network: TelethonNetwork) -> None:
        chat = await network.add_customer("Ana")
        gateway = network.gateway()
        await gateway.connect(None)
        reading = asyncio.ensure_future(read_to_the_end(gateway.updates()))
        hold = asyncio.Event()
        network.telegram.faults.meet(SendMessage, Fault.held(hold))
        sending = asyncio.ensure_future(gateway.send(chat_id=chat, text="hi", random_id=1))
        await eventually(lambda: network.telegram.count(SendMessage) == 1)
        network.telegram.cut()
        hold.set()

        with pytest.raises(SendUncertainError):
            await sending
        with pytest.raises(GatewayDisconnectedError):
            await reading

    async def test_when_the_first_who_hears_of_it_cancels_the_others(self, network: TelethonNetwork) -> None:
        """As in a bot, where listening and delivery end together."""
        chat = await network.add_customer("Ana")
        gateway = network.gateway()
        await gateway.connect(None)
        hold = asyncio.Event()
        network.telegram.faults.meet(SendMessage, *[Fault.held(hold)] * 20)

        async def serve() -> None:
            async with asyncio.TaskGroup() as group:
                group.create_task(read_to_the_end(gateway.updates()))
                for i in range(20):
                    group.create_task(gateway.send(chat_id=chat, text="hi", random_id=i + 1))

        serving = asyncio.ensure_future(serve())
        await eventually(lambda: network.telegram.count(SendMessage) == 20)
        network.telegram.cut()
        with pytest.raises(ExceptionGroup):
            await serving
        hold.set()

    async def test_when_an_error_comes_as_its_asker_is_cancelled(self) -> None:
        async def fail(_: object) -> None:
            raise ConnectionResetError

        client: Any = fail
        asking = asyncio.ensure_future(Link(client=client, feed=Feed(), people=People(own_id=1), timeout=5).ask(None))
        await asyncio.sleep(0)  # asks
        await asyncio.sleep(0)  # has its answer, and nobody has looked
        asking.cancel()

        with pytest.raises(asyncio.CancelledError):
            await asking

    async def test_when_pings_are_no_longer_answered(self, network: TelethonNetwork) -> None:
        """Telethon then cancels whoever waits for an answer; for them it is a lost link, not a cancellation."""
        chat = await network.add_customer("Ana")
        gateway = network.gateway()
        await gateway.connect(None)
        reading = asyncio.ensure_future(read_to_the_end(gateway.updates()))
        hold = asyncio.Event()
        network.telegram.faults.meet(SendMessage, Fault.held(hold))
        sending = asyncio.ensure_future(gateway.send(chat_id=chat, text="hi", random_id=1))
        await eventually(lambda: network.telegram.count(SendMessage) == 1)
        link = gateway._link
        assert link is not None
        link._client._sender._ping = 1  # the one that got no answer
        link._client._sender._keepalive_ping(2)

        with pytest.raises(SendUncertainError):
            await sending
        with pytest.raises(GatewayDisconnectedError):
            await reading
        hold.set()

    async def test_when_the_reader_is_cancelled_and_the_gateway_closed(self, network: TelethonNetwork) -> None:
        chat = await network.add_customer("Ana")
        gateway = network.gateway()
        await gateway.connect(None)
        for i in range(50):
            await network.write(chat, str(i))
        reading = asyncio.ensure_future(take(gateway.updates(), 100))
        await eventually(lambda: network.telegram.connections_of(network.account) == 1)
        reading.cancel()

        with pytest.raises(asyncio.CancelledError):
            await reading

    async def test_when_a_session_is_taken_away(self, network: TelethonNetwork) -> None:
        gateway = network.gateway()
        await gateway.connect(None)
        reading = asyncio.ensure_future(read_to_the_end(gateway.updates()))
        await asyncio.sleep(0)
        await network.revoke()

        with pytest.raises(AccountRevokedError):
            await reading


async def test_a_failure_of_our_own_ends_the_reading_and_does_not_tell_what_customers_wrote(
    network: TelethonNetwork,
    gateway: TelethonGateway,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Passing over what was read would lose it."""

    async def broken(*_: object) -> None:
        raise ZeroDivisionError("my card is 4111")

    monkeypatch.setattr(network.peers, "remember", broken)
    chat = await network.add_customer("Ana")
    await network.write(chat, "hello")

    with pytest.raises(GatewayError, match="ZeroDivisionError") as caught:
        await read_to_the_end(gateway.updates())
    assert "4111" not in "".join(traceback.format_exception(caught.value)) + capsys.readouterr().out
    with pytest.raises(GatewayDisconnectedError):
        await gateway.send(chat_id=chat, text="hi", random_id=1)


async def test_nothing_that_customers_write_nor_any_secret_is_logged(
    network: TelethonNetwork, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    logging.getLogger("telethon").setLevel(logging.DEBUG)
    ana = network.telegram.add_user("Ana Wintergreen", phone="15550007777")
    network.telegram.add_contact(network.account, ana)
    gateway = network.gateway()
    await gateway.connect(None)
    updates = gateway.updates()
    first = network.telegram.write(network.account, ana, "my secret wish")
    network.telegram.edit(network.account, first, "my secret wish, again")
    await take(updates, 3)
    await gateway.send(chat_id=ana.user_id, text="a secret answer", random_id=1)
    network.telegram.faults.meet(SendMessage, Fault.internal(), Fault.error(400, "SOMETHING_NEW"), Fault.cut_before())
    for random_id in (2, 3, 4):
        with pytest.raises(NadiaError):
            await gateway.send(chat_id=ana.user_id, text="a secret answer", random_id=random_id)
    await gateway.close()

    printed = capsys.readouterr()
    everything = caplog.text + printed.out + printed.err + repr(network.material) + repr(network.peers)
    for secret in ("secret", "Wintergreen", "15550007777", network.telegram.api_hash, str(network.material.auth_key)):
        assert secret not in everything
    assert "telegram.gateway.connected" in everything


@pytest.mark.parametrize(
    ("key", "problem"), [("nonsense", "cannot be read"), ("", "cannot be read")], ids=["nonsense", "empty"]
)
async def test_a_public_key_that_is_none_is_told(network: TelethonNetwork, key: str, problem: str) -> None:
    telegram = network.telegram
    gateway = TelethonGateway(
        account_id="desk",
        session=network.material,
        api=network.api,
        data_centre=DataCentre(telegram.dc_id, telegram.host, telegram.port, key),
        peers=network.peers,
        limiter=network.limiter,
    )

    with pytest.raises(ConfigurationError, match=problem):
        await gateway.connect(None)


async def test_without_a_data_centre_of_its_own_it_goes_where_the_account_was_logged_in(
    network: TelethonNetwork,
) -> None:
    gateway = TelethonGateway(
        account_id="desk",
        session=network.material,
        api=network.api,
        data_centre=None,
        peers=network.peers,
        limiter=network.limiter,
    )
    await gateway.connect(None)
    assert network.telegram.connections_of(network.account) == 1
    await gateway.close()


def test_a_session_does_not_show_its_key() -> None:
    material = SessionMaterial(dc_id=2, host="h", port=1, auth_key=b"\x01" * 256, user_id=7, is_bot=False)

    assert "x01" not in repr(material)
