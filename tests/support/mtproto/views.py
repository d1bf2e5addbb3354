"""How what the server knows looks to one account: TL objects of people, chats, messages and events."""

from collections.abc import Iterable
from typing import Any

from telethon.tl import types

from support.mtproto.world import Account, Channel, Chat, Entry, Group, Message, User, World


def peer_of(chat: Chat) -> Any:
    """A chat's name without access hash."""
    match chat:
        case User():
            return types.PeerUser(chat.user_id)
        case Group():
            return types.PeerChat(chat.chat_id)
        case Channel():
            return types.PeerChannel(chat.channel_id)


def user_view(world: World, account: Account, user: User) -> Any:
    """A person with the access hash of this account."""
    account.known.add(user.user_id)
    if user.deleted:
        return types.User(id=user.user_id, deleted=True, access_hash=world.access_hash(account, user))
    is_self = user is account.user
    return types.User(
        id=user.user_id,
        is_self=is_self,
        contact=user.user_id in account.contacts,
        bot=user.bot,
        bot_info_version=1 if user.bot else None,
        verified=user.service,
        support=user.service,
        access_hash=world.access_hash(account, user),
        first_name=user.name,
        last_name=user.last_name,
        username=user.username,
        phone=user.phone if is_self or user.user_id in account.contacts or user.service else None,
        status=types.UserStatusRecently(),
    )


def chat_view(world: World, account: Account, chat: Group | Channel) -> Any:
    """A group or a channel."""
    if isinstance(chat, Group):
        return types.Chat(
            id=chat.chat_id,
            title=chat.title,
            photo=types.ChatPhotoEmpty(),
            participants_count=len(chat.members),
            date=world.now(),
            version=1,
        )
    return types.Channel(
        id=chat.channel_id,
        title=chat.title,
        photo=types.ChatPhotoEmpty(),
        date=world.now(),
        broadcast=True,
        access_hash=world.access_hash(account, chat),
    )


def message_view(account: Account, message: Message) -> Any:
    """A message or a service message."""
    sender = types.PeerUser(message.sender.user_id)
    common = {
        "id": message.message_id,
        "peer_id": peer_of(message.chat),
        "date": message.sent_at,
        "out": message.out,
        # In a private chat only one's own messages name their sender.
        "from_id": sender if message.out or not isinstance(message.chat, User) else None,
        "reply_to": types.MessageReplyHeader(reply_to_msg_id=message.reply_to) if message.reply_to else None,
    }
    if message.action is not None:
        return types.MessageService(action=message.action, **common)
    return types.Message(
        message=message.text,
        media=message.media,
        entities=message.entities,
        edit_date=message.edited_at,
        edit_hide=message.edit_hidden,
        reactions=message.reactions,
        **common,
    )


def people_in(world: World, account: Account, messages: Iterable[Message]) -> dict[str, list[Any]]:
    """`users` and `chats` of everybody who appears in these messages."""
    users: dict[int, User] = {}
    chats: dict[int, Group | Channel] = {}
    for message in messages:
        users[message.sender.user_id] = message.sender
        match message.chat:
            case User():
                users[message.chat.user_id] = message.chat
            case Group():
                chats[message.chat.chat_id] = message.chat
            case Channel():
                chats[message.chat.channel_id] = message.chat
    return {
        "users": [user_view(world, account, user) for user in users.values()],
        "chats": [chat_view(world, account, chat) for chat in chats.values()],
    }


def entry_view(account: Account, entry: Entry) -> Any | None:
    """An event as an update, as it would be told now; None when its message is gone meanwhile."""
    if entry.update is not None:
        return entry.update(entry.pts, entry.count)
    message_id = entry.new_message or entry.edited_message
    assert message_id is not None
    message = account.messages.get(message_id)
    if message is None:
        return None
    kind = types.UpdateNewMessage if entry.new_message else types.UpdateEditMessage
    return kind(message_view(account, message), entry.pts, entry.count)


def push_of(world: World, account: Account, entry: Entry) -> Any:
    """An event as the server pushes it: the short form for plain messages, whole updates otherwise."""
    message = account.messages.get(entry.new_message or entry.edited_message or 0)
    if entry.new_message and message is not None and _is_plain(message):
        people = [message.sender, *([message.chat] if isinstance(message.chat, User) else [])]
        known = all(person.user_id in account.known for person in people)
        if world.short_updates or (world.short_updates is None and known):
            return _short_form(message, entry)
    return types.Updates(
        updates=[entry_view(account, entry)],
        **people_in(world, account, [message] if message is not None else []),
        date=world.now(),
        seq=0,
    )


def _is_plain(message: Message) -> bool:
    return message.media is None and message.action is None and not isinstance(message.chat, Channel)


def _short_form(message: Message, entry: Entry) -> Any:
    common = {
        "id": message.message_id,
        "message": message.text,
        "pts": entry.pts,
        "pts_count": entry.count,
        "date": message.sent_at,
        "out": message.out,
        "reply_to": types.MessageReplyHeader(reply_to_msg_id=message.reply_to) if message.reply_to else None,
        "entities": message.entities,
    }
    if isinstance(message.chat, Group):
        return types.UpdateShortChatMessage(from_id=message.sender.user_id, chat_id=message.chat.chat_id, **common)
    assert isinstance(message.chat, User)
    return types.UpdateShortMessage(user_id=message.chat.user_id, **common)
