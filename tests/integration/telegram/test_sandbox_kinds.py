"""What customers of the sandbox send besides text."""

import contextlib
import sqlite3
from pathlib import Path

import pytest

from nadia.errors import InvalidInputError
from nadia.telegram.gateway import IncomingMessage, Media, MessageEdited, MessageKind
from nadia.telegram.sandbox.requests import Attachment
from support.sandbox_network import ACCOUNT, SandboxNetwork, sandbox_network


async def updates(network: SandboxNetwork, count: int) -> list[object]:
    gateway = network.gateway()
    await gateway.connect(None)
    found: list[object] = []
    async for update in gateway.updates():
        found.append(update.event)
        if len(found) == count:
            break
    await gateway.close()
    return found


@pytest.mark.parametrize(
    ("kind", "attachment", "media"),
    [
        (MessageKind.PHOTO, None, Media(reference="photo:1")),
        (
            MessageKind.VOICE,
            Attachment(duration=12, mime_type="audio/ogg"),
            Media(reference="voice:1", duration=12, mime_type="audio/ogg"),
        ),
        (MessageKind.STICKER, Attachment(emoji="👍"), Media(reference="sticker:1", emoji="👍")),
        (
            MessageKind.DOCUMENT,
            Attachment(name="a\u202e.exe", size=2**40),
            Media(reference="document:1", name="a\u202e.exe", size=2**40),
        ),
        (MessageKind.CONTACT, Attachment(name="Ana"), Media(reference="", name="Ana")),
        (MessageKind.LOCATION, None, None),
    ],
)
async def test_the_desk_gets_what_was_sent_live_and_from_the_history(
    folder: Path, kind: MessageKind, attachment: Attachment | None, media: Media | None
) -> None:
    async with sandbox_network(folder) as network:
        chat = await network.add_customer("Ana")
        await network.customers.write(account=ACCOUNT, user_id=chat, text="", kind=kind, attachment=attachment)
        (live,) = await updates(network, 1)
        gateway = network.gateway()
        await gateway.connect(None)
        (read,) = await gateway.history(chat_id=chat)
        assert isinstance(live, IncomingMessage)
        assert (live.kind, live.media, live.text) == (read.kind, read.media, read.text) == (kind, media, "")


async def test_a_caption_can_be_edited_and_taken_away(folder: Path) -> None:
    async with sandbox_network(folder) as network:
        chat = await network.add_customer("Ana")
        number = await network.write(chat, "my cat", kind=MessageKind.PHOTO)
        await network.edit(chat, number, "my dog")
        await network.edit(chat, number, "")
        _, *edits = await updates(network, 3)
        assert [edit.text for edit in edits if isinstance(edit, MessageEdited)] == ["my dog", ""]
        (message,) = await network.customers.history(account=ACCOUNT, user_id=chat)
        assert (message.kind, message.text, message.media) == (MessageKind.PHOTO, "", Media(reference="photo:1"))


async def test_a_text_has_words_and_no_attachment(folder: Path) -> None:
    async with sandbox_network(folder) as network:
        chat = await network.add_customer("Ana")
        with pytest.raises(InvalidInputError, match="no attachment"):
            await network.customers.write(account=ACCOUNT, user_id=chat, text="x", attachment=Attachment(name="y"))
        number = await network.write(chat, "words")
        with pytest.raises(InvalidInputError, match="empty"):
            await network.edit(chat, number, "  ")


async def test_a_store_from_before_there_were_kinds_is_brought_up_to_date(folder: Path) -> None:
    async with sandbox_network(folder) as network:
        chat = await network.add_customer("Ana")
        await network.write(chat, "old")
    with contextlib.closing(sqlite3.connect(folder / "sandbox.db")) as connection:
        connection.execute("ALTER TABLE messages DROP COLUMN media")
        connection.execute("PRAGMA user_version = 1")
    async with sandbox_network(folder) as network:
        await network.write(chat, "", kind=MessageKind.PHOTO)
        messages = await network.customers.history(account=ACCOUNT, user_id=chat)
        assert [(message.text, message.media) for message in messages] == [
            ("old", None),
            ("", Media(reference="photo:2")),
        ]
