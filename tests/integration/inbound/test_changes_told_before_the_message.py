"""A customer edits or deletes what recovery has read and not yet put on record."""

import asyncio
from datetime import timedelta

import pytest

from nadia.conversations.models import Conversation
from nadia.errors import UnavailableError
from nadia.inbound.early import EarlyChanges
from nadia.telegram.gateway import IncomingMessage, MessageEdited, MessagesDeleted
from support.core import NETWORK, START, Core


async def give(core: Core, event: IncomingMessage | MessageEdited | MessagesDeleted) -> bool:
    return await core.intake.receive(event, ownership=core.ownership, network=NETWORK)


def edit_of(message: IncomingMessage, text: str, *, seconds: int = 1) -> MessageEdited:
    return MessageEdited(message.chat_id, message.message_id, text, START + timedelta(seconds=seconds))


async def test_an_edit_is_taken_over_once_its_message_is_there(core: Core) -> None:
    read = core.message(text="at ten")
    assert not await give(core, edit_of(read, "at eleven"))
    assert not await give(core, edit_of(read, "at twelve", seconds=2))
    await give(core, read)
    assert await core.value("SELECT text FROM messages") == "at twelve"
    assert await core.value("SELECT revision FROM conversations") == 2
    assert [entry.text for entry in await core.memory.recall(await core.customer())] == ["at twelve"]


@pytest.mark.parametrize("knows_chat", [True, False])
async def test_a_deletion_is_too(core: Core, knows_chat: bool) -> None:
    read, other = core.message(text="my card is 4111…"), core.message(text="hello")
    gone = MessagesDeleted((read.message_id,), chat_id=1001 if knows_chat else None)
    assert not await give(core, gone)
    await give(core, edit_of(other, "hi", seconds=0))
    await give(core, read)
    await give(core, other)
    rows = await core.execute("SELECT text, deleted_at IS NOT NULL AS gone FROM messages ORDER BY telegram_message_id")
    assert rows == [{"text": read.text, "gone": True}, {"text": "hi", "gone": False}]


async def test_changes_of_another_account_s_message_of_that_number_are_not_taken(core: Core) -> None:
    read = core.message(text="at ten")
    await give(core, edit_of(read, "at eleven"))
    await core.own("another")
    await give(core, read)
    assert await core.value("SELECT text FROM messages") == "at ten"


async def test_an_edit_at_the_very_moment_is_never_lost(core: Core) -> None:
    await core.receive()
    reads = [core.message(text="before") for _ in range(40)]
    for read in reads:
        await asyncio.gather(give(core, read), give(core, edit_of(read, "after")))
    texts = await core.execute("SELECT text, count(*) AS n FROM messages WHERE text <> 'Hello' GROUP BY text")
    assert texts == [{"text": "after", "n": 40}]


async def test_a_change_that_postgresql_missed_comes_with_the_next_attempt(
    core: Core, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = core.message(text="at ten")
    await give(core, edit_of(read, "at eleven"))
    with monkeypatch.context() as broken:

        async def away(**_: object) -> list[Conversation]:
            raise UnavailableError("PostgreSQL cannot be reached")

        broken.setattr(core.messages, "edit", away)
        with pytest.raises(UnavailableError):
            await give(core, read)
    assert not await give(core, read)  # as the listener does: the same message again
    assert await core.value("SELECT text FROM messages") == "at eleven"


async def test_a_message_that_shows_the_edit_already_is_not_changed_again(core: Core) -> None:
    edited = core.message(text="at eleven", edited_at=START + timedelta(seconds=1))
    await give(core, edit_of(edited, "at eleven"))
    await give(core, edited)
    assert await core.value("SELECT revision FROM conversations") == 1


def test_only_the_newest_changes_are_kept() -> None:
    changes = EarlyChanges()
    changes.note("a", MessagesDeleted(tuple(range(5_000)), chat_id=None))
    assert changes.take("a", 3_999) is None
    assert changes.take("a", 4_999) is not None
    assert changes.take("a", 4_999) is None
