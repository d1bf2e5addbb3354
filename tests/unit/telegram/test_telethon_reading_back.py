"""Walking through the list of chats, whatever stands in it and wherever it stands."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from telethon.tl import functions, types

from nadia.telegram.gateway import Dialog
from nadia.telegram.telethon.people import People
from nadia.telegram.telethon.reading import PAGE, read_dialogs, window_of

START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
SETTINGS = types.PeerNotifySettings()


def dialog(user_id: int, top: int, **attributes: Any) -> types.Dialog:
    return types.Dialog(types.PeerUser(user_id), top, 0, 0, 0, 0, 0, 0, SETTINGS, **attributes)


def draft(at: float) -> types.DraftMessage:
    return types.DraftMessage(message="later", date=START + timedelta(seconds=at))


class Telegram:
    """A list of chats in Telegram's order: pinned ones, then by the age of the newest message or of the draft."""

    def __init__(self, dialogs: Sequence[types.Dialog]) -> None:
        self._pinned = [d for d in dialogs if d.pinned]
        self._others = sorted((d for d in dialogs if not d.pinned), key=self._age, reverse=True)
        self.requests: list[functions.messages.GetDialogsRequest] = []

    @staticmethod
    def _age(one: types.Dialog) -> tuple[datetime, int]:
        newest = START + timedelta(seconds=one.top_message)
        return (max(newest, one.draft.date) if one.draft else newest), one.top_message

    async def __call__(self, request: functions.messages.GetDialogsRequest) -> Any:
        self.requests.append(request)
        listed = [*([] if request.exclude_pinned else self._pinned), *self._others]
        if request.offset_id:
            listed = [d for d in self._others if self._age(d) < (request.offset_date, request.offset_id)]
        page = listed[: request.limit]
        return types.messages.DialogsSlice(
            count=len(self._others),
            dialogs=page,
            messages=[
                types.Message(d.top_message, d.peer, START + timedelta(seconds=d.top_message), "hi") for d in page
            ],
            chats=[],
            users=[types.User(id=d.peer.user_id, first_name="x", access_hash=1) for d in page],
        )


async def walk(telegram: Any) -> list[Dialog]:
    return [one async for page in read_dialogs(telegram, People(own_id=1)) for one in page]


@given(
    count=st.integers(0, 3 * PAGE),
    pinned=st.sets(st.integers(0, 3 * PAGE), max_size=5),
)
async def test_pinned_chats_come_in_turn(count: int, pinned: set[int]) -> None:
    telegram = Telegram([dialog(100 + i, i + 1, pinned=i in pinned or None) for i in range(count)])

    assert [one.top_message_id for one in await walk(telegram)] == list(range(count, 0, -1))


async def test_a_chat_with_a_draft_comes_in_turn() -> None:
    telegram = Telegram([dialog(100 + i, i + 1, draft=draft(1_000) if i == 40 else None) for i in range(150)])

    assert [one.top_message_id for one in await walk(telegram)] == list(range(150, 0, -1))


async def test_a_draft_at_the_end_of_a_page_hides_no_chats() -> None:
    """The chat stands there by its draft; its newest message may be the oldest of all."""
    chats = [dialog(100 + i, i + 1) for i in range(250)]
    chats[0] = dialog(100, 1, draft=draft(151.5))  # so that 99 chats stand before it

    assert [one.top_message_id for one in await walk(Telegram(chats))] == list(range(250, 0, -1))


@given(count=st.integers(0, 3 * PAGE), drafts=st.dictionaries(st.integers(0, 3 * PAGE), st.integers(0, 400)))
async def test_chats_with_drafts_come_once_and_in_turn(count: int, drafts: dict[int, int]) -> None:
    telegram = Telegram([dialog(100 + i, i + 1, draft=draft(drafts[i]) if i in drafts else None) for i in range(count)])

    assert [one.top_message_id for one in await walk(telegram)] == list(range(count, 0, -1))


@pytest.mark.parametrize("at", [0, 1_000], ids=["older than the messages", "newer"])
async def test_a_full_page_of_drafts_is_not_the_end(at: int) -> None:
    telegram = Telegram([dialog(100 + i, i + 1, draft=draft(at + i) if i > 140 else None) for i in range(250)])

    assert sorted(one.top_message_id for one in await walk(telegram)) == list(range(1, 251))


async def test_what_is_no_chat_with_messages_is_passed() -> None:
    chats = [dialog(100, 1), dialog(101, 2), dialog(102, 0), dialog(777000, 4)]

    async def telegram(_: Any) -> Any:
        return types.messages.Dialogs(
            dialogs=[
                types.DialogFolder(types.Folder(1, "Archive"), types.PeerUser(100), 1, 0, 0, 0, 0),
                *chats,
            ],
            messages=[
                types.Message(1, types.PeerUser(100), START, "hi"),
                types.MessageService(2, types.PeerUser(101), START, types.MessageActionPhoneCall(1)),
                types.MessageEmpty(3, types.PeerUser(102)),
                types.Message(4, types.PeerUser(777000), START, "Login code"),
            ],
            chats=[],
            users=[types.User(id=user_id, first_name="x") for user_id in (100, 101, 102, 777000)],
        )

    assert [(one.chat_id, one.top_message_id) for one in await walk(telegram)] == [(101, 2), (100, 1)]


async def test_a_full_page_of_pinned_chats_is_not_the_end() -> None:
    telegram = Telegram([dialog(100 + i, i + 1, pinned=i < PAGE or None) for i in range(PAGE + 30)])

    assert len(await walk(telegram)) == PAGE + 30
    assert len(telegram.requests) == 2


def test_the_window_forwards_begins_just_above_and_backwards_just_below() -> None:
    peer = types.InputPeerUser(7, 70)
    forwards, backwards = (
        window_of(after_id=10, before_id=90, limit=50),
        window_of(after_id=None, before_id=90, limit=5),
    )
    assert forwards is not None
    assert backwards is not None

    up, down = forwards(peer), backwards(peer)

    assert (up.offset_id, up.add_offset, up.limit, up.min_id, up.max_id) == (11, -50, 50, 10, 90)
    assert (down.offset_id, down.add_offset, down.limit, down.min_id, down.max_id) == (90, 0, 5, 0, 0)
    assert window_of(after_id=10, before_id=11, limit=5) is None
