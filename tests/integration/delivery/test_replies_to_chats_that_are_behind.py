"""A reply to a chat that may hold messages nobody here has read waits for them, and for nothing else waits another."""

import asyncio
from collections import Counter
from functools import partial

import pytest

from nadia.conversations.models import Conversation
from nadia.delivery import sender
from nadia.delivery.config import DeliverySettings
from nadia.postgres.database import Connection
from nadia.telegram.gateway import SentMessage
from support.gateway_through import Through
from support.post_office import PostOffice, until

BEHIND = "waits until what was missed in this chat is read"


class Reading:
    """Chats that are being read again."""

    def __init__(self, *chats: Conversation) -> None:
        self.pending = {chat.id for chat in chats}
        self.asked: Counter[int] = Counter()

    async def is_behind(self, conn: Connection, conversation: Conversation) -> bool:
        self.asked[conversation.id] += 1
        return conversation.id in self.pending


async def is_held(office: PostOffice, batch_id: int, *, position: int = 0) -> bool:
    return bool((await office.world.outbox_rows(batch_id))[position]["last_error"] == BEHIND)


async def test_replies_that_wait_for_their_chats_hold_up_no_other(office: PostOffice) -> None:
    behind = [await office.customer() for _ in range(3)]
    held = [await office.approved(each, "later") for each in behind]
    other = await office.customer()
    free = await office.approved(other, "now")
    reading = Reading(*behind)
    narrow = DeliverySettings(variance=0, settle_seconds=0, concurrency=2)
    async with office.delivering(settings=narrow, catching_up=reading):
        await office.reaches(free, "sent", within=5)
        for batch_id in held:
            await until(partial(is_held, office, batch_id), what="a reason at the desk")
    assert await office.received(other) == ["now"]
    assert [await office.received(each) for each in behind] == [[], [], []]


async def test_a_reply_leaves_once_its_chat_is_read_and_says_no_more_that_it_waits(
    office: PostOffice, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sender, "_FIRST_HOLD_SECONDS", 0.02)
    conversation = await office.customer()
    batch_id = await office.approved(conversation, "one", "two")
    reading = Reading(conversation)
    async with office.delivering(catching_up=reading):
        await until(lambda: is_held(office, batch_id), what="a reason at the desk")
        assert await office.world.state(batch_id) == "approved"
        reading.pending.clear()
        await office.reaches(batch_id, "sent")
    assert await office.received(conversation) == ["one", "two"]
    assert [row["last_error"] for row in await office.world.outbox_rows(batch_id)] == [None, None]


async def test_a_reply_waits_between_two_bubbles_too(office: PostOffice, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sender, "_FIRST_HOLD_SECONDS", 0.02)
    conversation = await office.customer()
    batch_id = await office.approved(conversation, "one", "two")
    reading = Reading()

    class MissesSomethingThen(Through):
        async def send(self, *, chat_id: int, text: str, random_id: int) -> SentMessage:
            if text == "one":
                reading.pending.add(conversation.id)
            return await self.real.send(chat_id=chat_id, text=text, random_id=random_id)

    async with office.delivering(catching_up=reading, wrap=MissesSomethingThen):
        await until(lambda: is_held(office, batch_id, position=1), what="the second bubble's reason")
        assert await office.received(conversation) == ["one"]
        reading.pending.clear()
        await office.reaches(batch_id, "sent")
    assert await office.received(conversation) == ["one", "two"]


async def test_a_reply_that_waits_is_asked_about_less_and_less_often(
    office: PostOffice, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sender, "_FIRST_HOLD_SECONDS", 600.0)
    monkeypatch.setattr(sender, "_LONGEST_HOLD_SECONDS", 1_000.0)
    conversation, other = await office.customer(), await office.customer()
    reading = Reading(conversation)
    batch_id = await office.approved(conversation, "later")
    now = 0.0
    async with office.connected() as gateway:
        delivery = office.delivery(gateway, catching_up=reading)
        delivery._monotonic = lambda: now
        running = asyncio.create_task(delivery.run())
        for passed, times in [(0.0, 1), (599.0, 1), (600.0, 2), (1_599.0, 2), (1_600.0, 3), (2_599.0, 3)]:
            now = passed
            await office.reaches(await office.approved(other, "now"), "sent")  # it has surely looked meanwhile
            assert reading.asked[conversation.id] == times
        running.cancel()
        await asyncio.wait({running})
    assert await is_held(office, batch_id)


async def test_a_reply_that_waits_goes_back_to_the_desk_as_soon_as_the_customer_is_known_to_have_written(
    office: PostOffice, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sender, "_FIRST_HOLD_SECONDS", 3_600.0)
    conversation = await office.customer()
    batch_id = await office.approved(conversation, "too late")
    async with office.delivering(catching_up=Reading(conversation)):
        await until(lambda: is_held(office, batch_id), what="a reason at the desk")
        await office.writes(conversation, "Never mind.")
        await office.reaches(batch_id, "in_review", within=5)
    assert await office.received(conversation) == []
