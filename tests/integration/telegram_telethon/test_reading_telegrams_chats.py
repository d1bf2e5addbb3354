"""Reading the real Telegram's chats and their list."""

from datetime import UTC, datetime, timedelta

import pytest
from telethon.tl import functions, types

from nadia.telegram import entities
from nadia.telegram.entities import PeerUnresolvedError, ResolvedPeer
from nadia.telegram.errors import FloodWaitError, HistoryUnavailableError, SendRefusedError, TelegramTroubleError
from nadia.telegram.gateway import IncomingMessage, MessageKind
from nadia.telegram.limiter import REQUESTS_PER_SECOND
from nadia.telegram.telethon.gateway import TelethonGateway
from support.mtproto.faults import Fault
from support.servers import ClonedDatabase
from support.telethon_network import TelethonNetwork, telethon_network

GetHistory = functions.messages.GetHistoryRequest
GetDialogs = functions.messages.GetDialogsRequest
GetUsers = functions.users.GetUsersRequest


async def forwards(gateway: TelethonGateway, chat_id: int, *, limit: int = 100) -> list[IncomingMessage]:
    found: list[IncomingMessage] = []
    while page := await gateway.history(chat_id=chat_id, after_id=found[-1].message_id if found else 0, limit=limit):
        found += page
    return found


async def test_notices_of_calls_are_no_end_of_a_chat(network: TelethonNetwork, gateway: TelethonGateway) -> None:
    """A page of nothing else would be empty, and an empty page is the end."""
    ana = network.telegram.user(await network.add_customer("Ana"))
    await network.write(ana.user_id, "first")
    for _ in range(25):
        network.telegram.write(network.account, ana, "", action=types.MessageActionPhoneCall(call_id=1))
    await network.write(ana.user_id, "last")

    read = await forwards(gateway, ana.user_id, limit=10)
    newest = await gateway.history(chat_id=ana.user_id, limit=10)
    older = await gateway.history(chat_id=ana.user_id, before_id=newest[0].message_id, limit=10)

    assert [message.text for message in read] == ["first", "last"]
    assert [message.text for message in newest + older] == ["last", "first"]


async def test_a_window_with_nothing_in_it_is_empty_and_costs_nothing(
    network: TelethonNetwork, gateway: TelethonGateway
) -> None:
    chat = await network.add_customer("Ana")
    first, second = await network.write(chat, "one"), await network.write(chat, "two")

    assert await gateway.history(chat_id=chat, before_id=1) == []
    assert await gateway.history(chat_id=chat, before_id=0) == []
    assert await gateway.history(chat_id=chat, after_id=first, before_id=second) == []
    assert await gateway.history(chat_id=chat, after_id=second, before_id=first) == []
    assert network.telegram.count(GetHistory) == 0
    assert await gateway.history(chat_id=chat, after_id=second) == []
    assert await gateway.history(chat_id=chat, before_id=first) == []


async def test_a_history_tells_media_answers_and_whose_words_they_are(
    network: TelethonNetwork, gateway: TelethonGateway
) -> None:
    chat = await network.add_customer("Ana")
    photo = await network.write(chat, "look", kind=MessageKind.PHOTO)
    reply = network.telegram.post_from_phone(network.account, network.telegram.user(chat), "nice", reply_to=photo)

    first, second = await gateway.history(chat_id=chat)

    assert (first.message_id, first.kind, first.text, first.outgoing) == (photo, MessageKind.PHOTO, "look", False)
    assert first.media is not None
    assert first.media.reference.startswith("photo:")
    assert (second.message_id, second.reply_to, second.outgoing, second.peer) == (reply, photo, True, first.peer)


async def test_pinned_chats_come_when_it_is_their_turn(network: TelethonNetwork, gateway: TelethonGateway) -> None:
    """Telegram puts them first; whoever looks for what is new would take an old one for the end."""
    chats = [await network.add_customer(f"customer {i}") for i in range(230)]
    for chat in chats:
        await network.write(chat, "hi")
    for place in (5, 120, 229):
        network.telegram.pin(network.account, network.telegram.user(chats[place]))

    walked = [dialog.chat_id async for dialog in gateway.dialogs()]

    assert walked == chats[::-1]
    assert network.telegram.count(GetDialogs) == 3


async def test_the_walk_passes_whatever_is_no_chat_with_a_person(
    network: TelethonNetwork, gateway: TelethonGateway
) -> None:
    telegram, account = network.telegram, network.account
    ana = telegram.user(await network.add_customer("Ana"))
    await network.write(ana.user_id, "hi")
    for i in range(120):
        telegram.write(account, telegram.add_user(f"bot {i}", bot=True), "rain")
    telegram.write(account, telegram.add_group("Team", account, ana), "lunch?", sender=ana)
    telegram.post_in_channel(telegram.add_channel("News"), "breaking")
    telegram.write(account, telegram.telegram, "Login code: 12345")

    assert [dialog.chat_id async for dialog in gateway.dialogs()] == [ana.user_id]


async def test_chats_whose_newest_messages_came_in_the_same_second_are_all_there(
    network: TelethonNetwork, gateway: TelethonGateway
) -> None:
    moment = datetime.now(UTC) - timedelta(hours=1)
    chats = [await network.add_customer(f"customer {i}") for i in range(250)]
    for chat in chats:
        network.telegram.write(network.account, network.telegram.user(chat), "hi", sent_at=moment)

    assert [dialog.chat_id async for dialog in gateway.dialogs()] == chats[::-1]


async def test_an_account_without_chats_has_none(gateway: TelethonGateway) -> None:
    assert [dialog async for dialog in gateway.dialogs()] == []
    assert [peer async for peer in gateway.peers()] == []


async def test_a_flood_wait_is_the_callers_to_wait_for(network: TelethonNetwork, gateway: TelethonGateway) -> None:
    chat = await network.add_customer("Ana")
    await network.write(chat, "hi")
    network.telegram.faults.meet(GetHistory, Fault.flood_wait(21))
    network.telegram.faults.meet(GetDialogs, Fault.flood_wait(86_400))

    with pytest.raises(FloodWaitError) as history:
        await gateway.history(chat_id=chat)
    assert [m.text for m in await gateway.history(chat_id=chat)] == ["hi"]
    with pytest.raises(FloodWaitError) as dialogs:
        await anext(gateway.dialogs())

    assert (history.value.seconds, dialogs.value.seconds) == (21, 86_400)


@pytest.mark.parametrize("walk", ["dialogs", "peers"])
async def test_a_walk_through_the_chats_goes_on_where_a_flood_wait_stopped_it(
    network: TelethonNetwork, gateway: TelethonGateway, walk: str
) -> None:
    """Begun again from the top, it might never get beyond what Telegram allows at once."""
    chats = [await network.add_customer(f"customer {i}") for i in range(250)]
    for chat in chats:
        await network.write(chat, "hi")
    begun = network.clock.now
    walking = getattr(gateway, walk)()
    first = await anext(walking)
    network.telegram.faults.meet(GetDialogs, Fault.flood_wait(25))
    found = [first] + [each async for each in walking]

    assert [each.chat_id if walk == "dialogs" else each.user_id for each in found] == chats[::-1]
    assert network.telegram.count(GetDialogs) == 4
    assert 25 <= network.clock.now - begun < 26


async def test_each_request_that_reads_takes_a_turn_and_sending_takes_none(
    network: TelethonNetwork, gateway: TelethonGateway
) -> None:
    """One answer may hold few chats with people, or nothing but notices: what was found tells no number of requests."""
    telegram, account = network.telegram, network.account
    ana = telegram.user(await network.add_customer("Ana"))
    for i in range(120):
        telegram.write(account, telegram.add_user(f"bot {i}", bot=True), "rain")
    await network.write(ana.user_id, "first")
    for _ in range(25):
        telegram.write(account, ana, "", action=types.MessageActionPhoneCall(call_id=1))
    await network.write(ana.user_id, "last")

    def read() -> int:
        return telegram.count(GetHistory) + telegram.count(GetDialogs)

    begun = network.clock.now
    await forwards(gateway, ana.user_id, limit=10)
    assert [dialog.chat_id async for dialog in gateway.dialogs()] == [ana.user_id]
    assert [peer.user_id async for peer in gateway.peers()] == [ana.user_id]
    assert read() >= 8
    assert network.clock.now - begun == pytest.approx((read() - 1) / REQUESTS_PER_SECOND)

    telegram.faults.meet(GetHistory, Fault.flood_wait(30))
    with pytest.raises(FloodWaitError):
        await gateway.history(chat_id=ana.user_id)
    before = network.clock.now
    await gateway.send(chat_id=ana.user_id, text="hi", random_id=1)
    assert network.clock.now == before, "a pause in reading is none in sending"
    await gateway.history(chat_id=ana.user_id)
    assert network.clock.now >= before + 30


async def test_a_day_long_pause_in_listing_chats_parks_one_reply_and_stops_no_other(
    network: TelethonNetwork, gateway: TelethonGateway
) -> None:
    """A flood wait that comes from sending would hold the whole account."""
    stranger = network.telegram.add_user("Ben")
    network.telegram.faults.meet(GetDialogs, Fault.flood_wait(86_400))

    with pytest.raises(PeerUnresolvedError):
        await gateway.send(chat_id=stranger.user_id, text="hi", random_id=1)
    ana = await network.add_customer("Ana")
    await gateway.send(chat_id=ana, text="hi", random_id=2)
    assert network.telegram.count(GetDialogs) == 1


async def test_a_scan_of_all_chats_displaces_nobody_whom_the_desk_talks_to(
    network: TelethonNetwork, gateway: TelethonGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(entities, "MEMORY_SIZE", 20)
    active = [ResolvedPeer(user_id, 1) for user_id in range(1, 16)]
    await network.peers.remember(active)
    chats = [await network.add_customer(f"customer {i}") for i in range(120)]
    for chat in chats:
        await network.write(chat, "hi")

    assert len([dialog async for dialog in gateway.dialogs()]) == 120

    held = set(network.peers._memory)
    assert held == {peer.user_id for peer in active} | set(chats[-5:])
    network.begin_anew()
    assert await network.peers.ensure_entity_resolved(chats[0]), "all the others are on record"


async def test_a_question_that_telegram_had_trouble_with_is_put_again(
    network: TelethonNetwork, gateway: TelethonGateway
) -> None:
    ana = await network.add_customer("Ana")
    network.telegram.faults.meet(GetUsers, *[Fault.internal()] * 3)

    await gateway.send(chat_id=ana, text="hi", random_id=1)

    assert await network.texts_of(ana) == ["hi"]
    assert network.clock.slept == [0.5, 1.0, 2.0]


async def test_trouble_that_lasts_is_told_and_no_miss(network: TelethonNetwork, gateway: TelethonGateway) -> None:
    ana = await network.add_customer("Ana")
    network.telegram.faults.meet(GetUsers, *[Fault.internal()] * 4)

    with pytest.raises(TelegramTroubleError):
        await network.peers.ensure_entity_resolved(ana)
    assert await network.peers.ensure_entity_resolved(ana)


async def test_who_is_in_the_list_of_chats_can_be_written_to(network: TelethonNetwork) -> None:
    """The first process of a new machine knows nobody; the list of chats tells."""
    ana = network.telegram.add_user("Ana")
    network.telegram.write(network.account, ana, "long ago")
    gateway = network.gateway()
    await gateway.connect(await network.beginning())

    await gateway.send(chat_id=ana.user_id, text="hi", random_id=1)

    assert await network.texts_of(ana.user_id) == ["long ago", "hi"]
    assert network.telegram.count(GetDialogs) == 1


async def test_a_question_about_somebody_unknown_has_an_answer(
    network: TelethonNetwork, gateway: TelethonGateway
) -> None:
    ana, ben = await network.add_customer("Ana"), network.telegram.add_user("Ben")

    assert await gateway.fetch(ana) == network.telegram.world.access_hash(network.account, network.telegram.user(ana))
    assert await gateway.fetch(ben.user_id) is None
    network.telegram.faults.meet(functions.users.GetUsersRequest, Fault.error(400, "USER_ID_INVALID"))
    assert await gateway.fetch(ana) is None
    network.telegram.faults.meet(functions.users.GetUsersRequest, Fault.error(400, "CONNECTION_API_ID_INVALID"))
    with pytest.raises(SendRefusedError):
        await gateway.fetch(ana)


async def test_bots_are_told_that_they_may_not_read_back(database: ClonedDatabase) -> None:
    async with telethon_network(database.app_dsn, bot=True) as network:
        gateway = network.gateway()
        await gateway.connect(None)

        with pytest.raises(HistoryUnavailableError):
            await gateway.history(chat_id=1)
        with pytest.raises(HistoryUnavailableError):
            await anext(gateway.dialogs())
        with pytest.raises(HistoryUnavailableError):
            await anext(gateway.peers())
