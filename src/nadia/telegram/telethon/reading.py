"""Reading back: which requests bring a page of a chat, and the list of chats."""

import math
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from datetime import datetime
from typing import Any, Final

from telethon import utils
from telethon.tl import TLObject, TLRequest, functions, types

from nadia.telegram.gateway import Dialog
from nadia.telegram.telethon.people import People

PAGE: Final = 100
"""Most messages, and most chats, that Telegram returns at once (core.telegram.org/api/offsets)."""

Ask = Callable[[TLRequest], Awaitable[Any]]


def window_of(
    *, after_id: int | None, before_id: int | None, limit: int
) -> Callable[[types.InputPeerUser], TLRequest] | None:
    """Return what makes the request for a page of a chat; None if there can be nothing in it.

    Telegram counts from the newest message down: from ``offset_id``, which is left out, ``limit`` messages older, moved
    by ``add_offset`` towards the older ones; then what is not between ``min_id`` and ``max_id`` is taken away
    (core.telegram.org/api/offsets).
    """
    if before_id is not None and before_id <= (after_id or 0) + 1:
        return None
    forwards = after_id is not None
    return lambda peer: functions.messages.GetHistoryRequest(
        peer=peer,
        offset_id=(after_id or 0) + 1 if forwards else before_id or 0,
        offset_date=None,
        add_offset=-limit if forwards else 0,
        limit=limit,
        max_id=(before_id or 0) if forwards else 0,
        min_id=after_id or 0,
        hash=0,
    )


async def read_dialogs(ask: Ask, people: People) -> AsyncIterator[list[Dialog]]:
    """Walk through the chats with people, in lists of up to a hundred or so, the one with the newest message first.

    Telegram puts pinned chats first, and one with a draft where the age of the draft would have it: they are held back
    until it is their turn, and the next request begins below one that stands by its newest message. What was on the
    page below that one comes again and is passed over.
    """
    held: list[Dialog] = []
    seen: set[int] = set()
    request = functions.messages.GetDialogsRequest(
        offset_date=None, offset_id=0, offset_peer=types.InputPeerEmpty(), limit=PAGE, hash=0
    )
    while True:
        answer = await ask(request)
        people.meet(answer.users)
        tops = _by_place(answer.messages)
        placed = [(raw, tops[place]) for raw in answer.dialogs if (place := _place(raw)) in tops]
        new = [(raw, top) for raw, top in placed if utils.get_peer_id(raw.peer) not in seen]
        seen.update(utils.get_peer_id(raw.peer) for raw, _ in new)
        in_turn: list[Dialog] = []
        for raw, top in new:
            dialog = _dialog(top, people)
            if dialog is None:
                continue
            (held if raw.pinned or _has_draft(raw) else in_turn).append(dialog)
        is_last = len(answer.dialogs) < PAGE or isinstance(answer, types.messages.Dialogs) or not new
        lowest = 0 if is_last else min((dialog.top_message_id for dialog in in_turn), default=math.inf)
        yield sorted(
            in_turn + [dialog for dialog in held if dialog.top_message_id > lowest],
            key=lambda dialog: dialog.top_message_id,
            reverse=True,
        )
        if is_last:
            return
        held = [dialog for dialog in held if dialog.top_message_id <= lowest]
        request.exclude_pinned = True
        unpinned = [(raw, top) for raw, top in placed if not raw.pinned]
        if by_age := [top for raw, top in unpinned if not _has_draft(raw)]:
            _move_below(request, by_age[-1], answer, age=by_age[-1].date)
        elif unpinned:
            raw, top = unpinned[-1]
            _move_below(request, top, answer, age=max(top.date, raw.draft.date))


def _by_place(messages: Iterable[TLObject]) -> dict[tuple[int, int], TLObject]:
    """Return messages by chat and number; channels number theirs for themselves."""
    there = (message for message in messages if isinstance(message, types.Message | types.MessageService))
    return {(utils.get_peer_id(message.peer_id), message.id): message for message in there}


def _place(dialog: TLObject) -> tuple[int, int] | None:
    return (utils.get_peer_id(dialog.peer), dialog.top_message) if isinstance(dialog, types.Dialog) else None


def _has_draft(dialog: types.Dialog) -> bool:
    return isinstance(dialog.draft, types.DraftMessage)


def _dialog(top: TLObject, people: People) -> Dialog | None:
    if not isinstance(top.peer_id, types.PeerUser):
        return None
    peer = people.find(top.peer_id.user_id)
    if not peer.is_person:
        return None
    return Dialog(chat_id=peer.user_id, peer=peer, top_message_id=top.id, top_sent_at=top.date)


def _move_below(request: TLRequest, top: TLObject, answer: TLObject, *, age: datetime) -> None:
    """Let the request be for the chats below the one with this newest message, which stands where this age is."""
    entities = {utils.get_peer_id(entity): entity for entity in (*answer.users, *answer.chats)}
    last = entities.get(utils.get_peer_id(top.peer_id), types.UserEmpty(0))
    request.offset_date, request.offset_id = age, top.id
    request.offset_peer = utils.get_input_peer(last, check_hash=False)
