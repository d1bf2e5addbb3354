"""What messages carry besides text, as Telegram describes it; the files themselves do not exist."""

import itertools
from datetime import UTC, datetime
from typing import Any

from telethon.tl import types

_IDS = itertools.count(5_431_000_000_000_000_001)
_DATE = datetime(2026, 1, 1, tzinfo=UTC)


def photo() -> Any:
    """A photo."""
    return types.MessageMediaPhoto(
        photo=types.Photo(
            id=next(_IDS),
            access_hash=1,
            file_reference=b"reference",
            date=_DATE,
            sizes=[types.PhotoSize(type="x", w=800, h=600, size=70_000)],
            dc_id=2,
        )
    )


def document(
    *attributes: Any, name: str | None = None, mime_type: str = "application/pdf", size: int = 1000, **flags: Any
) -> Any:
    """Any file; `flags` are those of ``MessageMediaDocument``."""
    named = [types.DocumentAttributeFilename(name)] if name is not None else []
    return types.MessageMediaDocument(
        document=types.Document(
            id=next(_IDS),
            access_hash=1,
            file_reference=b"reference",
            date=_DATE,
            mime_type=mime_type,
            size=size,
            dc_id=2,
            attributes=[*attributes, *named],
        ),
        **flags,
    )


def voice(*, seconds: int = 7) -> Any:
    """A voice message."""
    audio = types.DocumentAttributeAudio(duration=seconds, voice=True, waveform=b"\x00" * 8)
    return document(audio, mime_type="audio/ogg", voice=True)


def audio(*, seconds: int = 200, title: str = "Song") -> Any:
    """A piece of music."""
    return document(types.DocumentAttributeAudio(duration=seconds, title=title), mime_type="audio/mpeg")


def video(*, seconds: float = 12.5) -> Any:
    """A video."""
    return document(types.DocumentAttributeVideo(duration=seconds, w=640, h=480), mime_type="video/mp4", video=True)


def video_note(*, seconds: float = 5) -> Any:
    """A round video message."""
    attribute = types.DocumentAttributeVideo(duration=seconds, w=384, h=384, round_message=True)
    return document(attribute, mime_type="video/mp4", video=True, round=True)


def animation() -> Any:
    """A GIF, which is a video without sound."""
    attribute = types.DocumentAttributeVideo(duration=2, w=320, h=240, nosound=True)
    return document(attribute, types.DocumentAttributeAnimated(), mime_type="video/mp4")


def sticker(*, emoji: str = "👍") -> Any:
    """A sticker and what it stands for."""
    attribute = types.DocumentAttributeSticker(alt=emoji, stickerset=types.InputStickerSetEmpty())
    return document(attribute, types.DocumentAttributeImageSize(w=512, h=512), mime_type="image/webp")


def location(*, latitude: float = 52.52, longitude: float = 13.405) -> Any:
    """A place."""
    return types.MessageMediaGeo(geo=types.GeoPoint(long=longitude, lat=latitude, access_hash=1))


def venue(*, title: str = "Café") -> Any:
    """A place with a name."""
    return types.MessageMediaVenue(
        geo=types.GeoPoint(long=13.4, lat=52.5, access_hash=1),
        title=title,
        address="Street 1",
        provider="foursquare",
        venue_id="1",
        venue_type="food",
    )


def live_location() -> Any:
    """A place that moves."""
    return types.MessageMediaGeoLive(geo=types.GeoPoint(long=13.4, lat=52.5, access_hash=1), period=900)


def contact(*, first_name: str = "Ben", phone: str = "15550009999") -> Any:
    """Somebody's card."""
    return types.MessageMediaContact(phone_number=phone, first_name=first_name, last_name="", vcard="", user_id=0)


def poll(*, question: str = "Tea or coffee?") -> Any:
    """A poll."""
    answers = [
        types.PollAnswer(text=types.TextWithEntities(text=text, entities=[]), option=bytes([i]))
        for i, text in enumerate(("Tea", "Coffee"))
    ]
    return types.MessageMediaPoll(
        poll=types.Poll(
            id=next(_IDS), question=types.TextWithEntities(text=question, entities=[]), answers=answers, hash=0
        ),
        results=types.PollResults(),
    )


def dice() -> Any:
    """A die that was thrown."""
    return types.MessageMediaDice(value=3, emoticon="🎲")


def web_page() -> Any:
    """The preview of a link; the message is still a text."""
    return types.MessageMediaWebPage(
        webpage=types.WebPage(id=next(_IDS), url="https://example.org/", display_url="example.org", hash=0)
    )


def expired_photo() -> Any:
    """A photo that was for one look only."""
    return types.MessageMediaPhoto(ttl_seconds=10)


def unsupported() -> Any:
    """Something newer than the client."""
    return types.MessageMediaUnsupported()
