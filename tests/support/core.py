"""The way of a message from intake to draft, wired by hand on a real PostgreSQL and Redis."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, LiteralString

from nadia.clock import Clock, utc_now
from nadia.conversations.batches import Batches, Sealed, park
from nadia.conversations.memory import ConversationMemory
from nadia.conversations.messages import Messages, NewMessage, Recorded
from nadia.conversations.models import Batch, BatchState, Conversation
from nadia.conversations.pauses import Pauses
from nadia.conversations.transitions import lock_batch, move
from nadia.conversations.wal import WalStream
from nadia.delivery.outbox import Outbox
from nadia.drafting.config import DraftingSettings
from nadia.drafting.worker import DraftingWorker
from nadia.inbound.intake import Intake
from nadia.llm.models import ChatMessage, Completion
from nadia.pacing.bursts import Bursts
from nadia.pacing.config import PacingSettings
from nadia.pacing.sweep import Sweep
from nadia.pacing.tracker import UserActivityTracker
from nadia.postgres.database import Connection, Database
from nadia.quarantine.cache import ProtocolStatusCache
from nadia.quarantine.config import QuarantineSettings
from nadia.quarantine.gate import SilenceGate
from nadia.quarantine.reception import Reception
from nadia.quarantine.service import Quarantine
from nadia.recovery.config import RecoveryConfig
from nadia.recovery.store import RecoveryStore
from nadia.recovery.summaries import ChatSummaries
from nadia.redis.connection import RedisConnection
from nadia.redis.events import LiveEvents
from nadia.redis.source import RedisSource
from nadia.telegram.gateway import IncomingMessage, MessageKind, Peer
from nadia.telegram.ownership import Ownership, Ownerships

ACCOUNT = "desk"
NETWORK = "sandbox"
START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


class HandClock:
    """The time that a test says it is."""

    def __init__(self, now: datetime = START) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def advance(self, seconds: float) -> datetime:
        self.now += timedelta(seconds=seconds)
        return self.now


class Recalls:
    """Notes which approved replies were to be taken back."""

    def __init__(self) -> None:
        self.batches: list[int] = []

    async def recall(self, conn: Connection, batch_id: int) -> None:
        self.batches.append(batch_id)

    async def is_leaving(self, conn: Connection, batch_id: int) -> bool:
        return True


@dataclass
class ScriptedDrafter:
    """Answers as told: a text, an error, or what a function of the prompt returns; `answer` may be changed."""

    answer: str | Exception | Callable[[Sequence[ChatMessage]], Awaitable[str]] = "Thanks, we will look."
    calls: int = 0
    prompts: list[Sequence[ChatMessage]] = field(default_factory=list)

    async def complete(
        self,
        messages: Sequence[ChatMessage],
        *,
        profile: str,
        timeout: float,
    ) -> Completion:
        self.calls += 1
        self.prompts.append(messages)
        if isinstance(self.answer, Exception):
            raise self.answer
        text = self.answer if isinstance(self.answer, str) else await self.answer(messages)
        return Completion(
            text=text,
            model="scripted",
            score=0.5,
            input_tokens=10,
            output_tokens=5,
            cost_usd=Decimal("0.001"),
            latency_seconds=0.01,
        )


class Core:
    """One process's services.

    Parameters
    ----------
    database : Database
        Open.
    redis : RedisConnection
        Not shared with another `Core`, to be like another process.
    pacing : PacingSettings
        The window and its bounds.
    clock : callable
        Of pacing and intake.
    consumer : str
        Name of the process.
    wal_lease_seconds : float
        Of stream entries.
    """

    def __init__(
        self,
        *,
        database: Database,
        redis: RedisConnection,
        pacing: PacingSettings | None = None,
        clock: Clock = utc_now,
        consumer: str = "one",
        wal_lease_seconds: float = 30.0,
    ) -> None:
        settings = pacing or PacingSettings()
        self.database = database
        self.redis = redis
        self.events = LiveEvents(redis=redis)
        self.messages = Messages(database=database)
        self.memory = ConversationMemory(redis=redis, messages=self.messages)
        self.recalls = Recalls()
        self.batches = Batches(database=database, replies=self.recalls, silences=SilenceGate())
        self.protocol_status = ProtocolStatusCache(database=database, events=self.events, settings=QuarantineSettings())
        self.wal = WalStream(redis=redis, consumer=consumer, lease_seconds=wal_lease_seconds)
        self.bursts = Bursts(redis=redis, settings=settings)
        self.tracker = UserActivityTracker(
            bursts=self.bursts,
            batches=self.batches,
            wal=self.wal,
            events=self.events,
            settings=settings,
            clock=clock,
        )
        self.sweep = Sweep(redis=redis, bursts=self.bursts, batches=self.batches, wal=self.wal)
        self.intake = Intake(
            messages=self.messages,
            memory=self.memory,
            tracker=self.tracker,
            events=self.events,
            own_sends=Outbox(undo_seconds=0),
            losses=RecoveryStore(database=database, settings=RecoveryConfig(), clock=clock),
            reception=Reception(database=database, status=self.protocol_status),
            clock=clock,
        )
        self.quarantine = Quarantine(
            database=database,
            batches=self.batches,
            replies=self.recalls,
            wants_draft=lambda batch_id: self.wal.add([batch_id]),
            events=self.events,
            settings=QuarantineSettings(),
        )
        self.pauses = Pauses(database=database, events=self.events)
        self.ownerships = Ownerships(database=database, holder=f"test/{consumer}/a", lease_seconds=120, grace_seconds=0)
        self.ownership: Ownership
        self._clock = clock
        self._ids = itertools.count(1)

    async def own(self, account_id: str = ACCOUNT) -> Ownership:
        """Take the account over, from whoever had it."""
        await self.ownerships.register(account_id, NETWORK)
        await self.execute("UPDATE telegram_accounts SET holder = NULL, expires_at = NULL WHERE id = %s", account_id)
        ownership = await self.ownerships.acquire(account_id)
        assert ownership is not None
        self.ownership = ownership
        return ownership

    async def customer(self, chat_id: int = 1001, *, account_id: str = ACCOUNT) -> Conversation:
        return await self.messages.ensure_conversation(
            network=NETWORK,
            account_id=account_id,
            chat_id=chat_id,
            user_id=chat_id,
            name=f"Customer {chat_id}",
            username=None,
            fencing_token=self.ownership.fencing_token,
        )

    def message(self, chat_id: int = 1001, text: str = "Hello", **more: Any) -> IncomingMessage:
        """The next message of a customer's, as Telegram hands it over."""
        given: dict[str, Any] = {
            "chat_id": chat_id,
            "message_id": next(self._ids),
            "peer": Peer(user_id=chat_id, name=f"Customer {chat_id}"),
            "text": text,
            "sent_at": self._clock(),
            "kind": MessageKind.TEXT,
        }
        return IncomingMessage(**given | more)

    async def receive(self, chat_id: int = 1001, text: str = "Hello", **more: Any) -> IncomingMessage:
        """Take a customer's message in."""
        message = self.message(chat_id, text, **more)
        await self.intake.receive(message, ownership=self.ownership, network=NETWORK)
        return message

    async def record(self, conversation: Conversation, text: str = "Hello", *, direction: str = "in") -> Recorded:
        """Put a message on record and nowhere else, as if Redis had been away."""
        new = NewMessage(
            telegram_message_id=next(self._ids),
            direction=direction,
            author="customer" if direction == "in" else "phone",
            kind="text",
            text=text,
            reply_to=None,
            sent_at=self._clock(),
        )
        recorded = await self.messages.record(conversation, new, fencing_token=self.ownership.fencing_token)
        assert recorded is not None
        return recorded

    async def sealed(self, chat_id: int = 1001, *texts: str, priority: int = 0) -> Batch:
        """A batch of these messages."""
        conversation = await self.customer(chat_id)
        for text in texts or ("Hello",):
            await self.record(conversation, text)
        outcome = await self.batches.seal(conversation.id, priority=priority)
        assert isinstance(outcome, Sealed)
        return outcome.batch

    async def take_to(self, batch_id: int, *states: BatchState) -> Batch:
        """Take a batch through states, as their owners would."""
        for state in states:
            async with self.database.transaction() as conn:
                await move(conn, await lock_batch(conn, batch_id), state, actor="test")
        return await self.batch(batch_id)

    async def park(self, batch_id: int, *, reason: str) -> Batch:
        """Park a batch, as drafting and delivery do."""
        async with self.database.transaction() as conn:
            return (await park(conn, await lock_batch(conn, batch_id), reason=reason, actor="test")).batch

    async def batch(self, batch_id: int) -> Batch:
        async with self.database.transaction() as conn:
            return (await lock_batch(conn, batch_id)).batch

    async def claim(self, batch_id: int, *, seconds: float = 60) -> None:
        """Give the batch to a reviewer for so long."""
        await self.execute(
            "WITH who AS (INSERT INTO accounts (name, role) VALUES (%s, 'reviewer') RETURNING id) "
            "UPDATE batches SET claimed_by = who.id, claim_expires_at = clock_timestamp() + %s FROM who "
            "WHERE batches.id = %s",
            f"reviewer of {batch_id}",
            timedelta(seconds=seconds),
            batch_id,
        )

    async def claim_and_seal(self) -> int:
        """Seal every burst that is over by the test's clock; returns how many there were."""
        claimed = await self.bursts.claim_due(self._clock())
        await asyncio.gather(*(self.tracker._process_buffer(burst) for burst in claimed))
        return len(claimed)

    def drafting(
        self, drafter: ScriptedDrafter, *, answered_within: timedelta | None = None, **settings: Any
    ) -> DraftingWorker:
        return DraftingWorker(
            database=self.database,
            batches=self.batches,
            wal=self.wal,
            memory=self.memory,
            drafter=drafter,
            persona=lambda: "You are the desk's assistant.",
            profile="test",
            events=self.events,
            settings=DraftingSettings(**settings),
            recovered=ChatSummaries(database=self.database),
            answered_within=answered_within,
            clock=self._clock,
        )

    async def execute(self, statement: LiteralString, *values: object) -> list[dict[str, Any]]:
        async with self.database.connection() as conn:
            cursor = await conn.execute(statement, values)
            return await cursor.fetchall() if cursor.description else []

    async def value(self, statement: LiteralString, *values: object) -> Any:
        """The only column of the only row."""
        (row,) = await self.execute(statement, *values)
        (found,) = row.values()
        return found


@asynccontextmanager
async def open_core(
    dsn: str, source: RedisSource, *, statement_timeout_seconds: float = 15.0, **options: Any
) -> AsyncIterator[Core]:
    """One process's services, connected; closed in the end."""
    database = Database(dsn=dsn, pool_size=12, statement_timeout_seconds=statement_timeout_seconds)
    await database.open()
    redis = RedisConnection(source)
    try:
        core = Core(database=database, redis=redis, **options)
        yield core
    finally:
        await redis.close()
        await database.close()


@asynccontextmanager
async def running(part: Callable[[], Awaitable[None]]) -> AsyncIterator["asyncio.Task[None]"]:
    """Run something that runs until it is cancelled."""

    async def run() -> None:
        await part()

    task = asyncio.create_task(run())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(condition: Callable[[], Awaitable[bool]], *, within: float = 15.0, what: str = "the condition") -> None:
    """Return as soon as a condition holds that has to be asked for; fail the test when it does not in time."""
    async with asyncio.timeout(within):
        try:
            while not await condition():
                await asyncio.sleep(0.02)
        except asyncio.CancelledError:
            raise AssertionError(f"{what} did not come true within {within} s") from None


def texts_by_batch(rows: Sequence[Mapping[str, Any]]) -> dict[int | None, list[str]]:
    """Texts of messages by their batch, in the order of the rows."""
    found: dict[int | None, list[str]] = {}
    for row in rows:
        found.setdefault(row["batch_id"], []).append(row["text"])
    return found
