"""An update that PostgreSQL refuses, or that wakes a defect, is kept aside; what follows it is read."""

from collections.abc import AsyncIterator, Sequence

import psycopg
import pytest

from nadia.conversations.messages import NotOwnerError
from nadia.errors import UnavailableError
from nadia.inbound import recording
from nadia.inbound.listener import AccountListener
from nadia.telegram.errors import GatewayDisconnectedError
from nadia.telegram.gateway import (
    Event,
    Gateway,
    IncomingMessage,
    MessageEdited,
    TypingStarted,
    Update,
)
from nadia.telegram.ownership import Ownership
from support.core import ACCOUNT, NETWORK, START, Core, HandClock
from support.servers import ClonedDatabase

POISON = "poison \x00 \ud83d"


class ListedUpdates:
    """The reading side of a gateway: hands over a list, then loses its link."""

    account_id = ACCOUNT
    network = NETWORK

    def __init__(self, events: Sequence[Event]) -> None:
        self._events = events

    async def updates(self) -> AsyncIterator[Update]:
        for number, event in enumerate(self._events):
            yield Update(event=event, state={"pts": number})
        raise GatewayDisconnectedError("the list is at its end")


async def listen(core: Core, *events: Event) -> None:
    gateway: Gateway = ListedUpdates(events)  # type: ignore[assignment]  # listening needs the reading side only
    reading = AccountListener(gateway=gateway, ownership=core.ownership, ownerships=core.ownerships, intake=core.intake)
    with pytest.raises(GatewayDisconnectedError):
        await reading.run()


@pytest.fixture(autouse=True)
def quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recording, "_FIRST_RETRY_SECONDS", 0.001)


@pytest.fixture
async def refusing(core: Core, database: ClonedDatabase) -> Core:
    """PostgreSQL refuses one text."""
    async with await psycopg.AsyncConnection.connect(database.owner_dsn, autocommit=True) as owner:
        await owner.execute("""
            CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN RAISE EXCEPTION 'not this one'; END $$;
            CREATE TRIGGER refuse BEFORE INSERT OR UPDATE ON messages FOR EACH ROW
            WHEN (NEW.text LIKE 'poison%') EXECUTE FUNCTION refuse();
        """)
    return core


async def test_a_message_that_postgresql_refuses_is_kept_and_the_next_ones_are_read(refusing: Core) -> None:
    core = refusing
    poisoned = core.message(7, POISON)
    await listen(core, core.message(7, "before"), poisoned, core.message(7, "after"), core.message(8, "another"))

    texts = [row["text"] for row in await core.execute("SELECT text FROM messages ORDER BY id")]
    assert texts == ["before", "after", "another"]
    (parked,) = await core.execute("SELECT * FROM parked_updates")
    assert (parked["telegram_account_id"], parked["event"]) == (ACCOUNT, "message")
    assert "not this one" in parked["error"]
    payload = parked["payload"]
    assert (payload["chat_id"], payload["message_id"]) == (7, poisoned.message_id)
    assert (payload["text"], payload["sent_at"]) == ("poison \ufffd \ufffd", START.isoformat())
    assert payload["peer"]["name"] == "Customer 7"
    (notice,) = await core.execute("SELECT topic, severity, summary, labels FROM notices")
    assert (notice["topic"], notice["severity"]) == ("update.parked", "critical")
    assert "poison" not in str(notice)
    # The position goes past it, or it would come again for ever.
    assert await core.value("SELECT update_state FROM telegram_accounts WHERE id = %s", ACCOUNT) == {"pts": 3}


async def test_an_edit_that_is_refused_is_kept(refusing: Core) -> None:
    core = refusing
    message = core.message(7, "fine")
    edit = MessageEdited(chat_id=7, message_id=message.message_id, text="poison", edited_at=START)
    await listen(core, message, edit)
    assert await core.value("SELECT event FROM parked_updates") == "edit"


async def test_a_number_that_no_column_holds_is_kept(core: Core) -> None:
    await listen(core, core.message(2**70), core.message(text="after"))
    assert (await core.value("SELECT payload FROM parked_updates"))["chat_id"] == 2**70
    assert await core.value("SELECT text FROM messages") == "after"


async def test_what_cannot_even_be_parked_is_not_passed_over(core: Core, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recording, "_LONGEST_RETRY_SECONDS", 0.001)
    park = core.intake.park
    tried = 0

    async def later(event: Event, *, ownership: Ownership, error: Exception) -> None:
        nonlocal tried
        tried += 1
        if tried < 3:
            raise RuntimeError("a defect in parking")
        await park(event, ownership=ownership, error=error)

    monkeypatch.setattr(core.intake, "park", later)
    await listen(core, core.message(2**70), core.message(text="after"))
    assert tried == 3
    assert await core.value("SELECT count(*) FROM parked_updates") == 1
    assert await core.value("SELECT text FROM messages") == "after"


async def test_a_defect_is_met_five_times_and_then_passed_over(core: Core, monkeypatch: pytest.MonkeyPatch) -> None:
    receive = core.intake.receive
    met = 0

    async def sometimes(event: Event, *, ownership: Ownership, network: str, recovered_by: int | None) -> bool:
        nonlocal met
        if isinstance(event, IncomingMessage) and event.text == "bad":
            met += 1
            raise RuntimeError("a defect")
        return await receive(event, ownership=ownership, network=network, recovered_by=recovered_by)

    monkeypatch.setattr(core.intake, "receive", sometimes)
    await listen(core, core.message(text="bad"), core.message(text="good"))
    assert met == recording.MOST_REFUSALS
    assert await core.value("SELECT error FROM parked_updates") == "RuntimeError: a defect"
    assert await core.value("SELECT text FROM messages") == "good"


async def test_postgresql_being_away_parks_nothing_however_long(core: Core, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recording, "_LONGEST_RETRY_SECONDS", 0.001)
    receive = core.intake.receive
    refused = 0

    async def later(event: Event, *, ownership: Ownership, network: str, recovered_by: int | None) -> bool:
        nonlocal refused
        if refused < 4 * recording.MOST_REFUSALS:
            refused += 1
            raise UnavailableError("PostgreSQL cannot be reached")
        return await receive(event, ownership=ownership, network=network, recovered_by=recovered_by)

    monkeypatch.setattr(core.intake, "receive", later)
    await listen(core, core.message())
    assert await core.value("SELECT count(*) FROM messages") == 1
    assert await core.value("SELECT count(*) FROM parked_updates") == 0


async def test_only_the_owner_may_pass_over_an_update(core: Core, other_core: Core) -> None:
    await other_core.own()
    with pytest.raises(NotOwnerError):
        await core.intake.park(core.message(), ownership=core.ownership, error=RuntimeError("a defect"))
    assert await core.value("SELECT count(*) FROM parked_updates") == 0


async def test_typing_after_a_restart_prolongs_a_burst(core: Core, other_core: Core, clock: HandClock) -> None:
    await core.receive(7)
    ownership = await other_core.own()  # the next process knows no conversation yet
    clock.advance(4)
    typing = TypingStarted(chat_id=7, user_id=7)
    await other_core.intake.receive(typing, ownership=ownership, network=NETWORK)
    clock.advance(2)
    assert await core.claim_and_seal() == 0
    clock.advance(4)
    assert await core.claim_and_seal() == 1


async def test_typing_in_an_unknown_chat_is_looked_up_once(core: Core, monkeypatch: pytest.MonkeyPatch) -> None:
    find = core.messages.find_conversation
    looked_up = 0

    async def counted(*, account_id: str, chat_id: int) -> object:
        nonlocal looked_up
        looked_up += 1
        return await find(account_id=account_id, chat_id=chat_id)

    monkeypatch.setattr(core.messages, "find_conversation", counted)
    typing = TypingStarted(chat_id=7, user_id=7)
    for _ in range(3):
        await core.intake.receive(typing, ownership=core.ownership, network=NETWORK)
    assert looked_up == 1
    await core.receive(7)  # and a chat that begins now is known
    assert await core.value("SELECT count(*) FROM conversations") == 1
    before = await core.bursts.waiting()
    await core.intake.receive(typing, ownership=core.ownership, network=NETWORK)
    assert (looked_up, before) == (1, 1)
