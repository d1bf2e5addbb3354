"""A sealed batch gets its draft, or comes to a person: whatever models, Redis and PostgreSQL do meanwhile."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from nadia.conversations.models import BatchState
from nadia.conversations.pauses import Activity
from nadia.errors import ConfigurationError, UnavailableError
from nadia.llm.errors import NoModelAvailableError
from nadia.llm.models import ChatMessage
from nadia.redis.source import RedisSource
from support.core import ACCOUNT, Core, ScriptedDrafter, open_core, running, until
from support.servers import ClonedDatabase

S = BatchState
NO_MODEL = NoModelAvailableError("test", [("one", "timed out"), ("two", "refused")])


class Held:
    """A model that answers when the test lets it; tells when it was asked."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.may_answer = asyncio.Event()
        self.answering = 0
        self.most_at_once = 0

    async def __call__(self, messages: Sequence[ChatMessage]) -> str:
        self.answering += 1
        self.most_at_once = max(self.most_at_once, self.answering)
        self.asked.set()
        try:
            await self.may_answer.wait()
        finally:
            self.answering -= 1
        return "an answer"


async def drafts(core: Core) -> list[dict[str, Any]]:
    return await core.execute("SELECT * FROM drafts ORDER BY id")


async def test_a_draft_is_stored_with_what_it_answers_and_cost(core: Core) -> None:
    batch = await core.sealed(1001, "Hi", "where is my order?")
    drafter = ScriptedDrafter("It is on its way.\n\nAnything else?")
    assert await core.drafting(drafter).draft(batch.id)

    (draft,) = await drafts(core)
    assert (draft["batch_id"], draft["revision"], draft["conversation_revision"]) == (batch.id, 1, 2)
    assert draft["bubbles"] == ["It is on its way.", "Anything else?"]
    assert (draft["profile"], draft["model"], draft["score"]) == ("test", "scripted", 0.5)
    assert (draft["input_tokens"], draft["output_tokens"], str(draft["cost_usd"])) == (10, 5, "0.00100000")
    assert draft["constitution_version"] == "4.2"
    assert (await core.batch(batch.id)).state is S.DRAFTED
    (prompt,) = drafter.prompts
    assert [(message.role, message.content) for message in prompt] == [
        ("system", "You are the desk's assistant."),
        ("user", "Hi"),
        ("user", "where is my order?"),
    ]


async def test_a_draft_that_a_newer_message_overtook_is_not_stored(core: Core) -> None:
    batch = await core.sealed()
    held = Held()
    worker = core.drafting(ScriptedDrafter(held))
    drafting = asyncio.create_task(worker.draft(batch.id))
    await held.asked.wait()
    await core.record(await core.customer(), "and one more thing")
    await core.batches.seal(batch.conversation_id)
    held.may_answer.set()
    assert await drafting
    assert await drafts(core) == []
    assert (await core.batch(batch.id)).state is S.SEALED

    assert await worker.draft(batch.id)
    (draft,) = await drafts(core)
    assert (draft["revision"], draft["conversation_revision"]) == (2, 2)


async def test_an_edit_while_it_was_drafted_leaves_the_older_revision_on_the_draft(core: Core) -> None:
    await core.receive(text="ten")
    message_id = await core.value("SELECT telegram_message_id FROM messages")
    batch = await core.sealed(1001, "please")
    held = Held()
    drafting = asyncio.create_task(core.drafting(ScriptedDrafter(held)).draft(batch.id))
    await held.asked.wait()
    await core.messages.edit(
        account_id=ACCOUNT,
        chat_id=1001,
        telegram_message_id=message_id,
        text="eleven",
        edited_at=core._clock(),
        fencing_token=core.ownership.fencing_token,
    )
    held.may_answer.set()
    assert await drafting
    (draft,) = await drafts(core)
    assert draft["conversation_revision"] < await core.value("SELECT revision FROM conversations")


async def test_two_workers_never_give_one_revision_two_drafts(core: Core, other_core: Core) -> None:
    batch = await core.sealed()
    held = Held()
    drafter = ScriptedDrafter(held)
    works = []
    for number, one in enumerate((core, other_core, core), 1):
        works.append(asyncio.create_task(one.drafting(drafter).draft(batch.id)))
        await until(_asked(drafter, number))
        await core.execute("UPDATE batches SET drafting_until = clock_timestamp()")  # it stalls past its lease
    held.may_answer.set()
    assert await asyncio.gather(*works) == [True, True, True]
    assert len(await drafts(core)) == 1
    assert await core.value("SELECT count(*) FROM audit_log WHERE after ->> 'state' = 'drafted'") == 1


async def test_a_batch_that_wants_no_draft_costs_nothing(core: Core) -> None:
    batch = await core.sealed()
    await core.take_to(batch.id, S.DRAFTED, S.IN_REVIEW)
    drafter = ScriptedDrafter()
    worker = core.drafting(drafter)
    assert await worker.draft(batch.id)
    assert await worker.draft(999_999)  # the stream is older than the database
    assert drafter.calls == 0


@pytest.mark.parametrize(
    ("failure", "reason"),
    [(NO_MODEL, "one: timed out; two: refused"), (ConfigurationError("persona.txt cannot be read"), "persona.txt")],
)
async def test_without_a_model_the_batch_reaches_the_desk_with_the_reason(
    core: Core, failure: Exception, reason: str
) -> None:
    batch = await core.sealed()
    assert await core.drafting(ScriptedDrafter(failure)).draft(batch.id)
    at_desk = await core.batch(batch.id)
    assert at_desk.state is S.IN_REVIEW
    assert reason in (at_desk.no_draft_reason or "")
    assert await drafts(core) == []


async def test_an_answer_of_nothing_reaches_the_desk_without_a_draft(core: Core) -> None:
    batch = await core.sealed()
    await core.drafting(ScriptedDrafter(" \n\n \x00")).draft(batch.id)
    assert (await core.batch(batch.id)).no_draft_reason == "the model's answer was empty"


async def test_an_answer_with_half_a_character_is_stored(core: Core) -> None:
    batch = await core.sealed()
    await core.drafting(ScriptedDrafter("fine \ud83d")).draft(batch.id)
    assert [draft["bubbles"] for draft in await drafts(core)] == [["fine \ufffd"]]


async def test_a_model_that_fails_after_the_customer_wrote_again_gives_nothing_up(core: Core) -> None:
    batch = await core.sealed()

    async def fail(messages: Sequence[ChatMessage]) -> str:
        await core.record(await core.customer(), "more")
        await core.batches.seal(batch.conversation_id)
        raise NO_MODEL

    await core.drafting(ScriptedDrafter(fail)).draft(batch.id)
    assert (await core.batch(batch.id)).state is S.SEALED


async def test_what_kills_its_worker_again_and_again_is_parked(core: Core) -> None:
    batch = await core.sealed()
    drafter = ScriptedDrafter(RuntimeError("a defect that this text wakes"))
    worker = core.drafting(drafter, most_attempts=3)
    for _ in range(3):
        with pytest.raises(RuntimeError):
            await worker.draft(batch.id)
    assert await worker.draft(batch.id)
    parked = await core.batch(batch.id)
    assert (parked.state, parked.parked_from) == (S.PARKED, S.SEALED)
    assert "3 times" in (parked.parked_reason or "")
    assert drafter.calls == 3
    assert await core.value("SELECT severity FROM notices WHERE topic = 'batch.parked'") == "critical"


async def test_the_stream_is_worked_off_and_left_empty(core: Core) -> None:
    batches = [await core.sealed(chat) for chat in range(1, 13)]
    await core.wal.add([batch.id for batch in batches] * 2)  # twice is harmless
    drafter = ScriptedDrafter()
    async with running(core.drafting(drafter, concurrency=4).run):
        await until(_all_in(core, S.DRAFTED, 12))
        await until(_stream_is_empty(core))
    assert drafter.calls == 12


async def test_no_more_drafts_at_once_than_set(core: Core) -> None:
    batches = [await core.sealed(chat) for chat in range(1, 11)]
    await core.wal.add([batch.id for batch in batches])
    held = Held()
    drafter = ScriptedDrafter(held)
    async with running(core.drafting(drafter, concurrency=3).run):
        await until(_asked(drafter, 3))
        held.may_answer.set()
        await until(_all_in(core, S.DRAFTED, 10))
    assert held.most_at_once <= 3


async def test_a_message_that_joins_while_its_batch_is_drafted_gets_the_next_draft(core: Core) -> None:
    batch = await core.sealed()
    await core.wal.add([batch.id])
    held = Held()
    async with running(core.drafting(ScriptedDrafter(held)).run):
        await held.asked.wait()
        await core.record(await core.customer(), "more")
        await core.batches.seal(batch.conversation_id)
        await core.wal.add([batch.id])
        held.may_answer.set()
        await until(_all_in(core, S.DRAFTED, 1))
        await until(_stream_is_empty(core))
    assert [draft["revision"] for draft in await drafts(core)] == [2]


async def test_a_pause_holds_and_a_resume_lets_go(core: Core) -> None:
    batches = [await core.sealed(chat) for chat in range(1, 6)]
    await core.pauses.pause(Activity.DRAFTING, reason="cost", actor="account:1")
    await core.wal.add([batch.id for batch in batches])
    drafter = ScriptedDrafter()
    worker = core.drafting(drafter, concurrency=2)
    async with running(worker.run):

        async def all_held() -> bool:
            return len(worker._held) + len(worker._tasks) == 5

        await until(all_held)
        assert drafter.calls == 0
        assert await core.value("SELECT max(drafting_attempts) FROM batches") == 0
        await core.pauses.resume(Activity.DRAFTING, actor="account:1")
        await until(_all_in(core, S.DRAFTED, 5))


async def test_a_pause_of_one_account_does_not_hold_up_another(core: Core) -> None:
    await core.own("other")
    await core.own(ACCOUNT)
    paused = [await core.sealed(chat) for chat in range(1, 5)]
    await core.own("other")
    conversation = await core.customer(99, account_id="other")
    await core.record(conversation)
    await core.batches.seal(conversation.id)
    free = await core.value("SELECT id FROM batches WHERE conversation_id = %s", conversation.id)
    await core.pauses.pause(Activity.DRAFTING, account_id=ACCOUNT, reason="trial", actor="account:1")
    await core.wal.add([*(batch.id for batch in paused), free])
    async with running(core.drafting(ScriptedDrafter(), concurrency=1).run):
        await until(_all_in(core, S.DRAFTED, 1))
    assert (await core.batch(free)).state is S.DRAFTED


async def test_without_redis_batches_are_found_in_the_database(database: ClonedDatabase) -> None:
    async with open_core(database.app_dsn, RedisSource(url="unix:///nonexistent/redis.sock")) as core:
        await core.own()
        for chat in range(1, 8):
            await core.sealed(chat)
        async with running(core.drafting(ScriptedDrafter(), concurrency=2).run):
            await until(_all_in(core, S.DRAFTED, 7), within=20)


async def test_without_redis_paused_batches_hold_up_no_others(database: ClonedDatabase) -> None:
    async with open_core(database.app_dsn, RedisSource(url="unix:///nonexistent/redis.sock")) as core:
        await core.own()
        for chat in range(1, 5):
            await core.sealed(chat, priority=10)
        await core.pauses.pause(Activity.DRAFTING, account_id=ACCOUNT, reason="trial", actor="account:1")
        await core.own("other")
        conversation = await core.customer(99, account_id="other")
        await core.record(conversation)
        await core.batches.seal(conversation.id)
        async with running(core.drafting(ScriptedDrafter(), concurrency=2).run):
            await until(_all_in(core, S.DRAFTED, 1), within=20)


async def test_postgresql_that_goes_away_in_the_middle_costs_an_attempt_and_no_batch(
    core: Core, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = await core.sealed()
    await core.wal.add([batch.id])
    transaction = core.database.transaction
    away = False

    def sometimes() -> Any:
        if away:
            raise UnavailableError("PostgreSQL cannot be reached")
        return transaction()

    monkeypatch.setattr(core.database, "transaction", sometimes)
    held = Held()
    drafter = ScriptedDrafter(held)
    worker = core.drafting(drafter)
    async with running(worker.run):
        await held.asked.wait()
        away = True
        held.may_answer.set()

        async def is_held() -> bool:
            return batch.id in worker._held

        await until(is_held)
        away = False
        await until(_all_in(core, S.DRAFTED, 1))
    assert len(await drafts(core)) == 1
    assert drafter.calls == 2


async def test_a_crash_of_one_draft_does_not_stop_the_others(core: Core) -> None:
    bad = await core.sealed(1, "poison")
    good = await core.sealed(2, "hello")

    async def answer(messages: Sequence[ChatMessage]) -> str:
        if messages[-1].content == "poison":
            raise RuntimeError("a defect")
        return "hello to you"

    await core.wal.add([bad.id, good.id])
    async with running(core.drafting(ScriptedDrafter(answer), concurrency=1).run):
        await until(_all_in(core, S.DRAFTED, 1))
    assert (await core.batch(bad.id)).state is S.SEALED


async def test_a_dead_workers_entry_is_drafted_by_another(database: ClonedDatabase, redis_source: RedisSource) -> None:
    async with (
        open_core(database.app_dsn, redis_source) as one,
        open_core(database.app_dsn, redis_source, consumer="two", wal_lease_seconds=0.2) as two,
    ):
        await one.own()
        batch = await one.sealed()
        await one.wal.add([batch.id])
        held = Held()
        async with running(one.drafting(ScriptedDrafter(held)).run):
            await held.asked.wait()  # and is stopped in the middle
        async with running(two.drafting(ScriptedDrafter()).run):
            await until(_all_in(two, S.DRAFTED, 1))
        assert await two.value("SELECT drafting_attempts FROM batches") == 1


async def test_stopping_the_worker_leaves_no_task_behind(core: Core) -> None:
    batch = await core.sealed()
    await core.wal.add([batch.id])
    held = Held()
    async with running(core.drafting(ScriptedDrafter(held)).run):
        await held.asked.wait()
        await core.wal.add([batch.id])  # a second task for the same batch waits for the first
        await until(_stream_was_read(core))
    assert not [task for task in asyncio.all_tasks() if task.get_name().startswith("draft.")]
    assert held.answering == 0


async def test_a_draft_of_this_revision_that_is_there_already_is_used(core: Core) -> None:
    batch = await core.sealed()
    worker = core.drafting(ScriptedDrafter("the first"))
    await worker.draft(batch.id)
    # As a restored database may have it.
    await core.execute("UPDATE batches SET state = 'sealed'")
    await core.drafting(ScriptedDrafter("the second")).draft(batch.id)
    assert [draft["bubbles"] for draft in await drafts(core)] == [["the first"]]
    assert (await core.batch(batch.id)).state is S.DRAFTED


async def test_pages_are_told_of_drafts_and_of_their_absence(core: Core) -> None:
    one, two = await core.sealed(1), await core.sealed(2)
    position = await core.events.latest_id()
    await core.drafting(ScriptedDrafter()).draft(one.id)
    await core.drafting(ScriptedDrafter(NO_MODEL)).draft(two.id)
    events = [(event.kind, event.fields["batch"]) for event in await core.events.after(position)]
    assert events == [("batch.drafted", str(one.id)), ("batch.undrafted", str(two.id))]


def _asked(drafter: ScriptedDrafter, times: int) -> Any:
    async def asked() -> bool:
        return drafter.calls >= times

    return asked


def _all_in(core: Core, state: BatchState, count: int) -> Any:
    async def all_in() -> bool:
        return (await core.batches.counts([state]))[state] == count

    return all_in


def _stream_is_empty(core: Core) -> Any:
    async def empty() -> bool:
        return not await core.wal.waiting()

    return empty


def _stream_was_read(core: Core) -> Any:
    async def read() -> bool:
        async with core.redis.use() as redis:
            return int((await redis.xpending("nadia:wal", "drafting"))["pending"]) == 2

    return read
