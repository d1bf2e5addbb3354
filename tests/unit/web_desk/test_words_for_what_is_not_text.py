"""Photos, voices and files in the words of the desk."""

import pytest

from nadia.telegram.gateway import Media, MessageKind
from nadia.web.kinds import kind_label


@pytest.mark.parametrize(
    ("kind", "media", "words"),
    [
        ("text", None, ""),
        ("photo", Media(reference="photo:1", size=184_320), "Photo"),
        ("voice", Media(reference="document:1", duration=11.7, size=48_000), "Voice message, 0:12"),
        ("video", Media(reference="document:1", duration=3_725), "Video, 1:02:05"),
        ("sticker", Media(reference="document:1", emoji="👍"), "Sticker 👍"),
        ("document", Media(reference="document:1", name="invoice.pdf", size=120_000), "Document invoice.pdf, 120 kB"),
        ("document", Media(reference="document:1", name="disk.img", size=3_200_000_000), "Document disk.img, 3.2 GB"),
        ("document", Media(reference="document:1"), "Document"),
        ("contact", Media(reference="", name="Ana Ruiz"), "Contact Ana Ruiz"),
        ("location", None, "Location"),
        ("other", None, "Something that cannot be shown here"),
        ("hologram", Media(reference=""), "Something that cannot be shown here"),
    ],
)
def test_a_kind_is_named_with_what_is_known_of_it(kind: str, media: Media | None, words: str) -> None:
    assert kind_label(kind, media) == words


def test_every_kind_has_words_of_its_own() -> None:
    labels = [kind_label(kind, None) for kind in MessageKind]
    assert len(set(labels)) == len(MessageKind)


def test_a_file_s_name_cannot_hide_what_it_is() -> None:
    label = kind_label("document", Media(reference="", name="invoice\u202efdp.exe", size=-5))
    assert label == "Document invoice[U+202E]fdp.exe, 0 B"
    assert len(kind_label("sticker", Media(reference="", emoji="👍" * 1_000))) < 60
    assert kind_label("voice", Media(reference="", duration=-3)) == "Voice message, 0:00"
