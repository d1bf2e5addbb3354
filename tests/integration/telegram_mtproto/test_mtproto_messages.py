"""Sending and reading back, as clients rely on it."""

import pytest
from telethon import errors
from telethon.tl import functions, types

from support.mtproto import media
from support.mtproto.clients import Connect, ask
from support.mtproto.server import TelegramTestServer
from support.mtproto.world import Account, User


def peer(telegram: TelegramTestServer, account: Account, user: User) -> types.InputPeerUser:
    return types.InputPeerUser(user.user_id, telegram.world.access_hash(account, user))


def send(to: types.InputPeerUser, text: str, random_id: int = 7) -> functions.messages.SendMessageRequest:
    return functions.messages.SendMessageRequest(to, text, random_id=random_id)


@pytest.mark.parametrize(
    ("code", "error"), [(500, errors.RandomIdDuplicateError), (400, errors.RandomIdDuplicateError)]
)
async def test_the_same_random_id_twice_is_one_message(
    telegram: TelegramTestServer, desk: Account, ana: User, connect: Connect, code: int, error: type[Exception]
) -> None:
    telegram.world.duplicate_code = code
    client = await connect(telegram.new_session(desk))
    to = peer(telegram, desk, ana)
    sent = await client(send(to, "hello"))
    assert isinstance(sent, types.UpdateShortSentMessage)

    with pytest.raises(error):
        await ask(client, send(to, "hello"))
    other = await connect(telegram.new_session(desk))
    with pytest.raises(error):
        await ask(other, send(to, "something else"))

    assert telegram.texts_of(desk, ana) == ["hello"]


async def test_an_answer_may_come_as_whole_updates(
    telegram: TelegramTestServer, desk: Account, ana: User, connect: Connect
) -> None:
    telegram.world.full_answers = True
    client = await connect(telegram.new_session(desk))

    sent = await client(send(peer(telegram, desk, ana), "hello"))

    named, new = sent.updates
    assert (named.random_id, named.id) == (7, new.message.id)
    assert new.message.message == "hello"


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", errors.MessageEmptyError),
        (" \n\t", errors.MessageEmptyError),
        ("x" * 4097, errors.MessageTooLongError),
        ("👋" * 2049, errors.MessageTooLongError),
    ],
    ids=["nothing", "only spaces", "too long", "too long in UTF-16"],
)
async def test_a_text_that_is_none_is_refused(
    telegram: TelegramTestServer, desk: Account, ana: User, connect: Connect, text: str, error: type[Exception]
) -> None:
    client = await connect(telegram.new_session(desk))
    with pytest.raises(error):
        await client(send(peer(telegram, desk, ana), text))
    await client(send(peer(telegram, desk, ana), "👋" * 2048))
    assert telegram.texts_of(desk, ana) == ["👋" * 2048]


async def test_nobody_is_reached_who_blocked_or_left(
    telegram: TelegramTestServer, desk: Account, ana: User, connect: Connect
) -> None:
    client = await connect(telegram.new_session(desk))
    telegram.block(desk, ana)
    with pytest.raises(errors.UserIsBlockedError):
        await client(send(peer(telegram, desk, ana), "hello"))
    gone = telegram.add_user("Gone", deleted=True)
    with pytest.raises(errors.InputUserDeactivatedError):
        await client(send(peer(telegram, desk, gone), "hello"))


async def test_an_access_hash_is_good_for_its_account_only(
    telegram: TelegramTestServer, desk: Account, ana: User, connect: Connect
) -> None:
    other = telegram.add_account("Other", phone="+15550002")
    client = await connect(telegram.new_session(desk))

    for wrong in (peer(telegram, other, ana), types.InputPeerUser(ana.user_id, 0), types.InputPeerUser(1, 0)):
        with pytest.raises(errors.PeerIdInvalidError):
            await client(send(wrong, "hello"))
    users = [types.InputUser(ana.user_id, 0), types.InputUser(ana.user_id, 1), types.InputUserSelf()]
    empty, me = await client(functions.users.GetUsersRequest(users))
    assert (type(empty), me.id) == (types.UserEmpty, desk.user.user_id)
    with pytest.raises(errors.UserIdInvalidError):
        await client(functions.users.GetFullUserRequest(types.InputUser(ana.user_id, 1)))


async def test_contacts_are_found_without_an_access_hash(
    telegram: TelegramTestServer, desk: Account, ana: User, connect: Connect
) -> None:
    telegram.add_contact(desk, ana)
    client = await connect(telegram.new_session(desk))

    (found,) = await client(functions.users.GetUsersRequest([types.InputUser(ana.user_id, 0)]))
    assert found.access_hash == telegram.world.access_hash(desk, ana)
    assert (await client(functions.contacts.GetContactsRequest(0))).users[0].id == ana.user_id


async def test_people_are_found_by_name(telegram: TelegramTestServer, desk: Account, connect: Connect) -> None:
    ben = telegram.add_user("Ben", username="Benny")
    client = await connect(telegram.new_session(desk))

    assert (await client.get_entity("@benny")).id == ben.user_id
    with pytest.raises(ValueError, match="nobody_here"):
        await client.get_entity("@nobody_here")


async def test_a_bot_reads_no_history_and_answers_only_those_who_wrote(
    telegram: TelegramTestServer, ana: User, connect: Connect
) -> None:
    bot = telegram.add_bot("Helper", token="1:secret")
    client = await connect(telegram.new_session(bot))
    for method in (
        functions.messages.GetHistoryRequest(peer(telegram, bot, ana), 0, None, 0, 10, 0, 0, 0),
        functions.messages.GetDialogsRequest(None, 0, types.InputPeerEmpty(), 10, 0),
    ):
        with pytest.raises(errors.BotMethodInvalidError):
            await client(method)
    with pytest.raises(errors.PeerIdInvalidError):
        await client(send(peer(telegram, bot, ana), "spam"))
    telegram.write(bot, ana, "/start")
    await client(send(types.InputPeerUser(ana.user_id, 0), "hello"))

    assert telegram.texts_of(bot, ana) == ["/start", "hello"]


async def test_typing_is_shown(telegram: TelegramTestServer, desk: Account, ana: User, connect: Connect) -> None:
    client = await connect(telegram.new_session(desk))
    to = peer(telegram, desk, ana)
    await client(functions.messages.SetTypingRequest(to, types.SendMessageTypingAction()))
    await client(functions.messages.SetTypingRequest(to, types.SendMessageCancelAction()))

    assert telegram.typing_seen(desk, ana) == [True, False]


@pytest.mark.parametrize(
    ("asked", "ids"),
    [
        ({"limit": 3}, [60, 58, 56]),
        ({"limit": 0}, list(range(60, 20, -2))),
        ({"limit": 3, "offset_id": 56}, [54, 52, 50]),
        ({"limit": 3, "offset_id": 55}, [54, 52, 50]),
        ({"limit": 3, "offset_id": 56, "add_offset": -3}, [60, 58, 56]),
        ({"limit": 3, "offset_id": 57, "add_offset": -3}, [60, 58]),
        ({"limit": 3, "offset_id": 1, "add_offset": -3}, [6, 4, 2]),
        ({"limit": 3, "offset_id": 61, "add_offset": -3}, []),
        ({"limit": 4, "offset_id": 30, "add_offset": -2}, [32, 30, 28, 26]),
        ({"limit": 10, "min_id": 54}, [60, 58, 56]),
        ({"limit": 3, "min_id": 56}, [60, 58]),
        ({"limit": 3, "max_id": 20}, []),
        ({"limit": 100, "max_id": 6}, [4, 2]),
        ({"limit": 1000, "offset_id": 5}, [4, 2]),
    ],
    ids=str,
)
async def test_a_history_is_paged_by_offsets_and_filtered_afterwards(
    telegram: TelegramTestServer,
    desk: Account,
    ana: User,
    connect: Connect,
    asked: dict[str, int],
    ids: list[int],
) -> None:
    """core.telegram.org/api/offsets; the chat holds the even ids up to 60."""
    other = telegram.add_user("Other")
    for _ in range(30):
        telegram.write(desk, other, "elsewhere")
        telegram.write(desk, ana, "here")
    client = await connect(telegram.new_session(desk))
    given = {"offset_id": 0, "offset_date": None, "add_offset": 0, "max_id": 0, "min_id": 0, "hash": 0} | asked

    page = await client(functions.messages.GetHistoryRequest(peer=peer(telegram, desk, ana), **given))

    assert [message.id for message in page.messages] == ids


async def test_telethon_walks_through_a_history_both_ways(
    telegram: TelegramTestServer, desk: Account, ana: User, connect: Connect
) -> None:
    for i in range(230):
        telegram.write(desk, ana, str(i))
    client = await connect(telegram.new_session(desk))
    to = peer(telegram, desk, ana)

    forwards = [m.text async for m in client.iter_messages(to, reverse=True, wait_time=0)]
    assert forwards == [str(i) for i in range(230)]
    assert [m.text async for m in client.iter_messages(to, wait_time=0)] == forwards[::-1]
    assert [m.text async for m in client.iter_messages(to, reverse=True, min_id=100, max_id=104)] == [
        "100",
        "101",
        "102",
    ]


async def test_dialogs_come_newest_first_but_for_pinned_ones(
    telegram: TelegramTestServer, desk: Account, connect: Connect
) -> None:
    people = [telegram.add_user(f"customer {i}") for i in range(230)]
    for user in people:
        telegram.write(desk, user, "hi")
    telegram.write(desk, people[3], "again")
    telegram.add_user("never wrote")
    client = await connect(telegram.new_session(desk))

    names = [dialog.name async for dialog in client.iter_dialogs()]
    assert names == ["customer 3", *[f"customer {i}" for i in range(229, -1, -1) if i != 3]]
    telegram.pin(desk, people[0])
    names = [dialog.name async for dialog in client.iter_dialogs()]
    assert (names[:2], len(names)) == (["customer 0", "customer 3"], 230)
    names = [dialog.name async for dialog in client.iter_dialogs(ignore_pinned=True)]
    assert names[0] == "customer 3"


async def test_a_dialog_counts_what_was_not_read(
    telegram: TelegramTestServer, desk: Account, ana: User, connect: Connect
) -> None:
    for text in ("one", "two", "three"):
        telegram.write(desk, ana, text)
    client = await connect(telegram.new_session(desk))
    assert (await client.get_dialogs())[0].unread_count == 3
    await client(functions.messages.ReadHistoryRequest(peer(telegram, desk, ana), 2))
    telegram.read(desk, ana)

    (dialog,) = await client.get_dialogs()
    assert (dialog.unread_count, dialog.dialog.read_inbox_max_id, dialog.dialog.read_outbox_max_id) == (1, 2, 3)


async def test_messages_are_found_by_id_with_what_they_carry(
    telegram: TelegramTestServer, desk: Account, ana: User, connect: Connect
) -> None:
    carried = [
        media.photo(),
        media.voice(seconds=9),
        media.audio(),
        media.video(),
        media.video_note(),
        media.animation(),
        media.sticker(emoji="🐈"),
        media.document(name="offer.pdf"),
        media.location(),
        media.venue(),
        media.live_location(),
        media.contact(),
        media.poll(),
        media.dice(),
        media.web_page(),
        media.expired_photo(),
        media.unsupported(),
    ]
    ids = [telegram.write(desk, ana, "look", media=item, reply_to=1) for item in carried]
    ids.append(telegram.write(desk, ana, "", action=types.MessageActionPhoneCall(call_id=1)))
    telegram.delete(desk, ids[:1])
    client = await connect(telegram.new_session(desk))

    found = (await client(functions.messages.GetMessagesRequest([types.InputMessageID(i) for i in ids]))).messages

    assert type(found[0]) is types.MessageEmpty
    assert [bytes(message.media) for message in found[1:-1]] == [bytes(item) for item in carried[1:]]
    assert found[1].reply_to.reply_to_msg_id == 1
    assert isinstance(found[-1], types.MessageService)
