"""What a process may still put on record when the account is in other hands: only that a message is out."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

import pytest

from nadia.conversations.messages import NotOwnerError
from nadia.delivery.ledger import Ledger
from nadia.delivery.metrics import Failure
from nadia.delivery.models import Turn
from support.post_office import PostOffice

Write = Callable[[Ledger, Turn], Awaitable[None]]


async def park(ledger: Ledger, turn: Turn) -> None:
    await ledger.park(turn.bubble.batch_id, bubble=turn.bubble, failure=Failure.AMBIGUOUS, reason="in doubt")


async def give_up(ledger: Ledger, turn: Turn) -> None:
    await ledger.give_up(turn.bubble)


async def not_sent(ledger: Ledger, turn: Turn) -> None:
    await ledger.not_sent(turn, failure=Failure.DISCONNECTED, delay_seconds=60, error="late")


async def postpone(ledger: Ledger, turn: Turn) -> None:
    await ledger.postpone(turn.bubble, delay_seconds=60, error="late")


def ledger_of(office: PostOffice) -> Ledger:
    return Ledger(
        database=office.world.database,
        ownership=office.world.ownership,
        pauses=office.world.pauses,
        events=office.world.events,
    )


async def begun(office: PostOffice, ledger: Ledger) -> Turn:
    """A bubble that the ledger's process has just begun to send."""
    conversation = await office.customer()
    turn = await ledger.turn(await office.approved(conversation, "one"))
    assert turn is not None
    attempt = await ledger.begin(turn)
    assert attempt is not None
    return attempt


@pytest.mark.parametrize("write", [park, give_up, not_sent, postpone])
async def test_a_process_that_lost_the_account_leaves_the_bubble_to_its_successor(
    office: PostOffice, write: Write
) -> None:
    ledger = ledger_of(office)
    attempt = await begun(office, ledger)
    await office.world.own()
    before = await office.world.outbox_rows(attempt.bubble.batch_id)
    with pytest.raises(NotOwnerError):
        await write(ledger, attempt)
    assert await office.world.outbox_rows(attempt.bubble.batch_id) == before
    assert await office.world.state(attempt.bubble.batch_id) == "sending"


async def test_a_message_that_is_out_is_on_record_even_if_its_bubble_was_parked_meanwhile(office: PostOffice) -> None:
    ledger = ledger_of(office)
    attempt = await begun(office, ledger)
    await office.world.own()
    await park(ledger_of(office), attempt)

    await ledger.sent(attempt.bubble, telegram_message_id=4711, sent_at=datetime.now(UTC), known_by="a late answer")

    (row,) = await office.world.outbox_rows(attempt.bubble.batch_id)
    assert (row["state"], row["telegram_message_id"]) == ("sent", 4711)
    (message,) = await office.world.execute("SELECT author, text FROM messages WHERE telegram_message_id = 4711")
    assert message == {"author": "desk", "text": "one"}
    assert await office.world.state(attempt.bubble.batch_id) == "parked", "what follows is a person's to say"


async def test_a_message_that_went_out_besides_the_recorded_one_is_on_record_too(office: PostOffice) -> None:
    ledger = ledger_of(office)
    attempt = await begun(office, ledger)
    now = datetime.now(UTC)
    await ledger.sent(attempt.bubble, telegram_message_id=4711, sent_at=now, known_by="Telegram's history")
    await ledger.sent(attempt.bubble, telegram_message_id=4712, sent_at=now, known_by="a late answer")
    (row,) = await office.world.outbox_rows(attempt.bubble.batch_id)
    assert row["telegram_message_id"] == 4711
    rows = await office.world.execute("SELECT 1 FROM messages WHERE telegram_message_id IN (4711, 4712)")
    assert len(rows) == 2
