"""Who is meant by an input peer, and what may be asked about people (core.telegram.org/api/peers)."""

from typing import Any

from telethon.tl import functions, types

from support.mtproto.rpc import Call, Handler, RpcFailure
from support.mtproto.views import user_view
from support.mtproto.world import Chat, User


def resolved(call: Call, peer: Any) -> Chat:
    """
    The chat that a client means.

    Raises
    ------
    RpcFailure
        If the account may not name this peer: it does not exist, or the access hash is another account's.
    """
    world, account = call.world, call.account
    match peer:
        case types.InputPeerSelf():
            return account.user
        case types.InputPeerUser():
            user = world.users.get(peer.user_id)
            if user is not None and _may_name(call, user, peer.access_hash):
                return user
        case types.InputPeerUserFromMessage():
            message = account.messages.get(peer.msg_id)
            if message is not None and message.sender.user_id == peer.user_id:
                return message.sender
        case types.InputPeerChat():
            group = world.groups.get(peer.chat_id)
            if group is not None and account.user in group.members:
                return group
        case types.InputPeerChannel():
            channel = world.channels.get(peer.channel_id)
            if channel is not None and world.access_hash(account, channel) == peer.access_hash:
                return channel
            raise RpcFailure(400, "CHANNEL_INVALID")
    raise RpcFailure(400, "PEER_ID_INVALID")


def _may_name(call: Call, user: User, access_hash: int) -> bool:
    if access_hash == call.world.access_hash(call.account, user):
        return True
    # 0 does for contacts, and for bots whom the user has written to.
    acquainted = user.user_id in call.account.contacts or (
        call.account.user.bot and any(message.sender is user for message in call.account.messages.values())
    )
    return access_hash == 0 and (acquainted or user is call.account.user)


def get_users(call: Call, request: Any) -> Any:
    """Unknown ones come back empty; those with a wrong access hash are left out."""
    found = []
    for asked in request.id:
        if isinstance(asked, types.InputUserSelf):
            found.append(user_view(call.world, call.account, call.account.user))
            continue
        user = call.world.users.get(asked.user_id)
        if user is not None and _may_name(call, user, asked.access_hash):
            found.append(user_view(call.world, call.account, user))
        elif asked.access_hash == 0:
            found.append(types.UserEmpty(asked.user_id))
    return found


def get_full_user(call: Call, request: Any) -> Any:
    """A person with the settings of the chat."""
    if isinstance(request.id, types.InputUserSelf):
        user = call.account.user
    else:
        known = call.world.users.get(request.id.user_id)
        if known is None or not _may_name(call, known, request.id.access_hash):
            raise RpcFailure(400, "USER_ID_INVALID")
        user = known
    full = types.UserFull(
        id=user.user_id,
        settings=types.PeerSettings(),
        notify_settings=types.PeerNotifySettings(),
        common_chats_count=0,
    )
    return types.users.UserFull(full_user=full, chats=[], users=[user_view(call.world, call.account, user)])


def resolve_username(call: Call, request: Any) -> Any:
    """Who has this name."""
    for user in call.world.users.values():
        if user.username is not None and user.username.lower() == request.username.lower():
            return types.contacts.ResolvedPeer(
                peer=types.PeerUser(user.user_id), chats=[], users=[user_view(call.world, call.account, user)]
            )
    raise RpcFailure(400, "USERNAME_NOT_OCCUPIED")


def get_contacts(call: Call, _: Any) -> Any:
    """The account's address book."""
    contacts = sorted(call.account.contacts)
    return types.contacts.Contacts(
        contacts=[types.Contact(user_id=user_id, mutual=True) for user_id in contacts],
        saved_count=0,
        users=[user_view(call.world, call.account, call.world.users[user_id]) for user_id in contacts],
    )


ACCOUNTS: dict[type, Handler] = {
    functions.users.GetUsersRequest: get_users,
    functions.users.GetFullUserRequest: get_full_user,
    functions.contacts.ResolveUsernameRequest: resolve_username,
}
PEOPLE: dict[type, Handler] = {functions.contacts.GetContactsRequest: get_contacts}
