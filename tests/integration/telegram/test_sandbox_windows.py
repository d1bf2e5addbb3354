"""The customers' side: chats, windows and what they are told."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from nadia.errors import InvalidInputError, NotFoundError, UnavailableError
from nadia.telegram.gateway import IncomingMessage, MessageKind
from nadia.telegram.sandbox.customer import CustomerClient
from nadia.telegram.sandbox.store import FIRST_USER_ID
from nadia.telegram.sandbox.wire import ChatEvent, Deleted, DeskTyping, Edited, Read, Written
from support.eventually import eventually
from support.gateway_contract import take
from support.sandbox_network import ACCOUNT, SandboxNetwork, sandbox_network


@pytest.fixture
async def network(folder: Path) -> AsyncIterator[SandboxNetwork]:
    async with sandbox_network(folder) as network:
        yield network


async def next_events(window: CustomerClient, count: int) -> list[ChatEvent]:
    events = window.events()
    async with asyncio.timeout(10):
        return [await anext(events) for _ in range(count)]


async def test_two_windows_of_a_customer_show_the_same_and_a_third_customers_shows_nothing(
    network: SandboxNetwork,
) -> None:
    ana, ben = await network.add_customer("Ana"), await network.add_customer("Ben")
    gateway = network.gateway()
    await gateway.connect(None)
    async with (
        CustomerClient(address=network.address) as first,
        CustomerClient(address=network.address) as second,
        CustomerClient(address=network.address) as of_ben,
    ):
        await first.watch(ana)
        await second.watch(ana)
        await of_ben.watch(ben)
        written = await first.write(account=ACCOUNT, user_id=ana, text="helo")
        await first.edit(account=ACCOUNT, user_id=ana, message_id=written.message_id, text="hello")
        await gateway.set_typing(chat_id=ana)
        sent = await gateway.send(chat_id=ana, text="hi Ana", random_id=1)
        await second.delete(account=ACCOUNT, user_id=ana, message_ids=[written.message_id])
        await of_ben.write(account=ACCOUNT, user_id=ben, text="mine")

        seen = await next_events(first, 6)
        assert await next_events(second, 6) == seen
        assert [e.message.text for e in await next_events(of_ben, 1) if isinstance(e, Written)] == ["mine"]

    message, edited, typing, answer, read, deleted = seen
    assert message == Written(message=written)
    assert isinstance(edited, Edited)
    assert edited.text == "hello"
    assert typing == DeskTyping(account=ACCOUNT, chat_id=ana, active=True)
    assert isinstance(answer, Written)
    assert (answer.message.message_id, answer.message.outgoing) == (sent.message_id, True)
    assert read == Read(account=ACCOUNT, chat_id=ana, up_to=written.message_id)
    assert deleted == Deleted(account=ACCOUNT, chat_id=ana, message_ids=(written.message_id,))


async def test_ids_ascend_over_all_chats_of_an_account_and_apart_for_each_account(network: SandboxNetwork) -> None:
    ana, ben = await network.add_customer("Ana"), await network.add_customer("Ben")
    other = network.gateway()
    other.account_id = "second"
    await other.connect(None)

    assert [await network.write(chat, "x") for chat in (ana, ben, ana)] == [1, 2, 3]
    assert (await network.customers.write(account="second", user_id=ana, text="x")).message_id == 1
    assert await network.customers.accounts() == [ACCOUNT, "second"]
    assert [u.state for u in await take(other.updates(), 1)] == [{"pts": 1}]


async def test_customers_are_listed_in_pages_and_have_ids_that_no_person_has(network: SandboxNetwork) -> None:
    created = [await network.customers.create(name=f"c{i}", username=f"user_{i}") for i in range(105)]

    first = await network.customers.customers()
    rest = await network.customers.customers(after=first[-1].user_id)

    assert first + rest == created
    assert created[0].user_id == FIRST_USER_ID


async def test_a_username_is_taken_once(network: SandboxNetwork) -> None:
    await network.customers.create(name="Ana", username="ana_maria")

    with pytest.raises(InvalidInputError, match="is taken") as caught:
        await network.customers.create(name="Not Ana", username="Ana_Maria")
    assert caught.value.field == "username"


async def test_a_bot_is_told_apart_from_people(network: SandboxNetwork) -> None:
    bot = await network.customers.create(name="Login codes", is_person=False)
    await network.write(bot.user_id, "your code is 12345")
    gateway = network.gateway()
    await gateway.connect(None)

    (update,) = await take(gateway.updates(), 1)
    assert isinstance(update.event, IncomingMessage)
    assert not update.event.peer.is_person


async def test_only_own_messages_are_edited_and_only_to_something_new(network: SandboxNetwork) -> None:
    ana = await network.add_customer("Ana")
    mine = await network.write(ana, "hi")
    theirs = await network.post_from_phone(ana, "hello")

    with pytest.raises(InvalidInputError, match="author"):
        await network.edit(ana, theirs, "never said")
    with pytest.raises(InvalidInputError, match="same as before"):
        await network.edit(ana, mine, "hi")
    assert await network.texts_of(ana) == ["hi", "hello"]


async def test_errors_name_field_and_problem_once(network: SandboxNetwork) -> None:
    ana = await network.add_customer("Ana")

    with pytest.raises(InvalidInputError) as caught:
        await network.write(ana, "x" * 4097)
    assert caught.value.message == "text: has 4097 UTF-16 units, at most 4096 are allowed"
    with pytest.raises(NotFoundError, match="no customer 5"):
        await network.write(5, "hello")


async def test_a_photo_may_come_without_words(network: SandboxNetwork) -> None:
    ana = await network.add_customer("Ana")
    await network.write(ana, "", kind=MessageKind.PHOTO)

    assert await network.texts_of(ana) == [""]


async def test_deleting_the_newest_message_moves_the_chat_back(network: SandboxNetwork) -> None:
    ana, ben = await network.add_customer("Ana"), await network.add_customer("Ben")
    kept, newest = await network.write(ana, "one"), await network.write(ana, "two")
    only = await network.write(ben, "gone soon")
    await network.delete(ana, [newest])
    await network.delete(ben, [only, only])
    gateway = network.gateway()
    await gateway.connect(None)

    assert [(d.chat_id, d.top_message_id) async for d in gateway.dialogs()] == [(ana, kept)]
    assert await network.write(ana, "three") == only + 1


async def test_a_window_ends_when_it_is_closed(network: SandboxNetwork) -> None:
    window = CustomerClient(address=network.address)
    await window.connect()
    reading = asyncio.ensure_future(next_events(window, 1))
    await asyncio.sleep(0)
    await window.close()

    with pytest.raises(UnavailableError):
        await reading
    with pytest.raises(UnavailableError):
        await window.accounts()


async def test_an_answer_marks_all_before_it_as_read_once(network: SandboxNetwork) -> None:
    ana = await network.add_customer("Ana")
    await network.write(ana, "one")
    newest = await network.write(ana, "two")
    await network.post_from_phone(ana, "hello")
    await network.post_from_phone(ana, "are you there?")

    await eventually(lambda: len([e for e in network.seen if isinstance(e, Written)]) == 4)
    reads = [e for e in network.seen if isinstance(e, Read)]
    assert [r.up_to for r in reads] == [newest]
