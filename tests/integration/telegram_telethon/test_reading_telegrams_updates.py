"""Updates of the real Telegram: nothing skipped, nothing that is not a customer's, and said when something is lost."""

import asyncio
import random
from collections.abc import AsyncIterator

import pytest
from telethon.tl import TLObject, functions, types

from nadia.telegram.errors import (
    AccountRevokedError,
    FloodWaitError,
    GatewayDisconnectedError,
    GatewayError,
    SendRefusedError,
)
from nadia.telegram.gateway import (
    Event,
    IncomingMessage,
    MessageEdited,
    MessageKind,
    MessagesDeleted,
    Peer,
    State,
    TypingStarted,
    Update,
    UpdatesLost,
)
from nadia.telegram.telethon.gateway import TelethonGateway
from nadia.telegram.telethon.translation import FindPeer, event_of
from support.gateway_contract import read_to_the_end, take, take_texts
from support.mtproto.faults import Fault
from support.servers import ClonedDatabase
from support.telethon_network import MEDIA, TelethonNetwork, telethon_network

GetDifference = functions.updates.GetDifferenceRequest


def texts(updates: list[Update]) -> list[str]:
    return [update.event.text for update in updates if isinstance(update.event, IncomingMessage)]


async def events(gateway: TelethonGateway, count: int) -> list[Event | None]:
    return [update.event for update in await take(gateway.updates(), count)]


# where reading begins


async def test_without_a_stored_position_reading_begins_now_and_says_that_the_rest_is_lost(
    network: TelethonNetwork,
) -> None:
    chat = await network.add_customer("Ana")
    await network.write(chat, "long ago")
    gateway = network.gateway()
    await gateway.connect(None)
    await network.write(chat, "now")

    lost, now = await take(gateway.updates(), 2)

    assert lost.event == UpdatesLost("no stored position")
    assert lost.state is not None
    assert texts([now]) == ["now"]
    await gateway.connect(lost.state)
    assert await take_texts(gateway.updates(), 1) == ["now"]


async def test_the_position_of_another_user_is_none(network: TelethonNetwork) -> None:
    """The account's name stayed, and somebody else was logged in under it."""
    gateway = network.gateway()
    await gateway.connect({"user_id": 99, "pts": 3, "qts": 0, "seq": 0, "date": 1_700_000_000})

    assert await events(gateway, 1) == [UpdatesLost("no stored position")]


@pytest.mark.parametrize(
    "state",
    [{"pts": 1}, {"pts": "7", "qts": 0, "seq": 0, "date": 0}, {"pts": -1, "qts": 0, "seq": 0, "date": 0}, {}],
    ids=["too little", "text", "negative", "empty"],
)
async def test_what_is_no_position_is_refused(network: TelethonNetwork, state: State) -> None:
    with pytest.raises(GatewayError, match="not one of Telegram's"):
        await network.gateway().connect(state)


@pytest.mark.parametrize("error", ["PERSISTENT_TIMESTAMP_INVALID", "PERSISTENT_TIMESTAMP_EMPTY"])
async def test_a_position_that_telegram_does_not_know_is_given_up_and_told(
    network: TelethonNetwork, error: str
) -> None:
    chat = await network.add_customer("Ana")
    beginning = await network.beginning()
    await network.write(chat, "only the history has this")
    network.telegram.faults.meet(GetDifference, Fault.error(400, error))
    gateway = network.gateway()
    await gateway.connect(beginning)
    updates = gateway.updates()

    (lost,) = await take(updates, 1)
    await network.write(chat, "after")

    assert lost.event == UpdatesLost("difference unreadable")
    assert texts(await take(updates, 1)) == ["after"]
    await gateway.connect(lost.state)
    assert await take_texts(gateway.updates(), 1) == ["after"]


# nothing skipped


async def test_edits_and_deletions_of_the_downtime_are_not_dropped(network: TelethonNetwork) -> None:
    """Telethon alone drops them: in a difference it passes over whatever carries a position."""
    chat = await network.add_customer("Ana")
    first, second = await network.write(chat, "one"), await network.write(chat, "two")
    beginning = await network.beginning()
    network.telegram.world.difference_limit = 2
    await network.edit(chat, first, "uno")
    await network.write(chat, "three")
    await network.delete(chat, [second])
    await network.post_from_phone(chat, "four")

    gateway = network.gateway()
    await gateway.connect(beginning)
    three, edit, four, deletion = await take(gateway.updates(), 4)

    assert texts([three, four]) == ["three", "four"]
    assert isinstance(edit.event, MessageEdited)
    assert (edit.event.message_id, edit.event.text) == (first, "uno")
    assert deletion.event == MessagesDeleted((second,), None)
    assert [update.state is None for update in (three, edit, four, deletion)] == [True, False, True, False]
    await gateway.connect(edit.state)
    assert [u.event for u in await take(gateway.updates(), 2)] == [four.event, deletion.event]


async def test_an_update_that_was_lost_on_its_way_is_fetched(
    network: TelethonNetwork, gateway: TelethonGateway
) -> None:
    chat = await network.add_customer("Ana")
    network.telegram.withhold(network.account)
    await network.write(chat, "one")
    await network.write(chat, "two")

    assert await take_texts(gateway.updates(), 2) == ["one", "two"]


async def test_when_telegram_only_says_that_there_is_something_it_is_fetched(
    network: TelethonNetwork, gateway: TelethonGateway
) -> None:
    chat = await network.add_customer("Ana")
    network.telegram.withhold(network.account)
    await network.write(chat, "one")
    network.telegram.say_too_long(network.account)

    assert await take_texts(gateway.updates(), 1) == ["one"]


async def test_a_flood_wait_for_what_was_missed_is_waited_for(network: TelethonNetwork) -> None:
    chat = await network.add_customer("Ana")
    beginning = await network.beginning()
    await network.write(chat, "one")
    network.telegram.faults.meet(GetDifference, Fault.flood_wait(1))
    gateway = network.gateway()
    await gateway.connect(beginning)

    assert await take_texts(gateway.updates(), 1) == ["one"]


async def test_a_flood_wait_of_hours_ends_the_reading_and_stands_in_nobody_elses_way(network: TelethonNetwork) -> None:
    chat = await network.add_customer("Ana")
    beginning = await network.beginning()
    network.telegram.faults.meet(GetDifference, Fault.flood_wait(7_200))
    gateway = network.gateway()
    await gateway.connect(beginning)

    with pytest.raises(FloodWaitError) as caught:
        await read_to_the_end(gateway.updates())
    assert caught.value.seconds == 7_200
    with pytest.raises(GatewayDisconnectedError):  # sending has no flood wait to keep
        await gateway.send(chat_id=chat, text="hello", random_id=1)


async def test_trouble_with_what_was_missed_is_waited_out_on_the_same_connection(
    network: TelethonNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Telethon alone takes it for "nothing new" until something else happens, or for fifteen minutes."""
    monkeypatch.setattr("nadia.telegram.telethon.updates._FIRST_PAUSE_SECONDS", 0.01)
    chat = await network.add_customer("Ana")
    beginning = await network.beginning()
    await network.write(chat, "one")
    network.telegram.faults.meet(GetDifference, *[Fault.internal()] * 3)
    network.telegram.requests.clear()
    gateway = network.gateway()
    await gateway.connect(beginning)

    assert await take_texts(gateway.updates(), 1) == ["one"]
    assert network.telegram.count(GetDifference) == 4
    assert network.telegram.count(functions.users.GetUsersRequest) == 1  # connected once


async def test_an_error_that_does_not_pass_ends_the_reading_instead_of_passing_over_what_was_missed(
    network: TelethonNetwork,
) -> None:
    chat = await network.add_customer("Ana")
    beginning = await network.beginning()
    await network.write(chat, "one")
    network.telegram.faults.meet(GetDifference, Fault.error(400, "SOMETHING_NEW"))
    gateway = network.gateway()
    await gateway.connect(beginning)

    with pytest.raises(GatewayError):
        await read_to_the_end(gateway.updates())
    with pytest.raises(GatewayDisconnectedError):  # a refusal of the reading is none of this message
        await gateway.send(chat_id=chat, text="hello", random_id=1)
    await gateway.connect(beginning)
    assert await take_texts(gateway.updates(), 1) == ["one"]


async def test_when_what_was_missed_is_never_answered_the_link_ends(network: TelethonNetwork) -> None:
    """Telethon alone waits for ever, and says nothing."""
    chat = await network.add_customer("Ana")
    beginning = await network.beginning()
    await network.write(chat, "hello?")
    network.telegram.faults.meet(GetDifference, Fault.unanswered())
    gateway = network.gateway(request_timeout=0.5)
    await gateway.connect(beginning)

    with pytest.raises(GatewayDisconnectedError):
        await read_to_the_end(gateway.updates())
    with pytest.raises(GatewayDisconnectedError):
        await gateway.history(chat_id=chat)
    await gateway.connect(beginning)
    assert await take_texts(gateway.updates(), 1) == ["hello?"]


async def test_an_update_that_cannot_be_read_is_told_as_lost_and_holds_up_nothing(
    network: TelethonNetwork,
    gateway: TelethonGateway,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Ending the reading for it would bring it again, with every connection."""

    def poisoned(update: TLObject, find: FindPeer) -> Event | None:
        if isinstance(event := event_of(update, find), IncomingMessage) and event.text == "my card is 4111":
            raise ValueError(event.text)
        return event

    monkeypatch.setattr("nadia.telegram.telethon.updates.event_of", poisoned)
    chat = await network.add_customer("Ana")
    updates = gateway.updates()
    await network.write(chat, "my card is 4111")
    await network.write(chat, "hello")

    lost, hello = await take(updates, 2)

    assert lost.event == UpdatesLost("an update could not be read")
    assert texts([hello]) == ["hello"]
    await gateway.connect(lost.state)
    assert await take_texts(gateway.updates(), 1) == ["hello"]
    printed = capsys.readouterr().out
    assert "ValueError" in printed
    assert "4111" not in printed


async def test_what_nobody_wants_still_moves_the_position(network: TelethonNetwork, gateway: TelethonGateway) -> None:
    """It goes with the next event; then a restart does not read it all over again."""
    ana = network.telegram.user(await network.add_customer("Ana"))
    group = network.telegram.add_group("Team", network.account, ana)
    network.telegram.write(network.account, group, "not ours", sender=ana)
    network.telegram.read(network.account, ana)
    await network.write(ana.user_id, "hello")
    (hello,) = await take(gateway.updates(), 1)
    assert hello.state is not None

    assert hello.state["pts"] == network.account.pts


async def test_the_position_moves_while_only_groups_talk(network: TelethonNetwork, gateway: TelethonGateway) -> None:
    ana = network.telegram.user(await network.add_customer("Ana"))
    group = network.telegram.add_group("Team", network.account, ana)
    updates = gateway.updates()
    await network.write(ana.user_id, "hello")
    await take(updates, 1)
    for i in range(30):
        network.telegram.write(network.account, group, str(i), sender=ana)

    reached = None
    async with asyncio.timeout(15):
        while reached is None or reached["pts"] != network.account.pts:
            update = await anext(updates)
            assert update.event is None
            reached = update.state

    await gateway.connect(reached)
    await network.write(ana.user_id, "again")
    assert await take_texts(gateway.updates(), 1) == ["again"]


async def test_own_messages_move_the_position_and_do_not_come_back(
    network: TelethonNetwork, gateway: TelethonGateway
) -> None:
    chat = await network.add_customer("Ana")
    updates = gateway.updates()
    await gateway.send(chat_id=chat, text="hello", random_id=1)
    await network.write(chat, "one")
    (one,) = await take(updates, 1)

    await gateway.connect(one.state)
    await network.write(chat, "two")

    assert texts([one]) == ["one"]
    assert await take_texts(gateway.updates(), 1) == ["two"]


@pytest.mark.parametrize("seed", range(4))
async def test_three_hundred_messages_survive_any_moment_of_going_down(network: TelethonNetwork, seed: int) -> None:
    """Each process reads some, stores the position of what it has committed, now and then, and is gone."""
    rng = random.Random(seed)
    network.telegram.world.difference_limit = rng.choice([3, 10, 100])
    customers = [network.telegram.user(await network.add_customer(f"customer {i}")) for i in range(5)]
    group = network.telegram.add_group("Team", network.account, *customers)
    stored = await network.beginning()
    committed: list[str] = []

    async def write() -> None:
        for i in range(300):
            network.telegram.write(network.account, rng.choice(customers), str(i))
            match rng.randrange(12):
                case 0:
                    network.telegram.write(network.account, group, "not ours", sender=customers[0])
                case 1:
                    network.telegram.read(network.account, customers[1])
                case 2:
                    network.telegram.type(network.account, customers[2])
                case 3:
                    network.telegram.withhold(network.account)
                case 4 | 5 | 6:
                    await asyncio.sleep(rng.random() / 50)

    async def live(updates: AsyncIterator[Update], stored: State | None) -> State | None:
        async for update in updates:
            if isinstance(update.event, IncomingMessage):
                committed.append(update.event.text)
            if update.state is not None and rng.random() < 0.7:
                stored = update.state
            if rng.random() < 0.03 or "299" in committed:
                return stored
        raise AssertionError("updates end with an error")

    writing = asyncio.create_task(write())
    processes = 0
    while "299" not in committed:
        gateway = network.gateway()
        processes += 1
        async with asyncio.timeout(20):
            await gateway.connect(stored)
            stored = await live(gateway.updates(), stored)
        if rng.random() < 0.5:
            network.telegram.cut(network.account)
        await gateway.close()
    await writing

    assert processes > 3
    assert list(dict.fromkeys(committed)) == [str(i) for i in range(300)]


# only what is a customer's


async def test_nothing_comes_through_but_private_chats_with_people(
    network: TelethonNetwork, gateway: TelethonGateway
) -> None:
    telegram, account = network.telegram, network.account
    ana = telegram.user(await network.add_customer("Ana"))
    bot = telegram.add_user("Weather", bot=True)
    group, channel = telegram.add_group("Team", account, ana), telegram.add_channel("News")
    code = telegram.write(account, telegram.telegram, "Login code: 12345")
    telegram.edit(account, code, "Login code: 54321")
    telegram.write(account, bot, "rain")
    telegram.write(account, group, "lunch?", sender=ana)
    telegram.post_in_channel(channel, "breaking")
    telegram.post_from_phone(account, account.user, "note to self")
    telegram.write(account, ana, "", action=types.MessageActionPhoneCall(call_id=1))
    telegram.type(account, bot)
    telegram.come_online(account, ana)
    telegram.write(account, ana, "hello")

    assert await take_texts(gateway.updates(), 1) == ["hello"]
    assert await gateway.history(chat_id=telegram.telegram.user_id) == []
    assert [dialog.chat_id async for dialog in gateway.dialogs()] == [ana.user_id]
    with pytest.raises(SendRefusedError):
        await gateway.history(chat_id=account.user.user_id + 10_000)


async def test_none_of_it_comes_through_after_a_downtime_either(network: TelethonNetwork) -> None:
    telegram, account = network.telegram, network.account
    ana = telegram.user(await network.add_customer("Ana"))
    beginning = await network.beginning()
    telegram.write(account, telegram.telegram, "Login code: 12345")
    telegram.write(account, telegram.add_user("Weather", bot=True), "rain")
    telegram.write(account, telegram.add_group("Team", account, ana), "lunch?", sender=ana)
    telegram.write(account, ana, "hello")
    gateway = network.gateway()
    await gateway.connect(beginning)

    assert await take_texts(gateway.updates(), 1) == ["hello"]


async def test_channels_cost_no_requests(network: TelethonNetwork, gateway: TelethonGateway) -> None:
    ana, channel = await network.add_customer("Ana"), network.telegram.add_channel("News")
    for i in range(3):
        network.telegram.post_in_channel(channel, str(i))
        channel.pts += 5  # what was missed in between would be fetched
    await network.write(ana, "hello")
    updates = gateway.updates()
    assert texts(await take(updates, 1)) == ["hello"]
    await asyncio.sleep(0.6)  # how long Telethon waits for a gap to fill by itself
    await network.write(ana, "again")

    assert texts(await take(updates, 1)) == ["again"]
    assert network.telegram.count(functions.updates.GetChannelDifferenceRequest) == 0


async def test_a_reaction_is_no_edit(network: TelethonNetwork, gateway: TelethonGateway) -> None:
    chat = await network.add_customer("Ana")
    message_id = await network.write(chat, "thanks")
    network.telegram.react(network.account, message_id)
    await network.edit(chat, message_id, "thank you")

    _, edit = await events(gateway, 2)

    assert isinstance(edit, MessageEdited)
    assert edit.text == "thank you"


async def test_an_edit_brings_what_the_message_carries_now(network: TelethonNetwork, gateway: TelethonGateway) -> None:
    chat = await network.add_customer("Ana")
    message_id = await network.write(chat, "see this")
    network.telegram.edit(network.account, message_id, "see this", media=MEDIA[MessageKind.PHOTO]())

    _, edit = await events(gateway, 2)

    assert isinstance(edit, MessageEdited)
    (there,) = await gateway.history(chat_id=chat)
    assert there.kind is MessageKind.PHOTO
    assert (edit.text, edit.kind, edit.media) == ("see this", there.kind, there.media)


# who it is


async def test_the_name_is_known_also_when_telegram_does_not_tell_it(network: TelethonNetwork) -> None:
    """The short form of an update names nobody; a process that has just begun knows nobody either."""
    ana = network.telegram.add_user("Ana", last_name="Alvarez", username="ana_a")
    network.telegram.world.short_updates = True
    gateway = network.gateway()
    await gateway.connect(await network.beginning())
    updates = gateway.updates()
    network.telegram.write(network.account, ana, "one")
    network.telegram.write(network.account, ana, "two")

    one, two = await take(updates, 2)

    assert isinstance(one.event, IncomingMessage)
    assert one.event.peer == Peer(ana.user_id, "Ana Alvarez", "ana_a")
    assert isinstance(two.event, IncomingMessage)
    assert two.event.peer == one.event.peer
    assert network.telegram.count(GetDifference) == 3 + 1  # two for the beginning, one to catch up


async def test_a_name_that_telegram_does_not_tell_is_left_open(network: TelethonNetwork) -> None:
    ana = network.telegram.add_user("Ana")
    network.telegram.world.short_updates = True
    gateway = network.gateway()
    await gateway.connect(await network.beginning())
    updates = gateway.updates()
    waiting = asyncio.ensure_future(take(updates, 1))
    await asyncio.sleep(0.1)
    network.telegram.faults.meet(GetDifference, Fault.error(400, "INPUT_METHOD_INVALID"))
    network.telegram.write(network.account, ana, "one")

    (one,) = await waiting

    assert isinstance(one.event, IncomingMessage)
    assert one.event.peer == Peer(ana.user_id, "")


async def test_who_wrote_can_be_answered_by_the_next_process(network: TelethonNetwork) -> None:
    ana = network.telegram.add_user("Ana")  # in no address book
    gateway = network.gateway()
    await gateway.connect(await network.beginning())
    network.telegram.write(network.account, ana, "hello")
    await take(gateway.updates(), 1)
    await gateway.close()
    network.begin_anew()
    network.telegram.requests.clear()

    gateway = network.gateway()
    await gateway.connect(await network.beginning())
    await gateway.send(chat_id=ana.user_id, text="hi", random_id=1)

    assert await network.texts_of(ana.user_id) == ["hello", "hi"]
    assert network.telegram.count(functions.messages.GetDialogsRequest) == 0


# bots


async def test_a_bot_reads_and_answers_in_the_same_way(database: ClonedDatabase) -> None:
    async with telethon_network(database.app_dsn, bot=True) as network:
        ana = network.telegram.add_user("Ana")
        gateway = network.gateway()
        await gateway.connect(await network.beginning())
        updates = gateway.updates()
        network.telegram.write(network.account, ana, "/start")
        network.telegram.type(network.account, ana)

        start, typing = await take(updates, 2)
        await gateway.send(chat_id=ana.user_id, text="hi", random_id=1)

        assert texts([start]) == ["/start"]
        assert typing.event == TypingStarted(ana.user_id, ana.user_id)
        assert await network.texts_of(ana.user_id) == ["/start", "hi"]


# the end of a session


@pytest.mark.parametrize(
    ("code", "error"),
    [
        (401, "AUTH_KEY_UNREGISTERED"),
        (401, "SESSION_REVOKED"),
        (401, "SESSION_EXPIRED"),
        (401, "USER_DEACTIVATED"),
        (401, "USER_DEACTIVATED_BAN"),
        (406, "AUTH_KEY_DUPLICATED"),
    ],
)
async def test_the_reason_of_a_revocation_is_told(
    network: TelethonNetwork, gateway: TelethonGateway, code: int, error: str
) -> None:
    reading = asyncio.ensure_future(read_to_the_end(gateway.updates()))
    await asyncio.sleep(0)
    network.telegram.revoke(network.account, code=code, error=error)

    with pytest.raises(AccountRevokedError) as caught:
        await reading
    assert caught.value.reason == error
    with pytest.raises(AccountRevokedError):
        await gateway.connect(None)


async def test_a_key_that_telegram_forgot_is_a_revoked_session(
    network: TelethonNetwork, gateway: TelethonGateway
) -> None:
    network.telegram.forget_key(network.material.auth_key)

    with pytest.raises(GatewayError):
        await read_to_the_end(gateway.updates())
    with pytest.raises(AccountRevokedError) as caught:
        await gateway.connect(None)
    assert caught.value.reason == "AUTH_KEY_NOT_FOUND"
