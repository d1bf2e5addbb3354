"""A process that dies while it sends, and the one that comes after it."""

import random
from datetime import UTC, datetime, timedelta

import pytest

from nadia.conversations.messages import NewMessage
from nadia.conversations.models import Conversation
from nadia.delivery.config import DeliverySettings
from nadia.delivery.hold import Hold
from nadia.delivery.ledger import Ledger
from nadia.delivery.reply import ReplySender
from nadia.delivery.typing import TypingSimulator
from nadia.review.models import Resolution
from nadia.telegram.errors import GatewayError, RandomIdDuplicateError, SendUncertainError, TelegramTroubleError
from nadia.telegram.gateway import IncomingMessage, SentMessage
from nadia.telegram.sandbox.address import UnixAddress
from nadia.telegram.sandbox.faults import FaultKind
from nadia.telegram.sandbox.server import SandboxServer
from support.gateway_through import Through
from support.kill_points import run_killed
from support.post_office import PostOffice, no_time, until
from support.sandbox_network import connected_to


async def left_in_sending(office: PostOffice, conversation: Conversation, *bubbles: str, ago: float = 1.0) -> int:
    """A reply whose first bubble another process began to send so many seconds ago, and never said how it ended."""
    batch_id = await office.approved(conversation, *bubbles)
    await office.world.execute("UPDATE batches SET state = 'sending' WHERE id = %s", batch_id)
    await office.world.execute(
        "UPDATE outbox SET state = 'sending', attempts = 1, sending_since = clock_timestamp() - %(ago)s,"
        " after_message_id = (SELECT max(telegram_message_id) FROM messages WHERE chat_id = %(chat_id)s)"
        " WHERE batch_id = %(batch_id)s AND position = 0",
        ago=timedelta(seconds=ago),
        chat_id=conversation.chat_id,
        batch_id=batch_id,
    )
    return batch_id


async def test_what_a_dead_process_sent_is_found_in_the_history(office: PostOffice) -> None:
    conversation = await office.customer()
    batch_id = await left_in_sending(office, conversation, "one", "two")
    await office.network.post_from_phone(conversation.chat_id, "one")  # as the dead process's request arrived
    async with office.delivering():
        await office.reaches(batch_id, "sent")
    assert await office.received(conversation) == ["one", "two"]
    assert await office.world.replies(conversation) == ["one", "two"]
    first, _ = await office.world.outbox_rows(batch_id)
    assert first["attempts"] == 1


async def test_what_a_dead_process_did_not_send_is_sent(office: PostOffice) -> None:
    conversation = await office.customer()
    batch_id = await left_in_sending(office, conversation, "one", "two")
    random_id = (await office.world.outbox_rows(batch_id))[0]["random_id"]
    async with office.delivering():
        await office.reaches(batch_id, "sent")
    assert await office.received(conversation) == ["one", "two"]
    assert (await office.world.outbox_rows(batch_id))[0]["random_id"] == random_id


async def test_the_history_is_believed_only_when_nothing_can_be_on_its_way(office: PostOffice) -> None:
    conversation = await office.customer()
    batch_id = await left_in_sending(office, conversation, "one")
    async with office.delivering(settings=DeliverySettings(variance=0, settle_seconds=1.5)):
        await until(lambda: is_looking(office, batch_id), what="a first look")
        await office.network.post_from_phone(conversation.chat_id, "one")  # the dead process's request arrives late
        await office.reaches(batch_id, "sent")
    assert await office.received(conversation) == ["one"]


async def is_looking(office: PostOffice, batch_id: int) -> bool:
    (row, *_) = await office.world.outbox_rows(batch_id)
    return str(row["last_error"]) == "looking whether it was sent"


async def test_an_older_message_with_the_same_text_is_not_taken_for_it(office: PostOffice) -> None:
    conversation = await office.customer()
    async with office.delivering():
        await office.reaches(await office.approved(conversation, "one"), "sent")
    batch_id = await left_in_sending(office, conversation, "one")
    async with office.delivering():
        await office.reaches(batch_id, "sent")
    assert await office.received(conversation) == ["one", "one"]


async def test_clocks_that_disagree_do_not_hide_what_was_sent(office: PostOffice) -> None:
    """PostgreSQL's is an hour ahead of Telegram's."""
    conversation = await office.customer()
    batch_id = await left_in_sending(office, conversation, "one", ago=-3_600)
    await office.network.post_from_phone(conversation.chat_id, "one")
    async with office.delivering():
        await office.reaches(batch_id, "sent")
    assert await office.received(conversation) == ["one"]


async def test_an_attempt_remembers_what_the_chat_held_before(office: PostOffice) -> None:
    conversation = await office.customer()
    batch_id = await office.approved(conversation, "one", "two")
    (before,) = await office.world.execute("SELECT max(telegram_message_id) AS newest FROM messages")
    async with office.delivering():
        await office.reaches(batch_id, "sent")
    first, second = await office.world.outbox_rows(batch_id)
    assert first["after_message_id"] == before["newest"]
    assert second["after_message_id"] == first["telegram_message_id"]


async def test_our_own_message_on_record_as_written_by_hand_becomes_the_desks(office: PostOffice) -> None:
    conversation = await office.customer()
    batch_id = await left_in_sending(office, conversation, "one")
    number = await office.network.post_from_phone(conversation.chat_id, "one")
    by_hand = NewMessage(
        telegram_message_id=number,
        direction="out",
        author="phone",
        kind="text",
        text="one",
        reply_to=None,
        sent_at=datetime.now(UTC),
    )
    token = office.world.ownership.fencing_token
    await office.world.messages.record(conversation, by_hand, fencing_token=token)
    async with office.delivering():
        await office.reaches(batch_id, "sent")
    assert await office.received(conversation) == ["one"]
    assert await office.world.replies(conversation) == ["one"]
    (row,) = await office.world.execute("SELECT author, batch_id FROM messages WHERE direction = 'out'")
    assert row == {"author": "desk", "batch_id": batch_id}


async def test_two_messages_that_it_could_be_are_left_to_a_person(office: PostOffice) -> None:
    conversation = await office.customer()
    batch_id = await left_in_sending(office, conversation, "one", "two")
    for _ in range(2):
        await office.network.post_from_phone(conversation.chat_id, "one")
    async with office.delivering():
        await office.reaches(batch_id, "parked")
        assert await office.world.notices() == ["batch.parked"]
        await office.world.desk.unpark(batch_id, office.reviewer, resolution=Resolution.WAS_SENT)
        await office.reaches(batch_id, "sent")
    assert await office.received(conversation) == ["one", "one", "two"]


async def test_a_stale_reply_in_doubt_is_settled_before_it_comes_back(office: PostOffice) -> None:
    sent, unsent = await office.customer(), await office.customer()
    was_sent = await left_in_sending(office, sent, "one", "two")
    was_not = await left_in_sending(office, unsent, "one", "two")
    await office.network.post_from_phone(sent.chat_id, "one")
    for conversation in (sent, unsent):
        await office.writes(conversation, "never mind")
    async with office.delivering():
        await office.reaches(was_sent, "in_review")
        await office.reaches(was_not, "in_review")
    assert [row["state"] for row in await office.world.outbox_rows(was_sent)] == ["sent", "cancelled"]
    assert [row["state"] for row in await office.world.outbox_rows(was_not)] == ["cancelled", "cancelled"]
    assert await office.received(sent) == ["one"]
    assert await office.received(unsent) == []


async def test_an_attempt_older_than_the_time_out_is_looked_up_before_it_is_repeated(office: PostOffice) -> None:
    """Also by the process that began it: nobody promises that Telegram still knows the random id."""
    conversation = await office.customer()
    batch_id = await office.approved(conversation, "one")
    random_ids: list[int] = []

    class LosesAnswers(Through):
        async def send(self, *, chat_id: int, text: str, random_id: int) -> SentMessage:
            random_ids.append(random_id)
            await self.real.send(chat_id=chat_id, text=text, random_id=random_id)
            await office.world.execute("UPDATE outbox SET sending_since = now() - interval '6 minutes'")
            raise SendUncertainError("no answer came")

    async with office.delivering(wrap=LosesAnswers):
        await until(lambda: is_postponed(office, batch_id), what="the first attempt")
        # The message is younger than its attempt now claims to be, as it should be.
        await office.reaches(batch_id, "sent")
    assert len(random_ids) == 1
    assert await office.received(conversation) == ["one"]


async def is_postponed(office: PostOffice, batch_id: int) -> bool:
    return (await office.world.outbox_rows(batch_id))[0]["last_error"] is not None


async def test_a_history_that_cannot_be_read_for_long_is_left_to_a_person(office: PostOffice) -> None:
    conversation = await office.customer()
    batch_id = await left_in_sending(office, conversation, "one", ago=400)

    class Illegible(Through):
        async def history(
            self, *, chat_id: int, after_id: int | None = None, before_id: int | None = None, limit: int = 100
        ) -> list[IncomingMessage]:
            raise GatewayError("the history cannot be read")

    async with office.delivering(wrap=Illegible):
        await office.reaches(batch_id, "parked")
    assert await office.received(conversation) == []
    assert "cannot be read" in ((await office.world.desk.item(batch_id)).item.parked_reason or "")


async def test_telegrams_trouble_with_one_chat_holds_up_no_other_reply(office: PostOffice) -> None:
    broken, fine = await office.customer(), await office.customer()
    batch_id = await left_in_sending(office, broken, "one")

    class Illegible(Through):
        async def history(
            self, *, chat_id: int, after_id: int | None = None, before_id: int | None = None, limit: int = 100
        ) -> list[IncomingMessage]:
            raise TelegramTroubleError("an answer that nobody can read")

    async with office.delivering(wrap=Illegible) as delivery:
        await until(lambda: is_postponed(office, batch_id), what="the first look")
        assert not delivery._hold.is_on
        await office.reaches(await office.approved(fine, "yes"), "sent")
        assert await office.world.state(batch_id) == "sending"
        await office.world.execute(
            "UPDATE outbox SET send_after = now(), sending_since = now() - interval '6 minutes' WHERE batch_id = %s",
            batch_id,
        )
        await office.reaches(batch_id, "parked")


async def test_a_history_that_has_to_wait_is_read_later(office: PostOffice) -> None:
    conversation = await office.customer()
    batch_id = await left_in_sending(office, conversation, "one")
    await office.network.post_from_phone(conversation.chat_id, "one")
    await office.network.control.force(FaultKind.FLOOD_WAIT, method="account.history", seconds=1)
    async with office.delivering():
        await office.reaches(batch_id, "sent")
    assert await office.received(conversation) == ["one"]


async def test_a_message_that_telegram_has_and_nobody_finds_is_left_to_a_person(office: PostOffice) -> None:
    conversation = await office.customer()
    batch_id = await office.approved(conversation, "one")

    class Knows(Through):
        async def send(self, *, chat_id: int, text: str, random_id: int) -> SentMessage:
            raise RandomIdDuplicateError("this message was accepted before")

    async with office.delivering(wrap=Knows):
        await until(lambda: is_postponed(office, batch_id), what="the first attempt")
        assert await office.world.state(batch_id) == "sending"
        await office.world.execute("UPDATE outbox SET send_after = now(), sending_since = now() - interval '6 minutes'")
        await until(lambda: has_attempts(office, batch_id, 2), what="the second attempt")
        await office.reaches(batch_id, "parked")


async def has_attempts(office: PostOffice, batch_id: int, count: int) -> bool:
    (row,) = await office.world.outbox_rows(batch_id)
    return int(row["attempts"]) >= count


async def test_a_history_longer_than_a_page_is_read_to_the_attempt(office: PostOffice) -> None:
    conversation = await office.customer()
    batch_id = await left_in_sending(office, conversation, "one")
    await office.network.post_from_phone(conversation.chat_id, "one")
    for number in range(120):
        await office.network.write(conversation.chat_id, f"{number}")
    async with office.delivering():
        await office.reaches(batch_id, "sent")
    assert await office.received(conversation) == ["one"]


async def test_a_page_that_is_only_short_does_not_hide_what_was_sent(office: PostOffice) -> None:
    conversation = await office.customer()
    batch_id = await left_in_sending(office, conversation, "one")
    for number in range(5):
        await office.network.write(conversation.chat_id, f"{number}")
    await office.network.post_from_phone(conversation.chat_id, "one")

    class ShortPages(Through):
        async def history(
            self, *, chat_id: int, after_id: int | None = None, before_id: int | None = None, limit: int = 100
        ) -> list[IncomingMessage]:
            page = await self.real.history(chat_id=chat_id, after_id=after_id, before_id=before_id, limit=limit)
            return page[:2]

    async with office.delivering(wrap=ShortPages):
        await office.reaches(batch_id, "sent")
    assert await office.received(conversation) == ["one"]


async def test_the_record_of_a_found_message_has_telegrams_id_and_time(office: PostOffice) -> None:
    conversation = await office.customer()
    batch_id = await left_in_sending(office, conversation, "one")
    number = await office.network.post_from_phone(conversation.chat_id, "one")
    async with office.delivering():
        await office.reaches(batch_id, "sent")
    (row,) = await office.world.outbox_rows(batch_id)
    assert row["telegram_message_id"] == number
    assert datetime.now(UTC) - row["sent_at"] < timedelta(minutes=1)


@pytest.mark.parametrize("remembered", [1_000, 1], ids=["random ids remembered", "random ids forgotten"])
async def test_killed_at_any_moment_and_restarted_nothing_is_lost_or_doubled(
    office: PostOffice, tmp_path_factory: pytest.TempPathFactory, remembered: int
) -> None:
    """Every wait of one reply's delivery is a place to die; whoever comes next finishes it."""
    folder = tmp_path_factory.mktemp("tg")
    server = SandboxServer(
        address=UnixAddress(folder / "telegram.sock"), database=folder / "sandbox.db", remembered_sends=remembered
    )
    office.settings = DeliverySettings(variance=0, settle_seconds=0.2)
    async with server, connected_to(server.address) as network:
        office.network = network
        wait = 0
        was_killed = True
        while was_killed:
            wait += 1
            conversation = await office.customer(f"Customer {wait}")
            batch_id = await office.approved(conversation, "same", "same")
            was_killed = await die_while_sending(office, batch_id, wait=wait)
            await office.world.own()
            async with office.delivering():
                await office.reaches(batch_id, "sent")
            assert await office.received(conversation) == ["same", "same"], f"killed at wait {wait}"
            assert await office.world.replies(conversation) == ["same", "same"]
            assert [row["state"] for row in await office.world.outbox_rows(batch_id)] == ["sent", "sent"]
    assert wait > 20


async def die_while_sending(office: PostOffice, batch_id: int, *, wait: int) -> bool:
    """Deliver a reply until the n-th wait; returns whether there was one."""
    gateway = office.network.gateway()
    await gateway.connect(None)
    hold = Hold()
    ledger = Ledger(
        database=office.world.database,
        ownership=office.world.ownership,
        pauses=office.world.pauses,
        events=office.world.events,
    )
    sender = ReplySender(
        database=office.world.database,
        gateway=gateway,
        ledger=ledger,
        simulator=TypingSimulator(settings=office.settings, rng=random.Random(1), sleep=no_time),
        hold=hold,
        settings=office.settings,
    )
    try:
        return await run_killed(sender.deliver(batch_id), wait=wait)
    finally:
        await gateway.close()
