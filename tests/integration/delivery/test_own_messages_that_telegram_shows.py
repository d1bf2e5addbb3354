"""Telegram shows what we send ourselves, before or after delivery has it on record: it makes no reply outdated."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from nadia.conversations.models import Conversation
from nadia.embedded.endpoints import RedisEndpoint
from nadia.redis.connection import RedisConnection
from nadia.redis.source import RedisSource
from nadia.review.models import Resolution
from nadia.telegram.gateway import IncomingMessage, MessageKind, Peer, SentMessage
from nadia.telegram.sandbox.gateway import SandboxGateway
from support.core import Core
from support.gateway_through import Through
from support.post_office import PostOffice
from support.reply_world import World


class Telegram:
    """Shows intake messages of the account, as updates and histories do."""

    def __init__(self, *, world: World, redis: RedisConnection) -> None:
        self.world = world
        core = Core(database=world.database, redis=redis)
        self.intake = core.intake
        self.memory = core.memory

    async def shows(
        self, conversation: Conversation, text: str, message_id: int, *, kind: MessageKind = MessageKind.TEXT
    ) -> bool:
        """An outgoing message reaches intake; returns whether it was news."""
        message = IncomingMessage(
            chat_id=conversation.chat_id,
            message_id=message_id,
            peer=Peer(user_id=conversation.chat_id, name="Mina"),
            text=text,
            sent_at=datetime.now(UTC),
            kind=kind,
            outgoing=True,
        )
        return await self.intake.receive(message, ownership=self.world.ownership, network="sandbox")

    async def remembered(self, conversation: Conversation) -> list[tuple[str, str]]:
        now = await self.world.messages.find_conversation(account_id="sandbox", chat_id=conversation.chat_id)
        assert now is not None
        return [(entry.author, entry.text) for entry in await self.memory.recall(now)]


class ShowsAtOnce(Through):
    """Telegram's update about what is being sent overtakes the answer to the request."""

    def __init__(self, real: SandboxGateway, telegram: Telegram, conversation: Conversation) -> None:
        super().__init__(real)
        self._telegram = telegram
        self._conversation = conversation

    async def send(self, *, chat_id: int, text: str, random_id: int) -> SentMessage:
        sent = await super().send(chat_id=chat_id, text=text, random_id=random_id)
        await self._telegram.shows(self._conversation, text, sent.message_id)
        return sent


@pytest.fixture
async def telegram(world: World, redis_endpoint: RedisEndpoint) -> AsyncIterator[Telegram]:
    connection = RedisConnection(RedisSource(url=redis_endpoint.url))
    yield Telegram(world=world, redis=connection)
    await connection.close()


async def in_sending(office: PostOffice, conversation: Conversation, *bubbles: str) -> int:
    """A reply whose first bubble a process that died had begun to send."""
    batch_id = await office.approved(conversation, *bubbles)
    await office.world.execute("UPDATE batches SET state = 'sending' WHERE id = %s", batch_id)
    await office.world.execute(
        "UPDATE outbox SET state = 'sending', attempts = 1, sending_since = clock_timestamp() - %(ago)s,"
        " after_message_id = (SELECT max(telegram_message_id) FROM messages WHERE chat_id = %(chat_id)s)"
        " WHERE batch_id = %(batch_id)s AND position = 0",
        ago=timedelta(seconds=1),
        chat_id=conversation.chat_id,
        batch_id=batch_id,
    )
    return batch_id


async def authors(world: World, conversation: Conversation) -> list[tuple[str, str]]:
    """Who said what, in Telegram's order."""
    history = await world.messages.history(conversation.id, limit=50)
    return [(message.author, message.text) for message in history.messages]


async def test_an_update_that_overtakes_the_answer_leaves_the_reply_whole(
    office: PostOffice, world: World, telegram: Telegram
) -> None:
    conversation = await office.customer()
    batch_id = await office.approved(conversation, "one", "two", "three")
    before = await world.revision(conversation)
    async with office.delivering(wrap=lambda real: ShowsAtOnce(real, telegram, conversation)):
        await office.reaches(batch_id, "sent")
    assert await office.received(conversation) == ["one", "two", "three"]
    assert (await authors(world, conversation))[1:] == [("desk", "one"), ("desk", "two"), ("desk", "three")]
    assert await world.revision(conversation) == before
    assert await telegram.remembered(conversation) == await authors(world, conversation)


async def test_a_message_that_delivery_has_on_record_is_no_news(
    office: PostOffice, world: World, telegram: Telegram
) -> None:
    conversation = await office.customer()
    batch_id = await office.approved(conversation, "one")
    before = await world.revision(conversation)
    async with office.delivering():
        await office.reaches(batch_id, "sent")
    (row,) = await world.outbox_rows(batch_id)
    for _ in range(2):
        assert not await telegram.shows(conversation, "one", row["telegram_message_id"])
    assert (await authors(world, conversation))[1:] == [("desk", "one")]
    assert await world.revision(conversation) == before


async def test_what_a_dead_process_sent_and_recovery_finds_first_is_still_found_by_delivery(
    office: PostOffice, world: World, telegram: Telegram
) -> None:
    conversation = await office.customer()
    batch_id = await in_sending(office, conversation, "one", "two")
    number = await office.network.post_from_phone(conversation.chat_id, "one")  # the dead process's request
    assert await telegram.shows(conversation, "one ", number)  # Telegram trims; others may not
    assert not await telegram.shows(conversation, "one", number)
    assert (await authors(world, conversation))[1:] == [("phone", "one ")]
    async with office.delivering():
        await office.reaches(batch_id, "sent")
    assert await office.received(conversation) == ["one", "two"]
    assert [author for author, _ in await authors(world, conversation)] == ["customer", "desk", "desk"]


@pytest.mark.parametrize(
    ("text", "kind"), [("two", MessageKind.TEXT), ("one more", MessageKind.TEXT), ("one", MessageKind.PHOTO)]
)
async def test_something_else_from_the_phone_brings_the_rest_back_to_the_desk(
    office: PostOffice, world: World, telegram: Telegram, text: str, kind: MessageKind
) -> None:
    conversation = await office.customer()
    batch_id = await in_sending(office, conversation, "one", "two")
    await office.network.post_from_phone(conversation.chat_id, "one")
    number = await office.network.post_from_phone(conversation.chat_id, text)
    before = await world.revision(conversation)
    assert await telegram.shows(conversation, text, number, kind=kind)
    assert await world.revision(conversation) == before + 1
    if kind is MessageKind.TEXT:
        async with office.delivering():
            await office.reaches(batch_id, "in_review")
        assert [row["state"] for row in await world.outbox_rows(batch_id)] == ["sent", "cancelled"]


async def test_words_of_a_reply_that_has_not_begun_to_leave_are_the_operator_s_own(
    office: PostOffice, world: World, telegram: Telegram
) -> None:
    conversation = await office.customer()
    batch_id = await office.approved(conversation, "one", "two")
    before = await world.revision(conversation)
    number = await office.network.post_from_phone(conversation.chat_id, "one")
    await telegram.shows(conversation, "one", number)
    assert await world.revision(conversation) == before + 1
    async with office.delivering():
        await office.reaches(batch_id, "in_review")
    assert await office.received(conversation) == ["one"]  # the phone's


async def test_the_same_words_from_an_older_message_are_not_taken_for_the_reply(
    office: PostOffice, world: World, telegram: Telegram
) -> None:
    conversation = await office.customer()
    number = await office.network.post_from_phone(conversation.chat_id, "one")
    await in_sending(office, conversation, "one", "two")
    before = await world.revision(conversation)
    await telegram.shows(conversation, "one", number)  # read late, as recovery does
    assert await world.revision(conversation) == before + 1
    assert (await authors(world, conversation))[0] == ("phone", "one")


async def test_the_same_words_typed_on_the_phone_while_the_reply_leaves_do_not_hold_it_up(
    office: PostOffice, world: World, telegram: Telegram
) -> None:
    conversation = await office.customer()

    class TypedMeanwhile(Through):
        async def send(self, *, chat_id: int, text: str, random_id: int) -> SentMessage:
            if text == "one":
                number = await office.network.post_from_phone(chat_id, text)
                await telegram.shows(conversation, text, number)
            return await super().send(chat_id=chat_id, text=text, random_id=random_id)

    batch_id = await office.approved(conversation, "one", "two")
    async with office.delivering(wrap=TypedMeanwhile):
        await office.reaches(batch_id, "sent")
    assert await office.received(conversation) == ["one", "one", "two"]
    assert (await authors(world, conversation))[1:] == [("phone", "one"), ("desk", "one"), ("desk", "two")]
    assert await telegram.remembered(conversation) == await authors(world, conversation)


async def test_intake_and_delivery_at_the_same_moment_agree(
    office: PostOffice, world: World, telegram: Telegram
) -> None:
    conversations = [await office.customer(f"Mina {number}") for number in range(12)]
    batches = [await office.approved(conversation, "one", "two") for conversation in conversations]
    shown: set[asyncio.Task[bool]] = set()

    class ShowsBeside(Through):
        async def send(self, *, chat_id: int, text: str, random_id: int) -> SentMessage:
            sent = await super().send(chat_id=chat_id, text=text, random_id=random_id)
            (conversation,) = [one for one in conversations if one.chat_id == chat_id]
            shown.add(asyncio.create_task(telegram.shows(conversation, text, sent.message_id)))
            return sent

    async with office.delivering(wrap=ShowsBeside):
        for batch_id in batches:
            await office.reaches(batch_id, "sent")
    await asyncio.gather(*shown)
    assert len(shown) == 24
    for conversation in conversations:
        assert (await authors(world, conversation))[1:] == [("desk", "one"), ("desk", "two")]
        assert await world.revision(conversation) == 1
        assert await telegram.remembered(conversation) == await authors(world, conversation)


async def parked_in_doubt(office: PostOffice, conversation: Conversation) -> int:
    """A reply of one bubble that may have gone out."""
    batch_id = await in_sending(office, conversation, "one")
    await office.world.execute("UPDATE outbox SET state = 'parked' WHERE batch_id = %s", batch_id)
    await office.world.execute(
        "UPDATE batches SET state = 'parked', parked_from = 'sending', parked_reason = 'doubt' WHERE id = %s", batch_id
    )
    return batch_id


async def test_a_reply_that_a_person_vouched_for_gets_its_id_when_it_turns_up(
    office: PostOffice, world: World, telegram: Telegram
) -> None:
    conversation = await office.customer()
    batch_id = await parked_in_doubt(office, conversation)
    number = await office.network.post_from_phone(conversation.chat_id, "one")
    await world.desk.unpark(batch_id, office.reviewer, resolution=Resolution.WAS_SENT)
    await office.writes(conversation, "thanks")
    before = await world.revision(conversation)
    expected = [("customer", "How much is shipping?"), ("desk", "one"), ("customer", "thanks")]
    assert await authors(world, conversation) == expected  # in its place without an id, too
    assert await telegram.remembered(conversation) == expected
    for _ in range(2):
        assert not await telegram.shows(conversation, "one", number)
    assert await authors(world, conversation) == expected
    assert await telegram.remembered(conversation) == expected
    assert await world.revision(conversation) == before
    (row,) = await world.outbox_rows(batch_id)
    (stored,) = await world.execute("SELECT * FROM messages WHERE author = 'desk'")
    assert row["telegram_message_id"] == stored["telegram_message_id"] == number
    assert stored["after_message_id"] is None


async def test_a_reply_in_doubt_that_turns_up_waits_for_its_person_with_nothing_outdated(
    office: PostOffice, world: World, telegram: Telegram
) -> None:
    conversation = await office.customer()
    batch_id = await parked_in_doubt(office, conversation)
    before = await world.revision(conversation)
    number = await office.network.post_from_phone(conversation.chat_id, "one")
    assert await telegram.shows(conversation, "one", number)
    assert await world.revision(conversation) == before
    assert await world.state(batch_id) == "parked"
    await world.desk.unpark(batch_id, office.reviewer, resolution=Resolution.WAS_SENT)
    assert (await authors(world, conversation))[1:] == [("desk", "one")]  # one message, the one that was shown
    (row,) = await world.outbox_rows(batch_id)
    assert (row["state"], row["telegram_message_id"]) == ("sent", number)


async def test_a_process_that_lost_the_account_records_nothing_of_it(
    office: PostOffice, world: World, telegram: Telegram
) -> None:
    conversation = await office.customer()
    batch_id = await parked_in_doubt(office, conversation)
    await world.desk.unpark(batch_id, office.reviewer, resolution=Resolution.WAS_SENT)
    await world.execute("UPDATE telegram_accounts SET fencing_token = fencing_token + 1")
    with pytest.raises(Exception, match="no longer owns"):
        await telegram.shows(conversation, "one", 77)
    (row,) = await world.outbox_rows(batch_id)
    assert row["telegram_message_id"] < 0
