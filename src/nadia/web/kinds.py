"""What is not text, in the words of the desk's pages: ``Voice message, 0:12``, ``Document invoice.pdf, 120 kB``."""

from collections.abc import Iterator, Mapping
from typing import Final

from nadia.telegram.gateway import Media, MessageKind
from nadia.web.legible import legible_name

_NAMES: Final[Mapping[str, str]] = {
    MessageKind.PHOTO: "Photo",
    MessageKind.VOICE: "Voice message",
    MessageKind.VIDEO: "Video",
    MessageKind.STICKER: "Sticker",
    MessageKind.DOCUMENT: "Document",
    MessageKind.LOCATION: "Location",
    MessageKind.CONTACT: "Contact",
}
_UNKNOWN: Final = "Something that cannot be shown here"
_LONGEST_EMOJI: Final = 16


def kind_label(kind: str, media: Media | None) -> str:
    """Name what a message is made of besides its text; empty for one of text only."""
    if kind == MessageKind.TEXT:
        return ""
    return ", ".join(_details(_NAMES.get(kind, _UNKNOWN), media))


def _details(name: str, media: Media | None) -> Iterator[str]:
    if media is None:
        yield name
        return
    if media.name:
        name = f"{name} {legible_name(media.name)}"
    if media.emoji:
        name = f"{name} {legible_name(media.emoji[:_LONGEST_EMOJI])}"
    yield name
    if media.duration is not None:
        yield _length(media.duration)
    elif media.size is not None and media.name:
        yield _size(media.size)


def _length(seconds: float) -> str:
    whole = max(0, round(seconds))
    minutes, rest = divmod(whole, 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}" if minutes >= 60 else f"{minutes}:{rest:02}"


def _size(count: int) -> str:
    size = float(max(0, count))
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.0f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"
