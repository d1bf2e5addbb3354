"""NADIA is off for twenty hours while five hundred customers write; nobody is left behind when it is back."""

import asyncio
import json
import random
import sys
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, LiteralString

import pytest

from nadia.clock import utc_now
from support.core import until
from support.sandbox_network import SandboxNetwork, connected_to
from support.servers import short_folder
from support.system import ACCOUNT, System, running_system

pytestmark = pytest.mark.e2e

CUSTOMERS = 500
KNOWN = 40
"""Customers who wrote before, while NADIA ran."""

REPLY = "We have found your parcel."

SETTINGS = {
    "NADIA_RECOVERY_TIER_2_DELAY_SECONDS": "0",
    "NADIA_RECOVERY_TIER_3_DELAY_SECONDS": "0",
    "NADIA_RECOVERY_TIER_3_CONCURRENCY": "4",
}


# A reply whose sending began; nobody knows whether it went out.
LEAVE_IN_SENDING: Final = """
WITH chat AS (
    SELECT c.*, (SELECT max(telegram_message_id) FROM messages m WHERE m.conversation_id = c.id) AS newest
    FROM conversations c WHERE c.chat_id = %(chat)s
), item AS (
    INSERT INTO batches (conversation_id, state, conversation_revision) SELECT id, 'sending', revision FROM chat
    RETURNING id
), members AS (
    UPDATE messages SET batch_id = item.id FROM item, chat WHERE conversation_id = chat.id
), decision AS (
    INSERT INTO review_decisions (batch_id, account_id, decision, bubbles, conversation_revision)
    SELECT item.id, 1, 'approve', ARRAY[%(text)s], chat.revision FROM item, chat RETURNING id
)
INSERT INTO outbox (decision_id, batch_id, conversation_id, telegram_account_id, position, text, random_id,
    conversation_revision, state, send_after, attempts, sending_since, after_message_id)
SELECT decision.id, item.id, chat.id, chat.telegram_account_id, 0, %(text)s, %(chat)s, chat.revision, 'sending', now(),
    1, now(), chat.newest
FROM decision, item, chat RETURNING id
"""


class Calendar:
    """The sandbox's clock, which a test can set back."""

    def __init__(self) -> None:
        self.hours_ago = 0.0

    def __call__(self) -> datetime:
        return utc_now() - timedelta(hours=self.hours_ago)


@dataclass
class Expected:
    """What has to be on record in the end: of each chat, texts by Telegram's ids."""

    chats: dict[int, dict[int, str]] = field(default_factory=lambda: defaultdict(dict))
    phone: set[int] = field(default_factory=set)
    replies: set[int] = field(default_factory=set)
    deleted: set[int] = field(default_factory=set)
    newest: dict[int, float] = field(default_factory=dict)
    """Hours since each chat's newest message."""


class Story:
    """What customers do, and what NADIA has to know of it in the end."""

    def __init__(self, system: System, network: SandboxNetwork, calendar: Calendar) -> None:
        self.system = system
        self.network = network
        self.calendar = calendar
        self.expected = Expected()
        self.chance = random.Random(20)
        self.customers: list[int] = []

    @property
    def sent(self) -> int:
        """The customer to whom a reply was just leaving, and went out."""
        return self.customers[KNOWN - 1]

    @property
    def unsent(self) -> int:
        """The customer to whom a reply was just leaving, and did not go out."""
        return self.customers[KNOWN - 2]

    async def arrive(self) -> None:
        for number in range(CUSTOMERS):
            self.customers.append((await self.network.customers.create(name=f"Customer {number}")).user_id)

    async def write(self, chat: int, text: str, *, hours_ago: float) -> int:
        self.calendar.hours_ago = hours_ago
        message = await self.network.customers.write(account=ACCOUNT, user_id=chat, text=text)
        self.expected.chats[chat][message.message_id] = text
        self.expected.newest[chat] = hours_ago
        return message.message_id

    async def write_while_known(self) -> list[tuple[int, int]]:
        """Two messages of each customer whom NADIA knows; returns the chats and ids of the first."""
        firsts = []
        for chat in self.customers[:KNOWN]:
            firsts.append((chat, await self.write(chat, f"before {chat}", hours_ago=22)))
            await self.write(chat, f"and {chat}", hours_ago=21.9)
        return firsts

    async def live_through_the_night(self, known: list[tuple[int, int]]) -> None:
        """Twenty hours of messages, in the order of time; some things are changed and taken back meanwhile."""
        moments = [(self.chance.uniform(0.1, 20.0), chat) for chat in self.customers for _ in range(1 + chat % 3)]
        for number, (hours_ago, chat) in enumerate(sorted(moments, reverse=True)):
            message_id = await self.write(chat, f"message {number}", hours_ago=hours_ago)
            if number % 40 == 7:
                await self._post_from_phone(chat, f"from the phone {number}", hours_ago)
            if number % 50 == 11:
                await self._edit(chat, message_id, f"message {number}, put right")
            if number % 50 == 12:
                await self._take_back(chat, message_id)
        for chat, message_id in known[:10]:
            await self._edit(chat, message_id, f"before {chat}, put right")
        for chat, message_id in known[10:15]:
            await self.network.delete(chat, [message_id])
            self.expected.deleted.add(message_id)
        self.calendar.hours_ago = 0.0

    async def _post_from_phone(self, chat: int, text: str, hours_ago: float) -> None:
        message_id = await self.network.post_from_phone(chat, text)
        self.expected.chats[chat][message_id] = text
        self.expected.phone.add(message_id)
        self.expected.newest[chat] = hours_ago

    async def _edit(self, chat: int, message_id: int, text: str) -> None:
        await self.network.edit(chat, message_id, text)
        self.expected.chats[chat][message_id] = text

    async def _take_back(self, chat: int, message_id: int) -> None:
        """Delete a message that NADIA never saw."""
        await self.network.delete(chat, [message_id])
        del self.expected.chats[chat][message_id]
        page = await self.network.customers.history(account=ACCOUNT, user_id=chat, limit=1)
        if page:
            self.expected.newest[chat] = (utc_now() - page[-1].sent_at) / timedelta(hours=1)

    async def rows(self, statement: LiteralString, **values: object) -> list[dict[str, Any]]:
        async with self.system.database() as database, database.connection() as conn:
            return await (await conn.execute(statement, values or None)).fetchall()

    async def value(self, statement: LiteralString) -> Any:
        ((value,),) = [row.values() for row in await self.rows(statement)]
        return value

    async def until(self, condition: LiteralString, *, within: float = 45.0) -> None:
        async def holds() -> bool:
            return bool(await self.value(condition))

        try:
            await until(holds, within=within, what=condition)
        except AssertionError as exc:
            raise AssertionError(f"{exc}; the bot says: {self.system.log('bot')[-3000:]}") from None


async def test_everybody_is_found_in_their_tier_in_order_and_once() -> None:
    calendar = Calendar()
    with short_folder() as base:
        async with (
            running_system(base, roles=[("bot", 0)], settings=SETTINGS, clock=calendar) as system,
            connected_to(system.sandbox.address) as network,
        ):
            story = Story(system, network, calendar)
            await through_the_night(story)
            await kill_twice_in_the_middle(story)
            await story.until("SELECT NOT EXISTS (SELECT 1 FROM recovery_gaps WHERE closed_at IS NULL)")
            await story.until("SELECT NOT EXISTS (SELECT 1 FROM outbox WHERE state = 'sending')")
            await check_the_record(story)
            await check_the_tiers(story)
            await check_the_replies(story)
            await check_the_command(story)
            await check_that_everything_is_sealed(story)


async def through_the_night(story: Story) -> None:
    """Some is on record; then NADIA is off, and Telegram will not tell of it by updates."""
    await story.arrive()
    known = await story.write_while_known()
    await story.until(f"SELECT count(*) = {2 * KNOWN} FROM messages")
    await story.until("SELECT NOT EXISTS (SELECT 1 FROM recovery_gaps WHERE closed_at IS NULL)")
    await story.rows(
        "INSERT INTO user_protocol_status (person_id, reason, activated_by, keeps) "
        "SELECT id, 'a test', 'test', interval '7 days' FROM people ORDER BY id LIMIT 5 RETURNING person_id"
    )
    bot = story.system.processes["bot", 0]
    bot.kill()
    await bot.child.wait()
    for chat in (story.sent, story.unsent):
        await story.rows(LEAVE_IN_SENDING, chat=chat, text=REPLY)
    story.expected.replies.add(await story.network.post_from_phone(story.sent, REPLY))
    await story.live_through_the_night(known)
    await story.network.control.forget_updates(ACCOUNT)


async def kill_twice_in_the_middle(story: Story) -> None:
    await story.system.start("bot")
    await story.until("SELECT count(*) > 120 FROM recovery_chats WHERE state = 'done'")
    await story.system.kill_and_restart("bot")
    await story.until("SELECT count(*) > 200 FROM recovery_chats WHERE state = 'done'")
    # Somebody who has not been read yet writes, and NADIA dies as soon as it knows.
    (late,) = await story.rows(
        "SELECT chat_id FROM recovery_chats WHERE state = 'pending' ORDER BY top_message_id LIMIT 1"
    )
    message_id = await story.write(late["chat_id"], "is anybody there?", hours_ago=0.0)
    await story.until(f"SELECT count(*) = 1 FROM messages WHERE telegram_message_id = {message_id}")
    await story.system.kill_and_restart("bot")


async def check_the_record(story: Story) -> None:
    """Every message once, with its last text; of each chat in order, but for the one that came live."""
    found: dict[int, dict[int, str]] = defaultdict(dict)
    for row in await story.rows("SELECT * FROM messages ORDER BY id"):
        chat, message_id = row["chat_id"], row["telegram_message_id"]
        if message_id in story.expected.replies:
            assert (row["author"], row["text"]) == ("desk", REPLY)
            continue
        assert row["author"] == ("phone" if message_id in story.expected.phone else "customer")
        assert (row["deleted_at"] is not None) == (message_id in story.expected.deleted)
        found[chat][message_id] = row["text"]
    assert found == {chat: texts for chat, texts in story.expected.chats.items() if texts}
    out_of_order = await story.rows(
        "SELECT DISTINCT later.chat_id FROM messages earlier JOIN messages later "
        "ON later.chat_id = earlier.chat_id AND later.id > earlier.id "
        "AND later.telegram_message_id < earlier.telegram_message_id WHERE earlier.recovered_by IS NOT NULL"
    )
    assert out_of_order == []


async def check_the_tiers(story: Story) -> None:
    rows = await story.rows(
        "SELECT c.chat_id, min(c.tier) AS tier FROM recovery_chats c JOIN recovery_operations o ON o.gap_id = c.gap_id "
        "WHERE o.messages_recorded > 0 GROUP BY c.chat_id"
    )
    tiers = {row["chat_id"]: row["tier"] for row in rows}
    for chat, hours in story.expected.newest.items():
        if all(abs(hours - bound) > 0.1 for bound in (2, 12)) and story.expected.chats[chat]:
            assert tiers[chat] == (1 if hours < 2 else 2 if hours < 12 else 3), f"{hours} h"
    assert set(tiers.values()) == {1, 2, 3}
    first, *_ = await story.rows("SELECT * FROM recovery_operations WHERE messages_recorded > 0 ORDER BY id")
    arrived = await story.rows(f"SELECT chat_id FROM messages WHERE recovered_by = {first['id']} ORDER BY id")
    read = [tiers[row["chat_id"]] for row in arrived]
    assert read == sorted(read), "the most urgent tier is read first"
    states = [row["state"] for row in await story.rows("SELECT state FROM recovery_operations ORDER BY id")]
    assert states.count("interrupted") == 2
    assert states[-1] == "done"


async def check_the_replies(story: Story) -> None:
    """The history says which reply went out; the other comes back, for its customer has written since."""
    rows = await story.rows("SELECT o.state, b.state AS item FROM outbox o JOIN batches b ON b.id = o.batch_id")
    assert sorted((row["state"], row["item"]) for row in rows) == [("cancelled", "in_review"), ("sent", "sent")]
    assert (await story.network.texts_of(story.sent)).count(REPLY) == 1
    assert (await story.network.texts_of(story.unsent)).count(REPLY) == 0


async def check_the_command(story: Story) -> None:
    """A person asks how it went, and has it looked through once more."""
    (account,) = await nadia(story.system, "recover", "status", "--json")
    assert account["owned"] is True
    assert account["gap"] is None
    assert account["operation"]["messages_recorded"] > 0
    (again,) = await nadia(story.system, "recover", "run", "--json")
    assert (again["state"], again["messages_recorded"], again["edits"], again["deletions"]) == ("done", 0, 0, 0)


async def check_that_everything_is_sealed(story: Story) -> None:
    """Each customer's messages end in exactly one batch; those of silenced ones wait for a decision."""
    await story.rows(
        "INSERT INTO pauses (activity, reason, paused_by) VALUES ('drafting', 'time', 'test') RETURNING id"
    )
    await story.system.start("worker")
    await story.until(
        "SELECT NOT EXISTS (SELECT 1 FROM messages WHERE direction = 'in' AND batch_id IS NULL AND held_at IS NULL)"
    )
    (batches,) = await story.rows("SELECT count(*) AS all, count(DISTINCT conversation_id) AS chats FROM batches")
    assert batches["chats"] == len([1 for chat in story.expected.chats.values() if chat]) - 5
    assert batches["all"] == batches["chats"] + 1, "the customer whose reply went out has written again"
    held = await story.value("SELECT count(DISTINCT chat_id) FROM messages WHERE held_at IS NOT NULL")
    assert held == 5


async def nadia(system: System, *arguments: str) -> Any:
    """Run a command as an operator does, and return what it printed."""
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "nadia", *arguments),
        env=dict(system.environment),
        cwd=system.base,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    said, complained = await asyncio.wait_for(child.communicate(), 40)
    assert child.returncode == 0, complained.decode()
    return json.loads(said)
