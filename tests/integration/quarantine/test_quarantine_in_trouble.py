"""Crashes and outages in the middle of a decision: it holds or it did not happen, and no message is lost."""

import asyncio

import pytest

from nadia.conversations.batches import Batches, RecallsReplies, Sealed, SealHeld
from nadia.errors import UnavailableError
from nadia.postgres import schema
from nadia.postgres.database import Database
from nadia.quarantine import service, store
from nadia.quarantine.config import QuarantineSettings
from nadia.quarantine.gate import SilenceGate
from nadia.quarantine.service import Quarantine
from nadia.redis.connection import RedisConnection
from nadia.redis.events import LiveEvents
from nadia.redis.source import RedisSource
from support.core import Core, ScriptedDrafter, running, until
from support.servers import ClonedDatabase
from support.silences import ANN, WHY, person_of, states, steps, unaccounted


def without_redis(database: Database, batches: Batches, replies: RecallsReplies) -> Quarantine:
    """The service of a process for which Redis is away."""

    async def cannot_tell(batch_id: int) -> None:
        raise UnavailableError("Redis cannot be reached")

    nowhere = RedisConnection(RedisSource(url="unix:///nonexistent/redis.sock", timeout_seconds=0.2))
    return Quarantine(
        database=database,
        batches=batches,
        replies=replies,
        wants_draft=cannot_tell,
        events=LiveEvents(redis=nowhere),
        settings=QuarantineSettings(),
    )


async def test_without_redis_every_decision_holds_and_the_sweep_finds_the_batch(core: Core) -> None:
    conversation = await core.customer()
    person_id = await person_of(core.execute, conversation.id)
    quarantine = without_redis(core.database, core.batches, core.recalls)
    await quarantine.activate(person_id, reason=WHY, actor=ANN)
    await core.record(conversation, "one")
    assert await core.batches.seal(conversation.id) == SealHeld(messages=1)
    await quarantine.release(person_id, reason="x", actor=ANN)
    assert await core.value("SELECT state FROM batches") == "sealed"
    await core.sweep.run_once()
    assert await core.value("SELECT id FROM batches") in await core.wal.waiting()


async def test_a_process_that_dies_after_its_release_leaves_the_sealing_to_pacing(core: Core) -> None:
    conversation = await core.customer()
    person_id = await person_of(core.execute, conversation.id)
    await core.quarantine.activate(person_id, reason=WHY, actor=ANN)
    await core.record(conversation, "one")
    await core.batches.seal(conversation.id)

    class Dies(Batches):
        async def seal(self, conversation_id: int, *, priority: int = 0) -> Sealed:
            raise asyncio.CancelledError

    dying = without_redis(
        core.database, Dies(database=core.database, replies=core.recalls, silences=SilenceGate()), core.recalls
    )
    with pytest.raises(asyncio.CancelledError):
        await dying.release(person_id, reason="x", actor=ANN)
    assert await states(core.execute) == ["released"]
    assert await core.batches.overdue(window_seconds=0, longest_seconds=0) == [conversation.id]
    assert isinstance(await core.batches.seal(conversation.id), Sealed)


@pytest.mark.parametrize("act", ["activate", "deactivate", "grant_pass", "release", "discard", "expire"])
async def test_what_fails_before_its_end_did_not_happen(core: Core, monkeypatch: pytest.MonkeyPatch, act: str) -> None:
    conversation = await core.customer()
    person_id = await person_of(core.execute, conversation.id)
    if act != "activate":
        await core.quarantine.activate(person_id, reason=WHY, actor=ANN)
    await core.record(conversation, "one")
    if act != "activate":
        await core.batches.seal(conversation.id)
        await core.execute("UPDATE quarantine_messages SET held_at = now() - interval '9 d', expires_at = now()")

    async def breaks(*_: object, **__: object) -> None:
        raise UnavailableError("PostgreSQL went away")

    before = await picture(core)
    # The last statement of each decision is its audit row, and of an expiry its notice.
    monkeypatch.setattr(service, "record_notice" if act == "expire" else "_record", breaks)
    with pytest.raises(UnavailableError):
        if act == "expire":
            await core.quarantine.expire()
        else:
            await getattr(core.quarantine, act)(person_id, reason="x", actor=ANN)
    assert await picture(core) == before


async def picture(core: Core) -> list[object]:
    """All that a decision changes."""
    return [
        await core.execute("SELECT person_id, pass_granted_at FROM user_protocol_status"),
        await core.execute("SELECT id, batch_id, held_at FROM messages ORDER BY id"),
        await core.execute("SELECT id, state FROM batches ORDER BY id"),
        await states(core.execute),
        await steps(core.execute),
        await core.value("SELECT count(*) FROM audit_log"),
    ]


async def test_a_draft_that_is_made_while_the_customer_is_silenced_is_not_kept(core: Core) -> None:
    batch = await core.sealed(1001, "hello")
    person_id = await person_of(core.execute, batch.conversation_id)
    asked, answer = asyncio.Event(), asyncio.Event()

    async def thinks(_: object) -> str:
        asked.set()
        await answer.wait()
        return "Four euros."

    await core.wal.add([batch.id])
    async with running(core.drafting(ScriptedDrafter(answer=thinks)).run):
        await asyncio.wait_for(asked.wait(), 10)
        await core.quarantine.activate(person_id, reason=WHY, actor=ANN)
        answer.set()

        async def is_dropped() -> bool:
            return batch.id not in await core.wal.waiting()

        await until(is_dropped)
    assert await core.value("SELECT state FROM batches") == "parked"
    assert await core.value("SELECT count(*) FROM drafts") == 0
    assert await unaccounted(core.execute) == 0


async def test_rolling_the_branch_back_leaves_what_was_held_to_be_answered(
    core: Core, database: ClonedDatabase
) -> None:
    conversation = await core.customer()
    await core.quarantine.activate(await person_of(core.execute, conversation.id), reason=WHY, actor=ANN)
    await core.record(conversation, "one")
    await core.batches.seal(conversation.id)
    await asyncio.to_thread(schema.downgrade, database.owner_dsn, "quarantine@base")
    await asyncio.to_thread(schema.upgrade, database.owner_dsn)
    assert await core.batches.overdue(window_seconds=0, longest_seconds=0) == [conversation.id]
    assert await store_is_empty(core)
    assert isinstance(await core.batches.seal(conversation.id), Sealed)


async def store_is_empty(core: Core) -> bool:
    async with core.database.connection() as conn:
        return (await store.figures(conn)) == store.Figures(silenced=0, held=0, oldest_seconds=0.0)
