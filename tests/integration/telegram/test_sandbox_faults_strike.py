"""Faults on a live sandbox, and that a careful sender and a careful reader come through them."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from nadia.telegram.errors import (
    AccountRevokedError,
    FloodWaitError,
    GatewayDisconnectedError,
    RandomIdDuplicateError,
    SendUncertainError,
)
from nadia.telegram.gateway import IncomingMessage, State, UpdatesLost
from nadia.telegram.sandbox.faults import FaultKind, FaultPlan
from nadia.telegram.sandbox.gateway import SandboxGateway
from support.gateway_contract import read_to_the_end, take, take_texts
from support.sandbox_network import SandboxNetwork, sandbox_network


@pytest.fixture
async def network(folder: Path) -> AsyncIterator[SandboxNetwork]:
    async with sandbox_network(folder) as network:
        yield network


async def connect(gateway: SandboxGateway, state: State | None) -> None:
    async with asyncio.timeout(15):
        while True:
            try:
                return await gateway.connect(state)
            except GatewayDisconnectedError:
                continue


async def send_through_faults(gateway: SandboxGateway, chat_id: int, text: str, random_id: int) -> None:
    while True:
        try:
            await gateway.send(chat_id=chat_id, text=text, random_id=random_id)
        except (GatewayDisconnectedError, SendUncertainError):
            await connect(gateway, None)
        except FloodWaitError:
            continue
        except RandomIdDuplicateError:
            return
        else:
            return


async def test_under_random_faults_each_reply_is_stored_once_and_in_order(network: SandboxNetwork) -> None:
    chat = await network.add_customer("Ana")
    gateway = network.gateway()
    await gateway.connect(None)
    plan = FaultPlan(seed=11, refuse_connection=0.3, disconnect=0.15, drop_answer=0.15, flood_wait=0.15)
    await network.control.follow(plan)
    for i in range(200):
        await send_through_faults(gateway, chat, f"{i}", i + 1)
    await network.control.follow(FaultPlan())

    assert await network.texts_of(chat) == [f"{i}" for i in range(200)]


async def test_under_random_faults_a_reader_that_resumes_misses_nothing(network: SandboxNetwork) -> None:
    chat = await network.add_customer("Ana")
    await network.control.follow(FaultPlan(seed=12, refuse_connection=0.3, disconnect=0.3, duplicate_update=0.3))
    gateway = network.gateway()
    state: State | None = None
    seen: list[str] = []
    deliveries = 0

    async def write() -> None:
        for i in range(300):
            await network.write(chat, f"{i}")

    writing = asyncio.create_task(write())
    async with asyncio.timeout(30):
        while len(seen) < 300:
            await connect(gateway, state)
            try:
                async for update in gateway.updates():
                    assert isinstance(update.event, IncomingMessage)
                    deliveries += 1
                    state = update.state
                    if update.event.text not in seen:
                        seen.append(update.event.text)
                    if len(seen) == 300:
                        break
            except GatewayDisconnectedError:
                continue
    await writing

    assert seen == [f"{i}" for i in range(300)]
    assert deliveries > 300  # the duplicates were really delivered


async def test_a_late_answer_is_uncertain_though_the_message_went_out(network: SandboxNetwork) -> None:
    chat = await network.add_customer("Ana")
    gateway = network.gateway(request_timeout=0.2)
    await gateway.connect(None)
    await network.control.force(FaultKind.SLOW_ANSWER, seconds=60)

    with pytest.raises(SendUncertainError):
        await gateway.send(chat_id=chat, text="hello", random_id=4)
    await gateway.connect(None)
    with pytest.raises(RandomIdDuplicateError):
        await gateway.send(chat_id=chat, text="hello", random_id=4)
    assert await network.texts_of(chat) == ["hello"]


async def test_a_refused_connection_can_be_tried_again(network: SandboxNetwork) -> None:
    gateway = network.gateway()
    await network.control.force(FaultKind.REFUSE_CONNECTION, times=2)

    for _ in range(2):
        with pytest.raises(GatewayDisconnectedError):
            await gateway.connect(None)
    await gateway.connect(None)


async def test_a_flood_wait_on_typing_leaves_sending_alone(network: SandboxNetwork) -> None:
    chat = await network.add_customer("Ana")
    gateway = network.gateway()
    await gateway.connect(None)
    await network.control.force(FaultKind.FLOOD_WAIT, method="account.typing", seconds=3)

    await gateway.send(chat_id=chat, text="hello", random_id=4)
    with pytest.raises(FloodWaitError) as caught:
        await gateway.set_typing(chat_id=chat)
    assert caught.value.seconds == 3


async def test_one_forced_duplicate_is_delivered_twice_with_the_same_state(network: SandboxNetwork) -> None:
    chat = await network.add_customer("Ana")
    await network.control.force(FaultKind.DUPLICATE_UPDATE)
    await network.write(chat, "one")
    await network.write(chat, "two")
    gateway = network.gateway()
    await gateway.connect(None)

    updates = await take(gateway.updates(), 3)

    assert updates[0] == updates[1]
    assert [u.state for u in updates] == [{"pts": 1}, {"pts": 1}, {"pts": 2}]


async def test_a_second_connection_takes_the_account_and_the_first_learns_why(network: SandboxNetwork) -> None:
    chat = await network.add_customer("Ana")
    first, second = network.gateway(), network.gateway()
    await first.connect(None)
    reading = asyncio.ensure_future(read_to_the_end(first.updates()))
    await asyncio.sleep(0)
    await second.connect(None)

    with pytest.raises(AccountRevokedError) as caught:
        await reading
    assert caught.value.reason == "AUTH_KEY_DUPLICATED"
    with pytest.raises(AccountRevokedError):
        await first.send(chat_id=chat, text="from the first", random_id=1)
    await network.write(chat, "hi")
    assert await take_texts(second.updates(), 1) == ["hi"]
    assert (await network.control.statistics()).sessions_displaced == 1


async def test_reconnecting_displaces_nobody(network: SandboxNetwork) -> None:
    gateway = network.gateway()
    for _ in range(5):
        await gateway.connect(None)
    await network.cut()
    await gateway.connect(None)

    assert (await network.control.statistics()).sessions_displaced == 0


async def test_forgotten_updates_are_told_as_lost_and_reading_goes_on_after_them(network: SandboxNetwork) -> None:
    chat = await network.add_customer("Ana")
    await network.write(chat, "forgotten")
    await network.control.forget_updates("sandbox")
    await network.write(chat, "told")
    gateway = network.gateway()
    await gateway.connect(None)

    lost, told = await take(gateway.updates(), 2)

    assert isinstance(lost.event, UpdatesLost)
    assert isinstance(told.event, IncomingMessage)
    assert told.event.text == "told"
    assert [message.text for message in await gateway.history(chat_id=chat)] == ["forgotten", "told"]
    await gateway.connect(lost.state)
    assert await take_texts(gateway.updates(), 1) == ["told"]
