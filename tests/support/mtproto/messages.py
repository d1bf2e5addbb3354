"""Sending, typing, reading back: the methods of the chats."""

from collections import Counter
from typing import Any

from telethon.tl import functions, types

from support.mtproto.peers import resolved
from support.mtproto.rpc import Call, Handler, RpcFailure
from support.mtproto.views import entry_view, message_view, peer_of, people_in, push_of
from support.mtproto.world import Account, Channel, Chat, Group, Message, User

_LONGEST_TEXT = 4096  # UTF-16 code units, by help.getConfig
_LONGEST_PAGE = 100
_USUAL_PAGE = 20  # where a client asks for 0


def send_message(call: Call, request: Any) -> Any:
    """
    Store a message and tell the account's other clients (core.telegram.org/method/messages.sendMessage).

    A `random_id` is good for one message of the account, whichever client it came from.
    """
    world, account = call.world, call.account
    chat = resolved(call, request.peer)
    if not request.random_id:
        raise RpcFailure(400, "RANDOM_ID_EMPTY")
    if not request.message.strip():
        raise RpcFailure(400, "MESSAGE_EMPTY")
    if len(request.message.encode("utf-16-le", "surrogatepass")) // 2 > _LONGEST_TEXT:
        raise RpcFailure(400, "MESSAGE_TOO_LONG")
    if request.random_id in account.random_ids:
        raise RpcFailure(world.duplicate_code, "RANDOM_ID_DUPLICATE")
    _may_write(account, chat)
    message = Message(
        message_id=world.next_message_id(account),
        chat=chat,
        sender=account.user,
        text=request.message,
        sent_at=world.now().replace(microsecond=0),
        out=True,
        reply_to=getattr(request.reply_to, "reply_to_msg_id", None),
        entities=request.entities,
    )
    account.random_ids[request.random_id] = message.message_id
    entry = world.store(account, message)
    world.tell(account, push_of(world, account, entry), but=call.link)
    if world.full_answers or request.entities or isinstance(chat, Group):
        return types.Updates(
            updates=[
                types.UpdateMessageID(id=message.message_id, random_id=request.random_id),
                entry_view(account, entry),
            ],
            **people_in(world, account, [message]),
            date=world.now(),
            seq=0,
        )
    return types.UpdateShortSentMessage(
        id=message.message_id, pts=entry.pts, pts_count=entry.count, date=message.sent_at, out=True
    )


def _may_write(account: Account, chat: Chat) -> None:
    match chat:
        case Channel():
            raise RpcFailure(403, "CHAT_ADMIN_REQUIRED")
        case User() if chat.deleted:
            raise RpcFailure(400, "INPUT_USER_DEACTIVATED")
        case User() if chat.user_id in account.blocked_by:
            raise RpcFailure(400, "USER_IS_BLOCKED")
        case User() if account.user.bot and chat.bot:
            raise RpcFailure(400, "USER_IS_BOT")
        case User() if account.user.bot and chat not in account.chats():
            raise RpcFailure(400, "PEER_ID_INVALID")  # nobody hears from a bot first


def set_typing(call: Call, request: Any) -> Any:
    """Show the other side that somebody writes, or stops."""
    chat = resolved(call, request.peer)
    if isinstance(chat, User):
        active = not isinstance(request.action, types.SendMessageCancelAction)
        call.account.typing_shown.append((chat.user_id, active))
    return True


def read_history(call: Call, request: Any) -> Any:
    """Mark a chat as read."""
    chat = resolved(call, request.peer)
    account = call.account
    if isinstance(chat, User):
        account.read_up_to[chat.user_id] = request.max_id or account.last_message_id
    peer = peer_of(chat)
    entry = account.append(
        update=lambda pts, count: types.UpdateReadHistoryInbox(
            peer=peer, max_id=request.max_id, still_unread_count=0, pts=pts, pts_count=count
        )
    )
    call.world.tell(account, push_of(call.world, account, entry), but=call.link)
    return types.messages.AffectedMessages(pts=entry.pts, pts_count=entry.count)


def get_history(call: Call, request: Any) -> Any:
    """
    A page of a chat, newest first (core.telegram.org/api/offsets).

    The page starts at `offsetFromID(offset_id) + add_offset`, where offsetFromID counts the messages from the newest to
    the one with that id, inclusive; what lies before the newest is not filled up. Only then `max_id` and `min_id`,
    both exclusive, take messages away.
    """
    chat = resolved(call, request.peer)
    every = chat.messages if isinstance(chat, Channel) else call.account.history(chat)
    newest_first = every[::-1]
    offset = 0
    if request.offset_id:
        offset = sum(message.message_id >= request.offset_id for message in newest_first)
    elif request.offset_date and request.offset_date.timestamp() > 0:
        offset = sum(message.sent_at >= request.offset_date for message in newest_first)
    start = offset + request.add_offset
    end = start + min(request.limit or _USUAL_PAGE, _LONGEST_PAGE)
    page = [
        message
        for message in newest_first[max(start, 0) : max(end, 0)]
        if (not request.max_id or message.message_id < request.max_id)
        and (not request.min_id or message.message_id > request.min_id)
    ]
    content = {
        "messages": [message_view(call.account, message) for message in page],
        "topics": [],
        **people_in(call.world, call.account, page),
    }
    if len(every) <= len(page):
        return types.messages.Messages(**content)
    return types.messages.MessagesSlice(count=len(every), offset_id_offset=max(start, 0), **content)


def get_messages(call: Call, request: Any) -> Any:
    """Messages by id; those that are gone come back empty."""
    ids = [asked.id for asked in request.id]
    found = [call.account.messages[i] for i in ids if i in call.account.messages]
    return types.messages.Messages(
        messages=[
            message_view(call.account, call.account.messages[i])
            if i in call.account.messages
            else types.MessageEmpty(id=i, peer_id=None)
            for i in ids
        ],
        topics=[],
        **people_in(call.world, call.account, found),
    )


def get_dialogs(call: Call, request: Any) -> Any:
    """
    A page of the account's chats, the one with the newest message first (core.telegram.org/api/folders#dialogs).

    The next page begins behind the offset's date, id and peer. Pinned chats stand before all others of the first page,
    however old, unless they are left out.
    """
    account = call.account
    tops = account.chats() | {c: c.messages[-1] for c in call.world.channels.values() if c.messages}
    ordered = sorted(tops.values(), key=lambda top: (top.sent_at, top.message_id), reverse=True)
    pinned = [tops[chat] for chat in account.pinned if chat in tops]
    others = [top for top in ordered if top not in pinned]
    first_page = not request.offset_id and (not request.offset_date or request.offset_date.timestamp() <= 0)
    if first_page:
        listed = others if request.exclude_pinned else pinned + others
    else:
        listed = [top for top in others if _lies_behind(top, request)]
    page = listed[: min(request.limit or _USUAL_PAGE, _LONGEST_PAGE)]
    unread = Counter(message.chat for message in account.messages.values() if _is_unread(account, message))
    content = {
        "dialogs": [_dialog_view(account, top, unread[top.chat]) for top in page],
        "messages": [message_view(account, top) for top in page],
        **people_in(call.world, account, page),
    }
    if first_page and len(page) == len(listed):
        return types.messages.Dialogs(**content)
    return types.messages.DialogsSlice(count=len(tops), **content)


def _lies_behind(top: Message, request: Any) -> bool:
    if request.offset_date and request.offset_date.timestamp() > 0:
        moment = top.sent_at.replace(microsecond=0)
        return moment < request.offset_date or (
            moment == request.offset_date and top.message_id < (request.offset_id or 2**62)
        )
    return bool(top.message_id < request.offset_id)


def _is_unread(account: Account, message: Message) -> bool:
    read = account.read_up_to.get(message.chat.user_id, 0) if isinstance(message.chat, User) else 0
    return not message.out and message.message_id > read


def _dialog_view(account: Account, top: Message, unread: int) -> Any:
    chat = top.chat
    user_id = chat.user_id if isinstance(chat, User) else 0
    return types.Dialog(
        peer=peer_of(chat),
        top_message=top.message_id,
        read_inbox_max_id=account.read_up_to.get(user_id, 0),
        read_outbox_max_id=account.read_by_others.get(user_id, 0),
        unread_count=unread,
        unread_mentions_count=0,
        unread_reactions_count=0,
        unread_poll_votes_count=0,
        notify_settings=types.PeerNotifySettings(),
        pinned=chat in account.pinned,
        pts=chat.pts if isinstance(chat, Channel) else None,
    )


ACCOUNTS: dict[type, Handler] = {
    functions.messages.SendMessageRequest: send_message,
    functions.messages.SetTypingRequest: set_typing,
    functions.messages.GetMessagesRequest: get_messages,
}
PEOPLE: dict[type, Handler] = {
    functions.messages.ReadHistoryRequest: read_history,
    functions.messages.GetHistoryRequest: get_history,
    functions.messages.GetDialogsRequest: get_dialogs,
}
