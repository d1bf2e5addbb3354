"""Whatever happens in whatever order: every message in one batch, one open batch a conversation, all on record."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from nadia.constants import PARTITIONS
from nadia.conversations.models import OPEN_STATES, BatchState
from nadia.conversations.transitions import TransitionError
from nadia.pacing.bursts import Burst
from nadia.redis.commands import Command
from nadia.redis.keys import due_set
from nadia.redis.source import RedisSource
from nadia.telegram.gateway import TypingStarted
from support.core import Core, HandClock, ScriptedDrafter, open_core
from support.servers import ClonedDatabase

CHATS = (1, 2)
CHAT = st.sampled_from(CHATS)
TEXT = st.sampled_from(["hello", "and", "urgent!", "\u200d", "שלום"])
SECONDS = st.sampled_from([0.5, 3, 5, 31, 61])
S = BatchState
# What the people and parts after drafting may do with a batch.
NEXT = {
    S.SEALED: (S.EXPIRED, S.PARKED),
    S.DRAFTED: (S.IN_REVIEW,),
    S.IN_REVIEW: (S.APPROVED, S.REJECTED, S.EXPIRED, S.PARKED),
    S.APPROVED: (S.SENDING, S.IN_REVIEW),
    S.SENDING: (S.SENT, S.IN_REVIEW, S.PARKED),
    S.PARKED: (S.SEALED, S.DRAFTED, S.IN_REVIEW, S.SENDING, S.REJECTED),
}
_TABLES = "messages, drafts, audit_log, notices, batches, conversations, people, accounts"


class BurstMachine(RuleBasedStateMachine):
    """One process and the things that happen to it."""

    dsn: str
    source: RedisSource

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.clock = HandClock(datetime.now(UTC))
        self.opened = _opened(self.dsn, self.source, self.clock)
        self.core: Core = self.do(self.opened.__aenter__())
        self.stalled: list[Burst] = []
        self.written: dict[int, list[str]] = {chat: [] for chat in CHATS}
        self.batch_of: dict[int, int] = {}
        self.emptied = False

    def do(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.runner.run(work)

    def teardown(self) -> None:
        try:
            self.do(self._settle())
        finally:
            self.do(self.opened.__aexit__(None, None, None))
            self.runner.close()

    def message(self, chat: int, text: str) -> None:
        self.do(self.core.receive(chat, text))
        self.written[chat].append(text)

    @initialize(chat=CHAT)
    def the_first_message(self, chat: int) -> None:
        self.message(chat, "hello")

    @rule(chat=CHAT, texts=st.lists(TEXT, min_size=1, max_size=3), seconds=SECONDS)
    def messages(self, chat: int, texts: list[str], seconds: float) -> None:
        for text in texts:
            self.message(chat, text)
        self.clock.advance(seconds)

    @rule(chat=CHAT, text=TEXT)
    def a_message_and_its_seal(self, chat: int, text: str) -> None:
        self.message(chat, text)
        self.seal(61)

    @rule(chat=CHAT, seconds=SECONDS)
    def typing(self, chat: int, seconds: float) -> None:
        event = TypingStarted(chat_id=chat, user_id=chat)
        self.do(self.core.intake.receive(event, ownership=self.core.ownership, network="sandbox"))
        self.clock.advance(seconds)

    @rule(seconds=SECONDS)
    def seal(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.do(self.core.claim_and_seal())

    @rule(seconds=SECONDS)
    def claim_and_stall(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.stalled += self.do(self.core.bursts.claim_due(self.clock()))

    @precondition(lambda self: self.stalled)
    @rule(dies=st.booleans())
    def a_stalled_claimant_goes_on_or_dies(self, dies: bool) -> None:
        burst = self.stalled.pop(0)
        if not dies:
            self.do(self.core.tracker._process_buffer(burst))

    @rule(chat=CHAT, text=TEXT)
    def a_message_falls_between_sealing_and_its_end(self, chat: int, text: str) -> None:
        self.message(chat, "and then")
        self.clock.advance(61)
        for burst in self.do(self.core.bursts.claim_due(self.clock())):
            (row,) = self.do(
                self.core.execute("SELECT chat_id FROM conversations WHERE id = %s", burst.conversation_id)
            )
            self.do(self.core.batches.seal(burst.conversation_id))
            self.message(row["chat_id"], text)
            self.do(self.core.bursts.finish(burst))

    @rule()
    def redis_is_emptied(self) -> None:
        self.do(self._empty_redis())
        self.emptied = True

    @rule()
    def sweep(self) -> None:
        self.do(self.core.sweep.run_once())
        self.emptied = False

    @rule()
    def draft(self) -> None:
        for batch_id in self.do(self.core.batches.sealed_for(at_least_seconds=0)):
            assert self.do(self.core.drafting(ScriptedDrafter()).draft(batch_id))

    @rule(choices=st.lists(st.integers(0, 99), min_size=1, max_size=4), claims=st.booleans())
    def someone_decides(self, choices: list[int], claims: bool) -> None:
        for choice in choices:
            self.do(self._decide(choice, claims))

    @invariant()
    def a_conversation_has_one_open_batch_at_most(self) -> None:
        rows = self.do(
            self.core.execute(
                "SELECT conversation_id FROM batches WHERE state = ANY(%s) "
                "GROUP BY conversation_id HAVING count(*) > 1",
                [state.value for state in OPEN_STATES],
            )
        )
        assert rows == []

    @invariant()
    def every_transition_is_on_record(self) -> None:
        rows = self.do(
            self.core.execute(
                "SELECT b.id, b.state, a.before ->> 'state' AS before, a.after ->> 'state' AS after FROM batches b "
                "LEFT JOIN audit_log a ON a.subject = 'batch:' || b.id AND a.action = 'batch.moved' ORDER BY b.id, a.id"
            )
        )
        state_of: dict[int, str] = {}
        for row in rows:
            assert row["before"] == state_of.get(row["id"], "buffering")
            state_of[row["id"]] = row["after"]
        assert all(row["state"] == state_of[row["id"]] for row in rows)

    @invariant()
    def messages_keep_their_order_and_belong_to_a_batch_of_their_own_conversation(self) -> None:
        rows = self.do(
            self.core.execute(
                "SELECT m.id, m.chat_id, m.text, m.conversation_id, m.batch_id, b.conversation_id AS of_batch "
                "FROM messages m LEFT JOIN batches b ON b.id = m.batch_id ORDER BY m.id"
            )
        )
        for chat in CHATS:
            assert [row["text"] for row in rows if row["chat_id"] == chat] == self.written[chat]
        assert all(row["of_batch"] in (None, row["conversation_id"]) for row in rows)
        now = {row["id"]: row["batch_id"] for row in rows if row["batch_id"] is not None}
        assert self.batch_of.items() <= now.items(), "a message left its batch"
        self.batch_of = now

    @invariant()
    def no_burst_is_lost(self) -> None:
        if self.emptied:
            return
        loose = self.do(self.core.execute("SELECT DISTINCT conversation_id FROM messages WHERE batch_id IS NULL"))
        due = self.do(self._due())
        assert {row["conversation_id"] for row in loose} <= due

    async def _empty_redis(self) -> None:
        async with self.core.redis.use() as redis:
            await redis.flushall()
            await redis.script_flush()

    async def _due(self) -> set[int]:
        found: set[int] = set()
        commands = [Command(("ZRANGE", due_set(partition), 0, -1)) for partition in range(PARTITIONS)]
        for members in await self.core.redis.send(commands):
            found.update(map(int, cast("list[str]", members)))
        return found

    async def _decide(self, choice: int, claims: bool) -> None:
        rows = await self.core.execute("SELECT id, state FROM batches WHERE state = ANY(%s) ORDER BY id", [*NEXT])
        if not rows:
            return
        row = rows[choice % len(rows)]
        ways = NEXT[BatchState(row["state"])]
        batch = await self.core.batch(row["id"])
        to = batch.parked_from if batch.parked_from and choice % 2 else ways[choice % len(ways)]
        if claims and batch.state is S.IN_REVIEW and batch.claimed_by is None:
            await self.core.execute(
                "DELETE FROM accounts WHERE NOT EXISTS (SELECT 1 FROM batches WHERE claimed_by = accounts.id)"
            )
            await self.core.claim(batch.id)
            return
        try:
            await self.core.take_to(batch.id, to)
        except TransitionError:
            assert batch.state is S.PARKED  # to another state than it came from, or another batch is open by now

    async def _settle(self) -> None:
        """Let everything come to an end: then no message is without a batch."""
        await self.core.sweep.run_once()
        for row in await self.core.execute("SELECT id FROM batches WHERE state = 'sending'"):
            await self.core.take_to(row["id"], S.SENT)
        self.clock.advance(1000)
        while await self.core.claim_and_seal():
            self.clock.advance(1000)
        assert await self.core.value("SELECT count(*) FROM messages WHERE batch_id IS NULL") == 0
        assert await self.core.value("SELECT count(*) FROM messages") == sum(map(len, self.written.values()))
        await self.core.sweep.run_once()
        sealed = await self.core.execute(
            "SELECT id FROM batches WHERE state = 'sealed' AND changed_at < now() - interval '10 s'"
        )
        assert {row["id"] for row in sealed} <= await self.core.wal.waiting()


@asynccontextmanager
async def _opened(dsn: str, source: RedisSource, clock: HandClock) -> AsyncIterator[Core]:
    async with open_core(dsn, source, clock=clock) as core:
        async with core.redis.use() as redis:
            await redis.flushall()
        # The product's role may not truncate.
        for table in _TABLES.split(", "):
            await core.execute(f"DELETE FROM {table}")
        await core.own()
        await core.sweep.run_once()
        yield core


def _check(database: ClonedDatabase, source: RedisSource, *, examples: int, steps: int) -> None:
    BurstMachine.dsn = database.app_dsn
    BurstMachine.source = source
    run_state_machine_as_test(  # untyped in the library
        BurstMachine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            print_blob=True,
            database=None,
        ),
    )


def test_a_short_life(database: ClonedDatabase, redis_source: RedisSource) -> None:
    _check(database, redis_source, examples=40, steps=25)


@pytest.mark.long
def test_a_long_life(database: ClonedDatabase, redis_source: RedisSource) -> None:
    _check(database, redis_source, examples=200, steps=80)
