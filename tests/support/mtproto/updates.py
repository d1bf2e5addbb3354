"""Where an account's updates stand, and what a client has missed (core.telegram.org/api/updates)."""

from typing import Any

from telethon.tl import functions, types

from support.mtproto.rpc import Call, Handler, RpcFailure
from support.mtproto.views import entry_view, message_view, people_in


def get_state(call: Call, _: Any) -> Any:
    """The newest position."""
    return call.world.state(call.account)


def get_difference(call: Call, request: Any) -> Any:
    """
    What happened after a position, in slices.

    New messages come apart from the other updates and as they are now: an edited one with its new text, a deleted one
    not at all. From below what the server remembers, the difference is too long: only the new position comes.
    """
    world, account = call.world, call.account
    if request.pts == 0:
        raise RpcFailure(400, "PERSISTENT_TIMESTAMP_EMPTY")
    if request.pts < 0:
        raise RpcFailure(400, "PERSISTENT_TIMESTAMP_INVALID")
    if request.pts >= account.pts:
        return types.updates.DifferenceEmpty(date=world.now(), seq=1)
    missed = account.since(request.pts)
    if request.pts < account.forgotten_below or (request.pts_total_limit and len(missed) > request.pts_total_limit):
        return types.updates.DifferenceTooLong(pts=account.pts)
    part = missed[: world.difference_limit]
    ids = [entry.new_message or entry.edited_message for entry in part]
    messages = [account.messages[message_id] for message_id in ids if message_id in account.messages]
    new = [account.messages[e.new_message] for e in part if e.new_message and e.new_message in account.messages]
    other = [entry_view(account, entry) for entry in part if not entry.new_message]
    content = {
        "new_messages": [message_view(account, message) for message in new],
        "new_encrypted_messages": [],
        "other_updates": [update for update in other if update is not None],
        **people_in(world, account, messages),
    }
    if len(part) < len(missed):
        return types.updates.DifferenceSlice(**content, intermediate_state=world.state(account, pts=part[-1].pts))
    return types.updates.Difference(**content, state=world.state(account))


def get_channel_difference(call: Call, request: Any) -> Any:
    """Channels are told live only; nothing else is kept of them."""
    channel = call.world.channels.get(request.channel.channel_id)
    if channel is None:
        raise RpcFailure(400, "CHANNEL_INVALID")
    return types.updates.ChannelDifferenceEmpty(pts=channel.pts, final=True)


ACCOUNTS: dict[type, Handler] = {
    functions.updates.GetStateRequest: get_state,
    functions.updates.GetDifferenceRequest: get_difference,
    functions.updates.GetChannelDifferenceRequest: get_channel_difference,
}
