"""Photos, voices, stickers and files: on record with their kind, remembered, edited, and never silently dropped."""

import math
from typing import Any

import pytest

from nadia.conversations.media import media_from_fields
from nadia.telegram.gateway import IncomingMessage, Media, MessageEdited, MessageKind
from support.core import NETWORK, START, Core, ScriptedDrafter

VOICE = Media(reference="document:5", mime_type="audio/ogg", size=48_000, duration=11.5)
FILE = Media(reference="document:6", name="invoice.pdf", mime_type="application/pdf", size=120_000)
STICKER = Media(reference="document:7", emoji="👍")


async def stored(core: Core) -> list[dict[str, Any]]:
    return await core.execute("SELECT kind, text, media FROM messages ORDER BY telegram_message_id")


@pytest.mark.parametrize(
    ("kind", "media", "text"),
    [
        (MessageKind.PHOTO, Media(reference="photo:4"), "my parcel"),
        (MessageKind.VOICE, VOICE, ""),
        (MessageKind.STICKER, STICKER, ""),
        (MessageKind.DOCUMENT, FILE, "here it is"),
        (MessageKind.LOCATION, None, ""),
        (MessageKind.OTHER, None, ""),
    ],
)
async def test_a_message_is_read_back_as_it_came(core: Core, kind: MessageKind, media: Media | None, text: str) -> None:
    await core.receive(text=text, kind=kind, media=media)
    conversation = await core.customer()
    (message,) = (await core.messages.history(conversation.id, limit=5)).messages
    assert (message.kind, message.media, message.text) == (kind.value, media, text)
    for _ in range(2):  # rebuilt, then as Redis keeps it
        (entry,) = await core.memory.recall(conversation)
        assert (entry.kind, entry.media, entry.text) == (kind.value, media, text)


async def test_a_message_that_is_appended_to_a_memory_keeps_its_media(core: Core) -> None:
    await core.receive(text="hi")
    await core.memory.recall(await core.customer())
    await core.receive(text="", kind=MessageKind.VOICE, media=VOICE)
    assert [entry.media for entry in await core.memory.recall(await core.customer())] == [None, VOICE]


async def test_only_what_is_known_is_stored(core: Core) -> None:
    await core.receive(text="", kind=MessageKind.STICKER, media=STICKER)
    await core.receive(text="words")
    assert [row["media"] for row in await stored(core)] == [{"reference": "document:7", "emoji": "👍"}, None]


async def test_what_a_sender_makes_up_is_kept_as_far_as_it_can_be(core: Core) -> None:
    hostile = Media(
        reference="document:\x00",
        name="a\x00b\ud800'; DROP TABLE messages; --" + "x" * 10_000,
        mime_type="\udfff",
        size=2**70,
        duration=math.nan,
        emoji="\x00",
    )
    await core.receive(text="\x00", kind=MessageKind.DOCUMENT, media=hostile)
    (row,) = await stored(core)
    media = media_from_fields(row["media"])
    assert media is not None
    assert media.name is not None
    assert media.name.startswith("a\ufffdb\ufffd'; DROP TABLE messages; --")
    assert len(media.name) == 200
    assert (media.size, media.duration, media.emoji, media.mime_type) == (2**70, None, "\ufffd", "\ufffd")
    assert [entry.media for entry in await core.memory.recall(await core.customer())] == [media]


async def test_a_caption_is_edited_and_the_photo_stays(core: Core) -> None:
    message = await core.receive(text="my cat", kind=MessageKind.PHOTO, media=Media(reference="photo:4"))
    for text in ("my dog", ""):
        edited = MessageEdited(1001, message.message_id, text, START)
        await core.intake.receive(edited, ownership=core.ownership, network=NETWORK)
        assert await stored(core) == [{"kind": "photo", "text": text, "media": {"reference": "photo:4"}}]
    (entry,) = await core.memory.recall(await core.customer())
    assert (entry.kind, entry.text, entry.media) == ("photo", "", Media(reference="photo:4"))


async def edit(core: Core, message: IncomingMessage, kind: MessageKind, media: Media | None, text: str = "") -> bool:
    changed = MessageEdited(1001, message.message_id, text, START, kind=kind, media=media)
    return await core.intake.receive(changed, ownership=core.ownership, network=NETWORK)


async def test_an_edit_exchanges_what_a_message_carries(core: Core) -> None:
    message = await core.receive(text="see this")
    await core.memory.recall(await core.customer())
    for kind, media in (
        (MessageKind.PHOTO, Media(reference="photo:4")),
        (MessageKind.PHOTO, Media(reference="photo:5")),  # and not a word of difference
        (MessageKind.DOCUMENT, FILE),
        (MessageKind.TEXT, None),
    ):
        before = await core.value("SELECT revision FROM conversations")
        assert await edit(core, message, kind, media, "see this")
        assert not await edit(core, message, kind, media, "see this")
        assert await core.value("SELECT revision FROM conversations") == before + 1
        (row,) = await stored(core)
        assert (row["kind"], media_from_fields(row["media"]), row["text"]) == (kind.value, media, "see this")
        (entry,) = await core.memory.recall(await core.customer())
        assert (entry.kind, entry.media) == (kind.value, media)


async def test_what_a_sender_makes_up_in_an_edit_is_kept_as_far_as_it_can_be(core: Core) -> None:
    message = await core.receive(text="hi")
    hostile = Media(reference="document:\x00", name="\ud800" * 10_000, duration=math.inf)
    assert await edit(core, message, MessageKind.VOICE, hostile)
    assert not await edit(core, message, MessageKind.VOICE, hostile)
    (row,) = await stored(core)
    assert row["media"] == {"reference": "document:\ufffd", "name": "\ufffd" * 200}


async def test_a_photo_that_is_told_of_before_its_message_is_taken_over(core: Core) -> None:
    read = core.message(text="see this")
    assert not await edit(core, read, MessageKind.PHOTO, Media(reference="photo:4"), "see that")
    await core.intake.receive(read, ownership=core.ownership, network=NETWORK)
    assert await stored(core) == [{"kind": "photo", "text": "see that", "media": {"reference": "photo:4"}}]


async def test_a_message_whose_edit_came_first_carries_the_edited_words(core: Core) -> None:
    late = core.message(text="second thoughts", edited_at=START)
    edited = MessageEdited(1001, late.message_id, late.text, START)
    await core.intake.receive(edited, ownership=core.ownership, network=NETWORK)
    await core.intake.receive(late, ownership=core.ownership, network=NETWORK)
    await core.intake.receive(edited, ownership=core.ownership, network=NETWORK)
    assert await core.execute("SELECT text, edited_at FROM messages") == [{"text": late.text, "edited_at": START}]
    assert await core.value("SELECT revision FROM conversations") == 1


async def test_a_parked_update_keeps_what_it_carried(core: Core) -> None:
    message = core.message(text="", kind=MessageKind.VOICE, media=Media(reference="document:5", duration=math.inf))
    await core.intake.park(message, ownership=core.ownership, error=ValueError("no"))
    payload = await core.value("SELECT payload FROM parked_updates")
    assert payload["kind"] == "voice"
    assert payload["media"] == {
        "reference": "document:5",
        "name": None,
        "mime_type": None,
        "size": None,
        "duration": "inf",
        "emoji": None,
    }


async def test_the_model_reads_of_what_is_not_text(core: Core) -> None:
    drafter = ScriptedDrafter(answer="Thank you.")
    await core.receive(text="", kind=MessageKind.VOICE, media=VOICE, sent_at=await core.value("SELECT now()"))
    await core.batches.seal((await core.customer()).id)
    assert await core.drafting(drafter).draft(await core.value("SELECT id FROM batches"))
    assert [message.content for message in drafter.prompts[0][1:]] == ["[voice message, 12 s]"]
