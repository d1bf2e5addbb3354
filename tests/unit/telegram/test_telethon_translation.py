"""Whatever Telegram's objects hold becomes an event of ours or none, and never an exception."""

import inspect
import json
import math
import random
import typing
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from telethon.tl import types

from nadia.telegram.gateway import (
    IncomingMessage,
    Media,
    MessageEdited,
    MessageKind,
    MessagesDeleted,
    Peer,
    TypingStarted,
)
from nadia.telegram.telethon.people import People
from nadia.telegram.telethon.translation import chat_of, event_of, peer_of
from support.mtproto import media

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
ANA, BOT, OWN = 7, 8, 1


@pytest.fixture
def people() -> People:
    people = People(own_id=OWN)
    people.meet([types.User(id=ANA, first_name="Ana", access_hash=70), types.User(id=BOT, first_name="R2", bot=True)])
    return people


def message(**attributes: Any) -> types.Message:
    return types.Message(**{"id": 5, "peer_id": types.PeerUser(ANA), "date": NOW, "message": "hello"} | attributes)


def new(**attributes: Any) -> types.UpdateNewMessage:
    return types.UpdateNewMessage(message(**attributes), pts=1, pts_count=1)


# media


@pytest.mark.parametrize(
    ("sent", "kind", "told"),
    [
        (None, MessageKind.TEXT, None),
        (media.web_page(), MessageKind.TEXT, None),
        (types.MessageMediaEmpty(), MessageKind.TEXT, None),
        (media.photo(), MessageKind.PHOTO, {"mime_type": "image/jpeg", "size": 70_000}),
        (media.expired_photo(), MessageKind.PHOTO, {"reference": ""}),
        (media.voice(seconds=7), MessageKind.VOICE, {"mime_type": "audio/ogg", "duration": 7.0}),
        (media.audio(seconds=200), MessageKind.DOCUMENT, {"mime_type": "audio/mpeg", "duration": 200.0}),
        (media.video(seconds=12.5), MessageKind.VIDEO, {"mime_type": "video/mp4", "duration": 12.5}),
        (media.video_note(), MessageKind.VIDEO, {"duration": 5.0}),
        (media.animation(), MessageKind.VIDEO, {"duration": 2.0}),
        (media.sticker(emoji="👍"), MessageKind.STICKER, {"emoji": "👍", "mime_type": "image/webp"}),
        (media.document(name="a.pdf", size=9), MessageKind.DOCUMENT, {"name": "a.pdf", "size": 9}),
        (media.location(), MessageKind.LOCATION, {"name": "52.52000, 13.40500", "reference": ""}),
        (media.live_location(), MessageKind.LOCATION, {"name": "52.50000, 13.40000"}),
        (media.venue(title="Café"), MessageKind.LOCATION, {"name": "Café, Street 1"}),
        (media.contact(first_name="Ben"), MessageKind.CONTACT, {"name": "Ben"}),
        (media.poll(), MessageKind.OTHER, {"name": "poll"}),
        (media.dice(), MessageKind.OTHER, {"name": "dice"}),
        (media.unsupported(), MessageKind.OTHER, {"name": "unsupported"}),
        (types.MessageMediaGeo(types.GeoPointEmpty()), MessageKind.LOCATION, {"name": None}),
        (types.MessageMediaDocument(voice=True, ttl_seconds=5), MessageKind.VOICE, {"reference": ""}),
        (types.MessageMediaDocument(round=True, ttl_seconds=5), MessageKind.VIDEO, {"reference": ""}),
        (types.MessageMediaDocument(document=types.DocumentEmpty(3)), MessageKind.DOCUMENT, {"reference": ""}),
    ],
    ids=lambda value: type(value).__name__ if hasattr(value, "CONSTRUCTOR_ID") else str(value),
)
def test_what_a_message_carries_is_told(
    people: People, sent: Any, kind: MessageKind, told: dict[str, Any] | None
) -> None:
    event = event_of(new(media=sent), people.find)

    assert isinstance(event, IncomingMessage)
    assert (event.kind, event.text) == (kind, "hello")
    if told is None:
        assert event.media is None
    else:
        assert isinstance(event.media, Media)
        assert {name: getattr(event.media, name) for name in told} == told


def test_a_photo_is_as_large_as_its_largest_shape(people: People) -> None:
    sent = media.photo()
    sent.photo.sizes = [
        types.PhotoStrippedSize("i", b"\x00"),
        types.PhotoSizeProgressive("y", 1, 1, [10, 900, 500]),
        types.PhotoSizeEmpty("s"),
    ]
    event = event_of(new(media=sent), people.find)

    assert isinstance(event, IncomingMessage)
    assert event.media is not None
    assert event.media.size == 900


def test_a_moving_sticker_is_a_sticker(people: People) -> None:
    sticker = types.DocumentAttributeSticker(alt="🎉", stickerset=types.InputStickerSetEmpty())
    video = types.DocumentAttributeVideo(duration=3, w=512, h=512)
    for attributes in ([sticker, video], [video, sticker]):
        event = event_of(new(media=media.document(*attributes, mime_type="video/webm")), people.find)

        assert isinstance(event, IncomingMessage)
        assert event.kind is MessageKind.STICKER


def test_a_shared_contacts_number_is_not_told(people: People) -> None:
    event = event_of(new(media=media.contact(phone="15550009999")), people.find)

    assert "15550009999" not in repr(event)


def test_a_message_of_nothing_that_we_know_is_one_of_another_kind(people: People) -> None:
    event = event_of(new(message=""), people.find)

    assert isinstance(event, IncomingMessage)
    assert event.kind is MessageKind.OTHER


# replies, edits, deletions, typing


@pytest.mark.parametrize(
    ("header", "reply_to"),
    [
        (None, None),
        (types.MessageReplyHeader(reply_to_msg_id=3), 3),
        (types.MessageReplyHeader(reply_to_msg_id=3, reply_to_peer_id=types.PeerChannel(9)), None),
        (types.MessageReplyHeader(), None),
        (types.MessageReplyStoryHeader(peer=types.PeerUser(ANA), story_id=3), None),
    ],
    ids=["none", "a message", "one of another chat", "nothing", "a story"],
)
def test_what_is_answered_is_told_if_it_is_of_this_chat(people: People, header: Any, reply_to: int | None) -> None:
    event = event_of(new(reply_to=header), people.find)

    assert isinstance(event, IncomingMessage)
    assert event.reply_to == reply_to


def test_an_edit_tells_the_new_text_and_when(people: People) -> None:
    edited = types.UpdateEditMessage(message(message="hullo", edit_date=NOW), pts=2, pts_count=1)

    assert event_of(edited, people.find) == MessageEdited(ANA, 5, "hullo", NOW, kind=MessageKind.TEXT)


def test_an_edit_tells_what_the_message_carries_now(people: People) -> None:
    changed = {"message": "see this", "media": media.photo(), "edit_date": NOW}
    edit = event_of(types.UpdateEditMessage(message(**changed), pts=2, pts_count=1), people.find)
    written = event_of(new(**changed), people.find)

    assert isinstance(written, IncomingMessage)
    assert written.media is not None
    assert edit == MessageEdited(ANA, 5, "see this", NOW, kind=MessageKind.PHOTO, media=written.media)


def test_the_steps_of_whoever_shares_a_live_location_are_no_edits(people: People) -> None:
    moved = {"message": "", "media": media.live_location(), "edit_date": NOW}
    read = event_of(new(**moved), people.find)

    assert event_of(types.UpdateEditMessage(message(**moved), pts=2, pts_count=1), people.find) is None
    assert isinstance(read, IncomingMessage)
    assert read.edited_at is None, "its history would tell of an edit each time"


@pytest.mark.parametrize(
    "attributes",
    [{"edit_hide": True, "edit_date": NOW}, {"edit_date": None}, {"peer_id": types.PeerUser(BOT)}],
    ids=str,
)
def test_what_changes_no_text_of_a_person_is_no_edit(people: People, attributes: dict[str, Any]) -> None:
    assert event_of(types.UpdateEditMessage(message(**attributes), pts=2, pts_count=1), people.find) is None


def test_deletions_name_what_is_gone(people: People) -> None:
    assert event_of(types.UpdateDeleteMessages([3, 4], 2, 2), people.find) == MessagesDeleted((3, 4), None)
    assert event_of(types.UpdateDeleteMessages([], 2, 0), people.find) is None
    assert event_of(types.UpdateDeleteChannelMessages(9, [3], 2, 1), people.find) is None


@pytest.mark.parametrize(
    ("action", "is_writing"),
    [
        (types.SendMessageTypingAction(), True),
        (types.SendMessageRecordAudioAction(), True),
        (types.SendMessageUploadPhotoAction(progress=3), True),
        (types.SendMessageChooseStickerAction(), True),
        (types.SendMessageCancelAction(), False),
        (types.SendMessageGamePlayAction(), False),
        (types.SendMessageEmojiInteractionSeen("👍"), False),
    ],
    ids=lambda value: type(value).__name__,
)
def test_whoever_prepares_a_message_is_writing(people: People, action: Any, is_writing: bool) -> None:
    expected = TypingStarted(ANA, ANA) if is_writing else None

    assert event_of(types.UpdateUserTyping(ANA, action), people.find) == expected
    assert event_of(types.UpdateUserTyping(BOT, action), people.find) is None


# who


@pytest.mark.parametrize(
    ("user", "peer"),
    [
        (types.User(id=7, first_name="Ana", last_name="Alvarez"), Peer(7, "Ana Alvarez")),
        (types.User(id=7, first_name="", last_name="Alvarez", username="aa"), Peer(7, "Alvarez", "aa")),
        (types.User(id=7, username="aa"), Peer(7, "aa", "aa")),
        (types.User(id=7, deleted=True), Peer(7, "7")),
        (
            types.User(
                id=7,
                first_name="Ana",
                usernames=[types.Username("old"), types.Username("new", active=True)],
            ),
            Peer(7, "Ana", "new"),
        ),
        (types.User(id=7, first_name="R2", bot=True), Peer(7, "R2", is_person=False)),
        (types.User(id=777000, first_name="Telegram"), Peer(777000, "Telegram", is_person=False)),
        (types.User(id=9, first_name="Volunteer", support=True), Peer(9, "Volunteer", is_person=False)),
    ],
)
def test_who_somebody_is(user: types.User, peer: Peer) -> None:
    assert peer_of(user) == peer


def test_a_cut_down_user_takes_the_place_of_no_better_known_one(people: People) -> None:
    people.meet([types.User(id=ANA, first_name="A", min=True, access_hash=1)])
    people.meet([types.User(id=9, first_name="Ben", min=True, access_hash=2), types.UserEmpty(10)])

    assert people.find(ANA).name == "Ana"
    assert people.find(9).name == "Ben"
    assert not people.knows(10)
    assert [(peer.user_id, peer.access_hash) for peer in people.resolved([ANA, BOT, 9, 10])] == [(ANA, 70)]


def test_the_account_itself_is_no_customer_of_its_own(people: People) -> None:
    people.meet([types.User(id=OWN, first_name="Desk", is_self=True)])

    assert event_of(new(peer_id=types.PeerUser(OWN), out=True), people.find) is None


def test_people_are_held_up_to_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nadia.telegram.telethon.people._MOST", 3)
    people = People(own_id=OWN)
    for user_id in (11, 12, 13, 11, 14):
        people.meet([types.User(id=user_id, first_name="x")])

    assert [user_id for user_id in range(11, 15) if people.knows(user_id)] == [11, 13, 14]


def test_the_number_of_somebody_unknown_does_not_pass_for_a_name(people: People) -> None:
    assert people.find(9) == Peer(9, "")
    assert not people.find(777000).is_person


@pytest.mark.parametrize("user_id", [777000, 42777, BOT, OWN])
def test_nothing_of_telegrams_own_accounts_or_of_bots_comes_out(people: People, user_id: int) -> None:
    peer = types.PeerUser(user_id)
    for update in (
        types.UpdateShortMessage(5, user_id, "Login code: 12345", 1, 1, NOW),
        new(peer_id=peer, message="Login code: 12345"),
        types.UpdateEditMessage(message(peer_id=peer, edit_date=NOW), 1, 1),
    ):
        assert event_of(update, people.find) is None


# anything

UPDATES = typing.get_args(types.TypeUpdate)
SEEDS = st.integers(0, 2**32)
MEDIA = typing.get_args(types.TypeMessageMedia)


def value_for(annotation: Any, rng: random.Random, depth: int) -> Any:
    """Whatever a field of a TL object may hold."""
    if isinstance(annotation, typing.ForwardRef):
        annotation = annotation.__forward_arg__
    if isinstance(annotation, str):
        annotation = getattr(types, annotation, type(None))  # a few stand elsewhere, and are of no interest
    origin, inner = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Union:
        if type(None) in inner and (depth <= 0 or rng.random() < 0.5):
            return None
        return value_for(rng.choice([part for part in inner if part is not type(None)]), rng, depth)
    if origin is list:
        return [value_for(inner[0], rng, depth - 1) for _ in range(rng.randrange(3) if depth > 0 else 0)]
    simple: dict[Any, Any] = {
        int: rng.choice([0, 1, -1, ANA, 777000, 2**31 - 1, 2**63 - 1]),
        float: rng.choice([0.0, -1.5, 1e300, math.nan, math.inf]),
        str: rng.choice(["", "hello", "\x00\ud83d", "x" * 5000, "\u202e<b>"]),
        bytes: b"\x00\xff",
        bool: True,
        datetime: NOW,
        type(None): None,
    }
    return simple[annotation] if annotation in simple else filled(annotation, rng, depth - 1)


def filled(kind: type, rng: random.Random, depth: int = 4) -> Any:
    """A TL object of this constructor."""
    fields = inspect.signature(kind).parameters
    return kind(**{name: value_for(field.annotation, rng, depth) for name, field in fields.items()})


def of_ana(rng: random.Random) -> Any:
    found = filled(rng.choice([types.Message, types.Message, types.MessageService, types.MessageEmpty]), rng, 3)
    found.peer_id = types.PeerUser(ANA)
    return found


@settings(max_examples=300, deadline=None)
@given(seed=SEEDS, kind=st.sampled_from(UPDATES))
def test_no_update_is_too_odd(seed: int, kind: type) -> None:
    rng = random.Random(seed)
    for update in (
        filled(kind, rng, 2),
        filled(types.UpdateShortMessage, rng, 2),
        types.UpdateNewMessage(of_ana(rng), 1, 1),
        types.UpdateEditMessage(of_ana(rng), 1, 1),
    ):
        event = event_of(update, People(own_id=OWN).find)

        if isinstance(event, IncomingMessage):
            assert event.chat_id == event.peer.user_id == chat_of(update)
            assert isinstance(event.text, str)


@settings(max_examples=300, deadline=None)
@given(seed=SEEDS, kind=st.sampled_from(MEDIA))
def test_no_medium_is_too_odd(seed: int, kind: type) -> None:
    event = event_of(new(media=filled(kind, random.Random(seed))), People(own_id=OWN).find)

    assert isinstance(event, IncomingMessage)
    assert event.media is None or isinstance(event.media.reference, str)
    json.dumps(event.media and asdict(event.media), allow_nan=False)  # as it goes on record


@settings(max_examples=100, deadline=None)
@given(seed=SEEDS)
def test_no_user_is_too_odd(seed: int) -> None:
    assert peer_of(filled(types.User, random.Random(seed), 2)).name
