"""What Telegram hands over: on record once, in order, and only what is ours to keep."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from nadia.conversations.messages import NotOwnerError
from nadia.conversations.models import BatchState
from nadia.redis.commands import Command
from nadia.telegram.gateway import MessageEdited, MessageKind, MessagesDeleted, Peer, TypingStarted
from support.core import NETWORK, START, Core, HandClock


async def give(core: Core, event: Any) -> None:
    await core.intake.receive(event, ownership=core.ownership, network=NETWORK)


async def revision(core: Core) -> int:
    return int(await core.value("SELECT revision FROM conversations"))


async def test_a_message_is_on_record_with_everything_telegram_said(core: Core) -> None:
    sent = await core.receive(
        7,
        "see the photo",
        kind=MessageKind.PHOTO,
        reply_to=3,
        sent_at=START - timedelta(minutes=1),
        peer=Peer(user_id=70, name="Mina", username="mina"),
    )
    (row,) = await core.execute(
        "SELECT m.*, p.name, p.username, p.telegram_user_id, c.revision FROM messages m "
        "JOIN conversations c ON c.id = m.conversation_id JOIN people p ON p.id = c.person_id"
    )
    assert (row["telegram_message_id"], row["chat_id"], row["text"]) == (sent.message_id, 7, "see the photo")
    assert (row["kind"], row["reply_to"], row["sent_at"]) == ("photo", 3, START - timedelta(minutes=1))
    assert (row["direction"], row["author"], row["batch_id"]) == ("in", "customer", None)
    assert (row["name"], row["username"], row["telegram_user_id"], row["revision"]) == ("Mina", "mina", 70, 1)


async def test_a_message_that_comes_again_changes_nothing(core: Core) -> None:
    message = await core.receive()
    for _ in range(3):
        await give(core, message)
    assert await core.value("SELECT count(*) FROM messages") == 1
    assert await revision(core) == 1


async def test_the_same_message_many_times_at_once_is_stored_once(core: Core) -> None:
    first = await core.receive()
    message = core.message()
    await asyncio.gather(*(give(core, message) for _ in range(10)))
    assert await core.value("SELECT count(*) FROM messages") == 2
    assert first.message_id != message.message_id


async def test_message_ids_are_per_account(core: Core) -> None:
    message = await core.receive()
    await core.own("another")
    await give(core, message)
    assert await core.value("SELECT count(*) FROM messages") == 2
    assert await core.value("SELECT count(*) FROM people") == 1


async def test_a_changed_name_is_taken_over(core: Core) -> None:
    await core.receive(7, peer=Peer(user_id=7, name="Mina"))
    await core.receive(7, peer=Peer(user_id=7, name="Mina B.", username="mb"))
    assert await core.execute("SELECT name, username FROM people") == [{"name": "Mina B.", "username": "mb"}]
    assert await core.value("SELECT count(*) FROM conversations") == 1


async def test_a_name_that_telegram_does_not_tell_leaves_the_one_on_record(core: Core) -> None:
    """An update in its short form names nobody, and who it is cannot always be asked for."""
    await core.receive(7, peer=Peer(user_id=7, name="Mina", username="mina"))
    await core.receive(7, peer=Peer(user_id=7, name=""))
    assert await core.execute("SELECT name, username FROM people") == [{"name": "Mina", "username": "mina"}]
    await core.receive(7, peer=Peer(user_id=7, name="Mina B."))
    assert await core.execute("SELECT name, username FROM people") == [{"name": "Mina B.", "username": None}]


async def test_somebody_new_is_called_by_the_number_until_telegram_tells_the_name(core: Core) -> None:
    await core.receive(7, peer=Peer(user_id=7, name=""))
    assert await core.execute("SELECT name, username FROM people") == [{"name": "7", "username": None}]
    await core.receive(7, peer=Peer(user_id=7, name=""))
    await core.receive(7, peer=Peer(user_id=7, name="Mina", username="mina"))
    assert await core.execute("SELECT name, username FROM people") == [{"name": "Mina", "username": "mina"}]


@pytest.mark.parametrize(
    "peer",
    [
        Peer(user_id=777000, name="Telegram"),
        Peer(user_id=42777, name="Telegram"),
        Peer(user_id=5, name="Some bot", is_person=False),
    ],
)
async def test_service_accounts_and_bots_leave_no_trace_anywhere(core: Core, peer: Peer) -> None:
    message = await core.receive(peer.user_id, "Login code: 12345", peer=peer)
    await give(core, MessageEdited(peer.user_id, message.message_id, "Login code: 54321", START))
    await give(core, TypingStarted(peer.user_id, peer.user_id))
    await core.receive(peer.user_id, "noted", peer=peer, outgoing=True)
    for table in ("messages", "conversations", "people"):
        assert await core.value(f"SELECT count(*) FROM {table}") == 0
    assert await core.redis.send([Command(("DBSIZE",))]) == [0]


@pytest.mark.parametrize(
    ("text", "stored"),
    [
        ("a\x00b", "a\ufffdb"),
        ("half \ud83d of a smile", "half \ufffd of a smile"),
        ("two halves \ud83d\ude00", "two halves 😀"),
        ("\u202eright to left\u202c and \u200bnothing\u200d", "\u202eright to left\u202c and \u200bnothing\u200d"),
        ("\ufeffmarked", "\ufeffmarked"),
        (
            "<script>alert(1)</script> '; DROP TABLE messages; --",
            "<script>alert(1)</script> '; DROP TABLE messages; --",
        ),
        ("", ""),
        ("👩‍👩‍👧‍👦 शुभ", "👩‍👩‍👧‍👦 शुभ"),
        ("\r\n\t\x01\x7f", "\r\n\t\x01\x7f"),
    ],
)
async def test_hostile_text_is_kept_as_far_as_it_can_be(core: Core, text: str, stored: str) -> None:
    message = await core.receive(7, text, peer=Peer(user_id=7, name=text, username=text))
    assert await core.value("SELECT text FROM messages") == stored
    assert await core.execute("SELECT name, username FROM people") == [{"name": stored or "7", "username": stored}]
    await give(core, MessageEdited(7, message.message_id, text + text, START))
    conversation = await core.customer(7)
    assert len(await core.memory.recall(conversation)) == 1


async def test_a_megabyte_of_text_is_kept_whole(core: Core) -> None:
    text = "äöü " * 250_000
    await core.receive(7, text, peer=Peer(user_id=7, name="n" * 100_000))
    assert await core.value("SELECT text FROM messages") == text
    assert await core.value("SELECT length(name) FROM people") == 200


async def test_an_edit_changes_the_text_and_raises_the_revision(core: Core) -> None:
    message = await core.receive(7, "tomorow")
    await give(core, MessageEdited(7, message.message_id, "tomorrow", START))
    assert await core.execute("SELECT text, edited_at FROM messages") == [{"text": "tomorrow", "edited_at": START}]
    assert await revision(core) == 2
    await give(core, MessageEdited(7, message.message_id, "tomorrow", START))
    assert await revision(core) == 2


async def test_an_edit_that_comes_again_late_does_not_undo_a_later_one(core: Core) -> None:
    message = await core.receive(7, "one")
    first = MessageEdited(7, message.message_id, "two", START)
    second = MessageEdited(7, message.message_id, "three", START + timedelta(seconds=1))
    for event in (first, second, first, second):
        await give(core, event)
    assert await core.value("SELECT text FROM messages") == "three"
    assert await revision(core) == 3


async def test_deletions_find_the_chat_by_themselves(core: Core) -> None:
    first, second, other = [await core.receive(chat, "hello") for chat in (1, 2, 3)]
    await give(core, MessagesDeleted(message_ids=(first.message_id, second.message_id, 999), chat_id=None))
    rows = await core.execute("SELECT chat_id, deleted_at IS NOT NULL AS gone FROM messages ORDER BY chat_id")
    assert [row["gone"] for row in rows] == [True, True, False]
    revisions = await core.execute("SELECT revision FROM conversations ORDER BY chat_id")
    assert [row["revision"] for row in revisions] == [2, 2, 1]
    await give(core, MessagesDeleted(message_ids=(first.message_id,), chat_id=None))
    assert await core.value("SELECT revision FROM conversations WHERE chat_id = 1") == 2
    assert other.message_id not in (first.message_id, second.message_id)


async def test_deletions_leave_other_accounts_alone(core: Core) -> None:
    message = await core.receive(7)
    await core.own("another")
    await give(core, message)
    await give(core, MessagesDeleted(message_ids=(message.message_id,), chat_id=None))
    rows = await core.execute("SELECT telegram_account_id FROM messages WHERE deleted_at IS NOT NULL")
    assert rows == [{"telegram_account_id": "another"}]


async def test_a_message_from_the_phone_raises_the_revision_and_begins_no_burst(core: Core, clock: HandClock) -> None:
    await core.receive(7, "I am on it", outgoing=True)
    (row,) = await core.execute("SELECT direction, author FROM messages")
    assert (row["direction"], row["author"]) == ("out", "phone")
    assert await revision(core) == 1
    assert await core.value("SELECT last_inbound_at FROM conversations") is None
    clock.advance(100)
    assert await core.claim_and_seal() == 0


async def test_edits_and_deletions_of_unknown_messages_change_nothing(core: Core) -> None:
    await core.receive(7)
    await give(core, MessageEdited(7, 999, "x", START))
    await give(core, MessageEdited(8, 1, "x", START))
    await give(core, MessagesDeleted(message_ids=(999,), chat_id=7))
    assert await revision(core) == 1


async def test_an_erased_customer_who_writes_again_begins_anew(core: Core) -> None:
    await core.receive(7, "before")
    await core.execute("DELETE FROM messages")
    await core.execute("DELETE FROM conversations")
    await core.execute("DELETE FROM people")
    await core.receive(7, "after")
    assert await core.value("SELECT text FROM messages") == "after"
    assert await revision(core) == 1


async def test_intake_needs_one_statement_for_a_known_chat(core: Core) -> None:
    await core.receive(7)
    executed: list[str] = []
    connection = core.database.connection

    def counting() -> Any:
        executed.append("connection")
        return connection()

    core.database.connection = counting  # type: ignore[method-assign]  # counts what intake asks for
    try:
        await core.receive(7)
    finally:
        core.database.connection = connection  # type: ignore[method-assign]  # as it was
    assert executed == ["connection"]


async def test_pages_are_told_of_each_message(core: Core) -> None:
    position = await core.events.latest_id()
    message = await core.receive(7)
    await core.receive(7, "from the phone", outgoing=True)
    await give(core, MessageEdited(7, message.message_id, "new", START))
    events = await core.events.after(position)
    assert [event.kind for event in events] == ["message.received", "message.received", "message.revised"]
    assert len({event.fields["conversation"] for event in events}) == 1


async def test_an_old_token_writes_nothing(core: Core, other_core: Core) -> None:
    message = await core.receive(7, "before")
    await other_core.own()
    for event in (
        core.message(7, "known chat"),
        core.message(8, "new chat"),
        core.message(7, "new name", peer=Peer(user_id=7, name="Someone else")),
        MessageEdited(7, message.message_id, "edited", START),
        MessagesDeleted(message_ids=(message.message_id,), chat_id=None),
    ):
        with pytest.raises(NotOwnerError):
            await give(core, event)
    assert await core.execute("SELECT text, deleted_at FROM messages") == [{"text": "before", "deleted_at": None}]
    assert await core.execute("SELECT name FROM people") == [{"name": "Customer 7"}]
    assert await revision(core) == 1


async def test_an_expired_ownership_writes_nothing(core: Core) -> None:
    await core.receive(7)
    await core.execute("UPDATE telegram_accounts SET expires_at = clock_timestamp() - interval '1 ms'")
    with pytest.raises(NotOwnerError):
        await core.receive(7)
    assert await core.value("SELECT count(*) FROM messages") == 1


async def test_a_take_over_waits_for_what_the_old_owner_is_writing(core: Core, other_core: Core) -> None:
    """A message whose statement began before the take-over is committed before it; none after."""
    await core.receive(7, "first")
    conversation = await core.customer(7)
    async with core.database.transaction() as conn:
        await conn.execute("SELECT 1 FROM conversations WHERE id = %s FOR UPDATE", (conversation.id,))
        writing = asyncio.create_task(core.receive(7, "under way"))
        await _until_waiting(core, 1)
        taking = asyncio.create_task(other_core.own())
        await _until_waiting(core, 2)
        assert not taking.done()
    await writing
    successor = await taking
    assert successor.fencing_token > core.ownership.fencing_token
    with pytest.raises(NotOwnerError):
        await core.receive(7, "too late")
    assert await core.value("SELECT count(*) FROM messages") == 2


async def test_take_overs_amid_a_flood_leave_each_message_with_its_owner(core: Core, other_core: Core) -> None:
    refused = 0

    async def flood() -> None:
        nonlocal refused
        for _ in range(300):
            try:
                await core.receive(7)
            except NotOwnerError:
                refused += 1
                return

    flooding = asyncio.create_task(flood())
    while await core.value("SELECT count(*) FROM messages") < 20:
        await asyncio.sleep(0)
    await other_core.own()
    stored = await core.value("SELECT count(*) FROM messages")
    await flooding
    assert refused == 1
    assert await core.value("SELECT count(*) FROM messages") == stored
    assert await revision(core) == stored


async def test_a_message_while_a_reviewer_decides_makes_the_draft_stale(core: Core) -> None:
    batch = await core.sealed(7)
    await core.take_to(batch.id, BatchState.DRAFTED, BatchState.IN_REVIEW)
    assert await revision(core) == batch.conversation_revision
    await core.receive(7, "never mind")
    assert await revision(core) > batch.conversation_revision


async def _until_waiting(core: Core, count: int) -> None:
    async with asyncio.timeout(10):
        while await core.value("SELECT count(*) FROM pg_locks WHERE NOT granted") < count:
            await asyncio.sleep(0.01)


async def test_an_account_that_is_not_registered_is_not_ours(core: Core) -> None:
    core.ownership.account_id = "nobody"
    with pytest.raises(NotOwnerError):
        await core.receive(7)
    assert await core.value("SELECT count(*) FROM people") == 0
