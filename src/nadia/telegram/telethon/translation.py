"""From Telegram's objects to NADIA's events.

Only private chats with people come through: what groups, channels, bots and Telegram itself write does not leave this
module. Whatever else a customer can send becomes a message of some kind; nothing here raises.
"""

import math
from collections.abc import Callable
from datetime import datetime
from typing import Final

from telethon.tl import TLObject, types

from nadia.telegram.gateway import (
    SERVICE_USER_IDS,
    Event,
    IncomingMessage,
    Media,
    MessageEdited,
    MessageKind,
    MessagesDeleted,
    Peer,
    TypingStarted,
)

_WRITING: Final = (
    types.SendMessageTypingAction,
    types.SendMessageRecordAudioAction,
    types.SendMessageRecordRoundAction,
    types.SendMessageRecordVideoAction,
    types.SendMessageUploadAudioAction,
    types.SendMessageUploadDocumentAction,
    types.SendMessageUploadPhotoAction,
    types.SendMessageUploadRoundAction,
    types.SendMessageUploadVideoAction,
    types.SendMessageChooseContactAction,
    types.SendMessageChooseStickerAction,
    types.SendMessageGeoLocationAction,
)
"""What someone does whose message will come in a moment."""

FindPeer = Callable[[int], Peer]
"""Returns who has an id."""


def peer_of(user: types.User) -> Peer:
    """Return whom a private chat is with."""
    name = " ".join(part for part in (user.first_name, user.last_name) if part)
    return Peer(
        user_id=user.id,
        name=name or user.username or str(user.id),
        username=user.username or next((u.username for u in user.usernames or () if u.active), None),
        is_person=not (user.bot or user.support or user.id in SERVICE_USER_IDS),
    )


def stranger(user_id: int) -> Peer:
    """Return a peer about whom nothing is known but the number; the record may know the name."""
    return Peer(user_id=user_id, name="", is_person=user_id not in SERVICE_USER_IDS)


def chat_of(update: TLObject) -> int | None:
    """Return the user whom a message of this update is from or to, if it is one of a private chat."""
    match update:
        case types.UpdateShortMessage(user_id=user_id):
            return int(user_id)
        case types.UpdateNewMessage(message=message) | types.UpdateEditMessage(message=message):
            return _private_chat(message)
        case _:
            return None


def event_of(update: TLObject, find: FindPeer) -> Event | None:
    """Return what an update says; None if it is nothing of NADIA's."""
    match update:
        case types.UpdateShortMessage():
            peer = find(update.user_id)
            return _short_message(update, peer) if peer.is_person else None
        case types.UpdateNewMessage(message=message):
            return message_of(message, find)
        case types.UpdateEditMessage(message=message):
            return _edit(message, find)
        case types.UpdateDeleteMessages(messages=message_ids) if message_ids:
            return MessagesDeleted(message_ids=tuple(message_ids), chat_id=None)
        case types.UpdateUserTyping(user_id=user_id, action=action) if isinstance(action, _WRITING):
            return TypingStarted(chat_id=user_id, user_id=user_id) if find(user_id).is_person else None
        case _:
            return None


def message_of(message: TLObject, find: FindPeer) -> IncomingMessage | None:
    """Return a message as it was written; None for one that is not a person's, such as the notice of a call."""
    chat_id = _private_chat(message)
    if chat_id is None or not (peer := find(chat_id)).is_person:
        return None
    kind, media = _media(message)
    return IncomingMessage(
        chat_id=chat_id,
        message_id=message.id,
        peer=peer,
        text=message.message or "",
        sent_at=message.date,
        kind=kind,
        media=media,
        reply_to=_reply_to(message.reply_to),
        outgoing=bool(message.out),
        edited_at=_edited_at(message),
    )


def _short_message(update: types.UpdateShortMessage, peer: Peer) -> IncomingMessage:
    return IncomingMessage(
        chat_id=update.user_id,
        message_id=update.id,
        peer=peer,
        text=update.message,
        sent_at=update.date,
        reply_to=_reply_to(update.reply_to),
        outgoing=bool(update.out),
    )


def _edit(message: TLObject, find: FindPeer) -> MessageEdited | None:
    """Return what a message was changed to."""
    chat_id = _private_chat(message)
    if chat_id is None or (edited_at := _edited_at(message)) is None or not find(chat_id).is_person:
        return None
    kind, media = _media(message)
    return MessageEdited(
        chat_id=chat_id, message_id=message.id, text=message.message or "", edited_at=edited_at, kind=kind, media=media
    )


def _edited_at(message: types.Message) -> datetime | None:
    """Return when its author changed a message.

    Reactions and link previews come as edits as well, which Telegram hides; and so does each step of someone who shares
    a live location.
    """
    if message.edit_hide or isinstance(message.media, types.MessageMediaGeoLive):
        return None
    edited_at: datetime | None = message.edit_date
    return edited_at


def _private_chat(message: TLObject) -> int | None:
    match message:
        case types.Message(peer_id=types.PeerUser(user_id=user_id)):
            return int(user_id)
        case _:
            return None


def _reply_to(header: TLObject | None) -> int | None:
    match header:
        case types.MessageReplyHeader(reply_to_msg_id=message_id, reply_to_peer_id=None):
            return None if message_id is None else int(message_id)
        case _:  # to a story, or to a message of another chat
            return None


def _media(message: types.Message) -> tuple[MessageKind, Media | None]:
    match message.media:
        case None | types.MessageMediaEmpty() | types.MessageMediaWebPage():
            return (MessageKind.TEXT if message.message else MessageKind.OTHER), None
        case types.MessageMediaPhoto(photo=photo):
            return MessageKind.PHOTO, _photo(photo)
        case types.MessageMediaDocument(document=types.Document() as document):
            return _document(document)
        case types.MessageMediaDocument() as media:  # to be seen once, or gone
            return _kind_of_lost(media), Media("")
        case types.MessageMediaVenue() as media:
            return MessageKind.LOCATION, Media("", name=f"{media.title}, {media.address}")
        case types.MessageMediaGeo(geo=point) | types.MessageMediaGeoLive(geo=point):
            return MessageKind.LOCATION, Media("", name=_coordinates(point))
        case types.MessageMediaContact() as media:
            name = " ".join(part for part in (media.first_name, media.last_name) if part)
            return MessageKind.CONTACT, Media(f"user:{media.user_id}" if media.user_id else "", name=name or None)
        case media:
            return MessageKind.OTHER, Media("", name=type(media).__name__.removeprefix("MessageMedia").lower())


def _photo(photo: TLObject | None) -> Media:
    if not isinstance(photo, types.Photo):
        return Media("")
    sizes = [size for shape in photo.sizes for size in (getattr(shape, "sizes", None) or [getattr(shape, "size", 0)])]
    return Media(f"photo:{photo.id}", mime_type="image/jpeg", size=max(sizes, default=0) or None)


def _document(document: types.Document) -> tuple[MessageKind, Media]:
    kind, name, duration, emoji = MessageKind.DOCUMENT, None, math.nan, None
    for attribute in document.attributes:
        match attribute:
            case types.DocumentAttributeSticker():
                kind, emoji = MessageKind.STICKER, attribute.alt or None
            case types.DocumentAttributeAudio():
                kind, duration = MessageKind.VOICE if attribute.voice else kind, attribute.duration
            case types.DocumentAttributeVideo():
                # A moving sticker is a video, too.
                kind, duration = MessageKind.VIDEO if kind is MessageKind.DOCUMENT else kind, attribute.duration
            case types.DocumentAttributeFilename():
                name = attribute.file_name
    return kind, Media(
        f"document:{document.id}",
        name=name,
        mime_type=document.mime_type or None,
        size=document.size,
        duration=float(duration) if math.isfinite(duration) else None,  # senders write what they like
        emoji=emoji,
    )


def _kind_of_lost(media: types.MessageMediaDocument) -> MessageKind:
    if media.voice:
        return MessageKind.VOICE
    return MessageKind.VIDEO if media.video or media.round else MessageKind.DOCUMENT


def _coordinates(point: TLObject) -> str | None:
    return f"{point.lat:.5f}, {point.long:.5f}" if isinstance(point, types.GeoPoint) else None
