"""Live updates, and what a client that was away finds."""

import datetime
from typing import Any

import pytest
from telethon import errors
from telethon.tl import functions, types

from support.eventually import eventually
from support.mtproto.clients import Connect
from support.mtproto.server import TelegramTestServer
from support.mtproto.world import Account, User


def texts(updates: list[Any]) -> list[str]:
    """The texts of new messages among updates, in either form.

    After a difference without other updates, Telethon hands its own empty ``Updates`` over as if it were one.
    """
    found = []
    for update in updates:
        if isinstance(update, types.UpdateShortMessage):
            found.append(update.message)
        elif isinstance(update, types.UpdateNewMessage):
            found.append(update.message.message)
    return found


async def test_the_first_message_brings_its_author_and_the_next_is_short(
    telegram: TelegramTestServer, desk: Account, ana: User, connect: Connect
) -> None:
    client = await connect(telegram.new_session(desk))
    telegram.write(desk, ana, "one")
    telegram.write(desk, ana, "two", reply_to=1)
    await eventually(lambda: len(client.seen) == 2)

    first, second = client.seen
    assert isinstance(first, types.UpdateNewMessage)
    assert first._entities[ana.user_id].access_hash == telegram.world.access_hash(desk, ana)
    assert isinstance(second, types.UpdateShortMessage)
    assert (second.user_id, second.out, second.reply_to.reply_to_msg_id) == (ana.user_id, False, 1)


async def test_a_stranger_may_come_without_a_name(
    telegram: TelegramTestServer, desk: Account, ana: User, connect: Connect
) -> None:
    telegram.world.short_updates = True
    client = await connect(telegram.new_session(desk))
    telegram.write(desk, ana, "one")
    await eventually(lambda: len(client.seen) == 1)

    assert isinstance(client.seen[0], types.UpdateShortMessage)
    with pytest.raises(ValueError, match="Could not find the input entity"):
        await client.send_message(ana.user_id, "who are you?")


async def test_everything_that_happens_is_told_in_order(
    telegram: TelegramTestServer, desk: Account, ana: User, connect: Connect
) -> None:
    client = await connect(telegram.new_session(desk))
    first, second = telegram.write(desk, ana, "Tuseday"), telegram.write(desk, ana, "oops")
    telegram.type(desk, ana)
    telegram.edit(desk, first, "Tuesday")
    telegram.react(desk, first)
    telegram.delete(desk, [first, second])
    telegram.come_online(desk, ana)
    telegram.read(desk, ana)
    await eventually(lambda: len(client.seen) == 8)

    kinds = [type(update) for update in client.seen]
    assert kinds == [
        types.UpdateNewMessage,
        types.UpdateShortMessage,
        types.UpdateUserTyping,
        types.UpdateEditMessage,
        types.UpdateEditMessage,
        types.UpdateDeleteMessages,
        types.UpdateUserStatus,
        types.UpdateReadHistoryOutbox,
    ]
    edited, reacted, deleted = client.seen[3:6]
    assert (edited.message.message, edited.message.edit_hide) == ("Tuesday", False)
    assert (reacted.message.message, reacted.message.edit_hide) == ("Tuesday", True)
    assert (deleted.messages, deleted.pts_count) == ([first, second], 2)


async def test_what_one_client_sends_the_other_is_told(
    telegram: TelegramTestServer, desk: Account, ana: User, connect: Connect
) -> None:
    one, two = await connect(telegram.new_session(desk)), await connect(telegram.new_session(desk))
    telegram.write(desk, ana, "hi")
    await one.send_message(types.InputPeerUser(ana.user_id, telegram.world.access_hash(desk, ana)), "hello")
    telegram.post_from_phone(desk, ana, "from the phone")
    await eventually(lambda: len(two.seen) == 3 and len(one.seen) == 2)

    assert texts(two.seen) == ["hi", "hello", "from the phone"]
    assert [update.out for update in two.seen[1:]] == [True, True]
    assert texts(one.seen) == ["hi", "from the phone"]


async def test_accounts_are_told_their_own_only(
    telegram: TelegramTestServer, desk: Account, ana: User, connect: Connect
) -> None:
    other = telegram.add_account("Other", phone="+15550002")
    one, two = await connect(telegram.new_session(desk)), await connect(telegram.new_session(other))
    assert (telegram.write(desk, ana, "to desk"), telegram.write(other, ana, "to other")) == (1, 1)
    await eventually(lambda: bool(one.seen and two.seen))

    assert (texts(one.seen), texts(two.seen)) == (["to desk"], ["to other"])


async def test_groups_channels_and_telegram_itself_write_too(
    telegram: TelegramTestServer, desk: Account, ana: User, connect: Connect
) -> None:
    client = await connect(telegram.new_session(desk))
    group = telegram.add_group("Team", desk, ana)
    telegram.write(desk, group, "in the group")
    telegram.write(desk, group, "again")
    telegram.post_in_channel(telegram.add_channel("News"), "news")
    telegram.write(desk, telegram.telegram, "Login code: 12345")
    await eventually(lambda: len(client.seen) == 4)

    whole, short, channel, service = client.seen
    assert (whole.message.peer_id.chat_id, whole.message.from_id.user_id) == (group.chat_id, ana.user_id)
    assert (short.chat_id, short.from_id) == (group.chat_id, ana.user_id)
    assert isinstance(channel, types.UpdateNewChannelMessage)
    assert (service.user_id, service.message) == (777000, "Login code: 12345")
    assert sorted(dialog.name for dialog in await client.get_dialogs()) == ["News", "Team", "Telegram"]


async def test_a_client_that_wants_no_updates_gets_none(
    telegram: TelegramTestServer, desk: Account, ana: User, connect: Connect
) -> None:
    client = await connect(telegram.new_session(desk), receive_updates=False)
    await client.get_me()
    telegram.write(desk, ana, "hi")
    await client.get_me()

    assert telegram.connections_of(desk) == 0
    assert client.seen == []


async def test_a_client_that_was_away_catches_up_in_slices(
    telegram: TelegramTestServer, desk: Account, ana: User, connect: Connect
) -> None:
    client = await connect(telegram.new_session(desk))
    telegram.write(desk, ana, "before")
    await eventually(lambda: len(client.seen) == 1)
    await client.disconnect()
    telegram.world.difference_limit = 7
    for i in range(50):
        telegram.write(desk, ana, str(i))
    asked = telegram.count(functions.updates.GetDifferenceRequest)

    back = await connect(session=client.session, catch_up=True)
    await eventually(lambda: len(texts(back.seen)) == 50)

    assert texts(back.seen) == [str(i) for i in range(50)]
    assert telegram.count(functions.updates.GetDifferenceRequest) - asked == 8
    telegram.write(desk, ana, "live")
    await eventually(lambda: texts(back.seen)[-1:] == ["live"])


async def test_a_difference_has_messages_as_they_are_now_and_the_changes_beside_them(
    telegram: TelegramTestServer, desk: Account, ana: User, connect: Connect
) -> None:
    client = await connect(telegram.new_session(desk))
    old = telegram.write(desk, ana, "old")
    pts = desk.pts
    edited, deleted = telegram.write(desk, ana, "Tuseday"), telegram.write(desk, ana, "oops")
    telegram.edit(desk, edited, "Tuesday")
    telegram.delete(desk, [old, deleted])
    telegram.read(desk, ana)

    now = telegram.world.now()
    difference = await client(functions.updates.GetDifferenceRequest(pts=pts, date=now, qts=0))

    assert [(m.id, m.message) for m in difference.new_messages] == [(edited, "Tuesday")]
    edit, deletion, read = difference.other_updates
    assert (edit.message.id, edit.message.message) == (edited, "Tuesday")
    assert (deletion.messages, deletion.pts_count) == ([old, deleted], 2)
    assert isinstance(read, types.UpdateReadHistoryOutbox)
    assert difference.state.pts == desk.pts == pts + 6
    assert [user.id for user in difference.users] == [ana.user_id]


async def test_telethon_tells_of_no_change_that_a_difference_brings(
    telegram: TelegramTestServer, desk: Account, ana: User, connect: Connect
) -> None:
    """Its message box skips updates with a pts while it fetches a difference, those of the difference among them."""
    client = await connect(telegram.new_session(desk))
    old, other = telegram.write(desk, ana, "Tuseday"), telegram.write(desk, ana, "oops")
    await eventually(lambda: len(client.seen) == 2)
    await client.disconnect()
    telegram.edit(desk, old, "Tuesday")
    telegram.delete(desk, [other])
    telegram.write(desk, ana, "new")

    back = await connect(session=client.session, catch_up=True)
    await eventually(lambda: texts(back.seen) == ["new"])
    telegram.write(desk, ana, "live")
    await eventually(lambda: texts(back.seen) == ["new", "live"])

    assert not [u for u in back.seen if isinstance(u, types.UpdateEditMessage | types.UpdateDeleteMessages)]


async def test_a_difference_from_too_far_back_is_too_long(
    telegram: TelegramTestServer, desk: Account, ana: User, connect: Connect
) -> None:
    client = await connect(telegram.new_session(desk))
    telegram.write(desk, ana, "before")
    await eventually(lambda: len(client.seen) == 1)
    await client.disconnect()
    telegram.write(desk, ana, "never told")
    telegram.forget_updates(desk)
    telegram.write(desk, ana, "never told either")

    back = await connect(session=client.session, catch_up=True)
    await eventually(lambda: back._message_box.session_state()[0]["pts"] == desk.pts)
    telegram.write(desk, ana, "live")
    await eventually(lambda: texts(back.seen) == ["live"])


async def test_nothing_missed_is_an_empty_difference(
    telegram: TelegramTestServer, desk: Account, connect: Connect
) -> None:
    client = await connect(telegram.new_session(desk))
    state = await client(functions.updates.GetStateRequest())
    get = functions.updates.GetDifferenceRequest
    now = datetime.datetime.now(datetime.UTC)

    assert isinstance(await client(get(pts=state.pts, date=now, qts=0)), types.updates.DifferenceEmpty)
    with pytest.raises(errors.PersistentTimestampEmptyError):
        await client(get(pts=0, date=now, qts=0))
    with pytest.raises(errors.PersistentTimestampInvalidError):
        await client(get(pts=-1, date=now, qts=0))


async def test_a_lost_push_is_noticed_with_the_next_and_fetched(
    telegram: TelegramTestServer, desk: Account, ana: User, connect: Connect
) -> None:
    client = await connect(telegram.new_session(desk))
    telegram.withhold(desk)
    telegram.write(desk, ana, "lost")
    telegram.write(desk, ana, "noticed")
    await eventually(lambda: texts(client.seen) == ["lost", "noticed"])


async def test_a_client_that_is_told_too_much_happened_asks(
    telegram: TelegramTestServer, desk: Account, ana: User, connect: Connect
) -> None:
    client = await connect(telegram.new_session(desk))
    telegram.withhold(desk)
    telegram.write(desk, ana, "lost")
    telegram.say_too_long(desk)
    await eventually(lambda: texts(client.seen) == ["lost"])
