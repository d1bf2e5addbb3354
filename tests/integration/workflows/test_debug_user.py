"""`debug-user` against customers in every state that there is."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from nadia import notices
from nadia.conversations.memory import ConversationMemory
from nadia.conversations.models import BatchState, Conversation
from nadia.conversations.pauses import Activity
from nadia.conversations.transitions import lock_batch, move
from nadia.conversations.wal import WalStream
from nadia.errors import NotFoundError
from nadia.health.models import HealthStatus
from nadia.notices import Notice
from nadia.pacing.bursts import Bursts
from nadia.pacing.config import PacingSettings
from nadia.redis.connection import RedisConnection
from nadia.redis.source import RedisSource
from nadia.review.models import ReviewerRef
from nadia.workflows.customer import timeline as timelines
from nadia.workflows.debug_user import DebugUser, DebugUserArguments
from nadia.workflows.report import WorkflowReport
from support.reply_world import ACCOUNT, World

Ask = Callable[..., Awaitable[WorkflowReport]]


@pytest.fixture
def ask(world: World, redis_connection: RedisConnection) -> Ask:
    async def run(who: str | int, *, redis: RedisConnection = redis_connection, **options: Any) -> WorkflowReport:
        workflow = DebugUser(connect=world.database.connection, redis=redis)
        return await workflow.run(DebugUserArguments.model_validate({"who": str(who), **options}))

    return run


def rows(report: WorkflowReport, title: str) -> list[dict[str, Any]]:
    for table in report.tables:
        if table.title == title:
            return [dict(zip(table.columns, row, strict=True)) for row in table.rows]
    raise AssertionError(f"no table {title!r} in {[table.title for table in report.tables]}")


async def person_of(world: World, conversation: Conversation) -> int:
    (row,) = await world.execute("SELECT person_id FROM conversations WHERE id = %s", conversation.id)
    return int(row["person_id"])


async def test_a_customer_is_found_by_whatever_an_operator_has(world: World, ask: Ask) -> None:
    mina = await world.customer("Mina Okafor", chat_id=7_000_001)
    await world.execute("UPDATE people SET username = 'Mina_O' WHERE telegram_user_id = 7000001")
    await world.customer("Bert", chat_id=7_000_002)
    person = await person_of(world, mina)
    for who in (
        7_000_001,
        "@mina_o",
        "mina_o",
        "Mina Okafor",
        " mina okafor ",
        "okaf",
        f"conversation:{mina.id}",
        f"Conversation {mina.id}",
        f"person:{person}",
    ):
        (found,) = rows(await ask(who), "customer")
        assert found["Telegram user"] == 7_000_001, who


async def test_a_name_that_several_have_lists_them_and_tells_nothing_else(world: World, ask: Ask) -> None:
    for chat_id, name in ((1, "Anna"), (2, "Anna"), (3, "Annabel")):
        await world.says(await world.customer(name, chat_id=9_000_000 + chat_id), "my secret")
    report = await ask("anna")
    assert report.status is HealthStatus.UNKNOWN
    assert report.answer.startswith("2 customers may be meant")
    candidates = rows(report, "candidates")
    assert [candidate["Telegram user"] for candidate in candidates] == [9_000_001, 9_000_002]
    assert "my secret" not in report.model_dump_json()
    (chosen,) = rows(await ask(candidates[1]["ask for"]), "customer")
    assert chosen["Telegram user"] == 9_000_002
    (part,) = rows(await ask("annab"), "customer")
    assert part["Telegram user"] == 9_000_003


async def test_a_number_that_means_two_people_lists_both(world: World, ask: Ask) -> None:
    first = await world.customer("Mina", chat_id=5_000)
    await world.customer("Bert", chat_id=first.id)
    assert len(rows(await ask(first.id), "candidates")) == 2


@pytest.mark.parametrize(
    "who",
    ["nobody", "@nobody", "999999999999999999", "9" * 60, "%", "_", "'; DROP TABLE people;--", "person:0", "a\\", "  "],
)
async def test_who_is_unknown_is_not_found_whatever_they_are_called(world: World, ask: Ask, who: str) -> None:
    await world.customer("Mina")
    with pytest.raises(NotFoundError):
        await ask(who)


async def test_everything_stands_on_one_line_of_time(world: World, ask: Ask, reviewer: ReviewerRef) -> None:
    mina = await world.customer("Mina")
    batch = await world.sealed(mina, "How much is shipping?", "To Porto")
    await world.add_draft(batch, ["Four euros."])
    await world.approve(batch, reviewer, "Five euros.")
    await world.execute("UPDATE messages SET edited_at = clock_timestamp() WHERE text = 'To Porto'")
    timeline = rows(await ask("Mina"), "timeline")
    assert [moment["at"] for moment in timeline] == sorted(moment["at"] for moment in timeline)
    said = [(moment["source"], moment["what"]) for moment in timeline]
    assert [what for source, what in said if source == "audit"] == [
        "buffering → sealed, by system",
        "sealed → drafted, by system",
        "drafted → in_review, by Jonas",
        "in_review → approved, by Jonas",
    ]
    assert [moment["text"] for moment in timeline if moment["source"] == "message"][:2] == [
        "How much is shipping?",
        "To Porto",
    ]
    (draft,) = [moment for moment in timeline if moment["source"] == "draft"]
    assert (draft["text"], "11 + 7 tokens" in draft["what"]) == ("Four euros.", True)
    (decision,) = [moment for moment in timeline if moment["source"] == "desk"]
    assert (decision["what"], decision["text"]) == ("approve, by Jonas (edited)", "Five euros.")
    (waiting,) = [moment for moment in timeline if moment["source"] == "outbox"]
    assert waiting["what"] == "bubble 1 is queued, 0 attempts"
    assert any("was edited" in what for _, what in said)


async def waits_for(ask: Ask, who: str = "Mina") -> tuple[HealthStatus, str]:
    report = await ask(who)
    (now,) = rows(report, "now")
    return report.status, now["it"]


async def test_it_says_what_a_conversation_waits_for_at_each_step(
    world: World, ask: Ask, reviewer: ReviewerRef, redis_connection: RedisConnection
) -> None:
    mina = await world.customer("Mina")
    assert await waits_for(ask) == (
        HealthStatus.HEALTHY,
        "waits for nothing; nothing of it was ever for the desk",
    )
    await world.says(mina, "Hello")
    bursts = Bursts(redis=redis_connection, settings=PacingSettings())
    due = await bursts.add(conversation_id=mina.id, partition=mina.partition, now=datetime.now(UTC), urgent=False)
    status, said = await waits_for(ask)
    assert said.startswith("waits for the end of the burst: 1 message since ")
    assert said.endswith(f", due {due.isoformat(timespec='seconds').replace('+00:00', 'Z')}")
    batch = await world.sealed(mina)
    assert (await waits_for(ask))[1].startswith("waits for a draft since ")
    await world.add_draft(batch, ["Four euros."])
    assert (await waits_for(ask))[1].startswith("waits for a reviewer since ")
    await world.desk.claim(batch, reviewer)
    assert (await waits_for(ask))[1].startswith("is being worked on by Jonas, at the desk since ")
    await world.approve(batch, reviewer, "Four euros.")
    status, said = await waits_for(ask)
    assert status is HealthStatus.HEALTHY
    assert "waits to be sent, approved " in said
    async with world.database.transaction() as conn:
        await move(conn, await lock_batch(conn, batch), BatchState.SENDING, actor="system")
    assert (await waits_for(ask))[1] == "is being sent, 1 bubbles are left"
    async with world.database.transaction() as conn:
        await move(conn, await lock_batch(conn, batch), BatchState.SENT, actor="system")
    assert (await waits_for(ask))[1].startswith("waits for nothing; the last item was sent ")


async def test_what_holds_a_reply_up_is_named_with_the_remedy(world: World, ask: Ask, reviewer: ReviewerRef) -> None:
    await world.approved(await world.customer("Mina"), reviewer, "Four euros.")
    await world.execute("UPDATE outbox SET last_error = 'the link broke'")
    status, said = await waits_for(ask)
    assert (status, said.endswith("the last attempt failed: the link broke")) == (HealthStatus.WARNING, True)
    await world.execute("UPDATE telegram_accounts SET expires_at = NULL, holder = NULL")
    status, said = await waits_for(ask)
    assert (status, "does a bot run?" in said) == (HealthStatus.WARNING, True)
    await world.execute(
        "INSERT INTO recovery_gaps (telegram_account_id, after_message_id, reason) VALUES (%s, 1, 'start')", ACCOUNT
    )
    status, said = await waits_for(ask)
    assert (status, "was read again after downtime" in said) == (HealthStatus.HEALTHY, True)
    await world.pauses.pause(Activity.SENDING, reason="the price list is wrong", actor="account:1")
    status, said = await waits_for(ask)
    assert (status, "nadia resume sending" in said) == (HealthStatus.WARNING, True)


async def test_a_draft_that_does_not_come_says_why(world: World, ask: Ask, redis_connection: RedisConnection) -> None:
    batch = await world.sealed(await world.customer("Mina"))
    await world.execute("UPDATE batches SET changed_at = clock_timestamp() - interval '10 minutes'")
    status, said = await waits_for(ask)
    assert (status, "does not name it" in said) == (HealthStatus.WARNING, True)
    await WalStream(redis=redis_connection, consumer="test", lease_seconds=30).add([batch])
    assert (await waits_for(ask))[0] is HealthStatus.HEALTHY
    await world.pauses.pause(Activity.DRAFTING, account_id=ACCOUNT, reason="costs", actor="account:1")
    status, said = await waits_for(ask)
    assert (status, "nadia resume drafting" in said) == (HealthStatus.WARNING, True)


async def test_a_parked_item_is_told_with_its_reason(world: World, ask: Ask) -> None:
    batch = await world.drafted(await world.customer("Mina"))
    async with world.database.transaction() as conn:
        await move(conn, await lock_batch(conn, batch), BatchState.PARKED, actor="system", reason="ask Eva first")
    status, said = await waits_for(ask)
    assert status is HealthStatus.WARNING
    assert said.endswith("waits for a person to take it up: ask Eva first")


async def test_a_silenced_customer_is_told_with_what_waits_for_a_decision(world: World, ask: Ask) -> None:
    mina = await world.customer("Mina")
    await world.sealed(mina)
    await world.quarantine.activate(await person_of(world, mina), reason="threats", actor="system")
    _, said = await waits_for(ask)
    assert said.startswith("is with a customer who is silenced since ")
    assert "1 of whose messages wait for a decision" in said
    timeline = rows(await ask("Mina"), "timeline")
    assert [moment["text"] for moment in timeline if moment["what"].startswith("activated")] == ["threats"]


async def test_what_was_missed_or_could_not_be_recorded_is_part_of_it(world: World, ask: Ask) -> None:
    mina = await world.customer("Mina")
    await world.execute(
        "WITH gap AS (INSERT INTO recovery_gaps (telegram_account_id, after_message_id, reason, closed_at) "
        "VALUES (%(account)s, 1, 'start', now()) RETURNING id) "
        "INSERT INTO recovery_chats (gap_id, chat_id, telegram_account_id, tier, top_message_id, top_sent_at, "
        "through_message_id, state, done_at, attempts, error) "
        "SELECT id, %(chat)s, %(account)s, 1, 5, now(), 5, 'failed', now(), 3, 'flood wait' FROM gap",
        account=ACCOUNT,
        chat=mina.chat_id,
    )
    await world.execute(
        "INSERT INTO parked_updates (telegram_account_id, event, payload, error) "
        "VALUES (%(account)s, 'message', jsonb_build_object('chat_id', %(chat)s::bigint), 'ValueError: odd'), "
        "(%(account)s, 'message', '{\"chat_id\": 1}', 'of somebody else')",
        account=ACCOUNT,
        chat=mina.chat_id,
    )
    timeline = rows(await ask("Mina"), "timeline")
    assert [(moment["source"], moment["text"]) for moment in timeline] == [
        ("recovery", None),
        ("intake", "ValueError: odd"),
    ]
    assert timeline[0]["what"].endswith("failed after 3 attempts: flood wait")


async def test_what_redis_holds_is_compared_with_what_is_on_record(
    world: World, ask: Ask, redis_connection: RedisConnection
) -> None:
    mina = await world.customer("Mina")
    await world.says(mina, "Hello")
    (held,) = rows(await ask("Mina"), "in Redis")
    assert (held["burst"], held["memory"], held["on the stream"]) == ("none", "none", False)
    (row,) = await world.execute("SELECT * FROM conversations WHERE id = %s", mina.id)
    known = Conversation(**{name: row[name] for name in Conversation.__slots__})
    await ConversationMemory(redis=redis_connection, messages=world.messages).recall(known)
    (held,) = rows(await ask("Mina"), "in Redis")
    assert held["memory"] == "1 messages, up to date"
    assert held["kept for (seconds)"] > timedelta(days=6).total_seconds()
    await world.says(mina, "Are you there?")
    (held,) = rows(await ask("Mina"), "in Redis")
    assert held["memory"] == "1 messages, to be rebuilt by the next reader"


async def test_without_redis_it_tells_what_postgresql_knows(world: World, ask: Ask) -> None:
    away = RedisConnection(RedisSource(url="redis://127.0.0.1:1", timeout_seconds=0.5))
    await world.sealed(await world.customer("Mina"))
    report = await ask("Mina", redis=away)
    await away.close()
    assert report.unreachable == ["Redis"]
    assert "waits for a draft" in report.answer
    assert len(rows(report, "timeline")) >= 2


async def test_redacted_it_keeps_lengths_and_times_and_no_word(world: World, ask: Ask, reviewer: ReviewerRef) -> None:
    mina = await world.customer("Mina Okafor")
    await world.execute("UPDATE people SET username = 'okafor_m'")
    batch = await world.sealed(mina, "my card is 4111")
    await world.add_draft(batch, ["Never send cards."])
    await world.approve(batch, reviewer, "Please never send cards.")
    await world.quarantine.activate(await person_of(world, mina), reason="sends her cards", actor="system")
    report = await ask(mina.id, redact=True)
    text = report.model_dump_json()
    for word in ("Mina", "okafor", "4111", "send cards", "her cards"):
        assert word not in text
    assert "[15 characters]" in text
    assert report.customer_text is False
    assert (await ask(mina.id)).customer_text is True


async def test_it_is_bounded_and_says_so(world: World, ask: Ask) -> None:
    mina = await world.customer("Mina")
    for number in range(12):
        await world.says(mina, f"message {number}")
    await world.says(mina, "x" * 4_096)
    report = await ask("Mina", limit=5)
    timeline = rows(report, "timeline")
    assert len(timeline) == 5
    assert timeline[-2]["text"] == "message 11"
    assert timeline[-1]["text"] == "x" * 1_000 + "… (4096 characters)"
    note = next(table.note for table in report.tables if table.title == "timeline")
    assert note is not None
    assert "--limit" in note
    assert len(rows(await ask("Mina", limit=13), "timeline")) == 13
    whole = next(table for table in (await ask("Mina", limit=13)).tables if table.title == "timeline")
    assert whole.note is None


async def test_of_others_nothing_is_told(world: World, ask: Ask) -> None:
    await world.sealed(await world.customer("Bert"), "a secret of Bert's")
    await world.sealed(await world.customer("Mina"), "Hello")
    assert "Bert" not in (await ask("Mina")).model_dump_json()


async def written(world: World, conversation: Conversation, number: int) -> None:
    await world.execute(
        "INSERT INTO messages (telegram_account_id, chat_id, telegram_message_id, conversation_id, direction, author, "
        "kind, text, sent_at, received_at) "
        "SELECT telegram_account_id, chat_id, 1000 + n, id, 'in', 'customer', 'text', 'm' || n, at, at "
        "FROM conversations, generate_series(1, %(number)s) n, LATERAL (SELECT now() - interval '10 days' + n * "
        "interval '1 minute' AS at) moment WHERE id = %(conversation)s",
        conversation=conversation.id,
        number=number,
    )


async def test_what_was_done_lately_to_old_messages_is_told(world: World, ask: Ask) -> None:
    await written(world, await world.customer("Mina"), 50)
    await world.execute("UPDATE messages SET edited_at = now() - interval '1 hour' WHERE text = 'm49'")
    await world.execute("UPDATE messages SET deleted_at = now() WHERE text = 'm3'")
    timeline = rows(await ask("Mina", limit=3), "timeline")
    assert [moment["what"].split(" ", 2)[2].split(";")[0] for moment in timeline] == [
        "the customer wrote",
        "was edited",
        "was deleted",
    ]
    assert [moment["text"] for moment in timeline] == ["m50", None, None]


async def test_what_was_done_lately_to_an_old_item_is_told(world: World, ask: Ask) -> None:
    mina = await world.customer("Mina")
    await world.execute(
        "INSERT INTO batches (conversation_id, state, conversation_revision, sealed_at, changed_at) "
        "SELECT %s, 'rejected', 1, now() - interval '9 days', now() - interval '9 days' + n * interval '1 minute' "
        "FROM generate_series(1, 50) n",
        mina.id,
    )
    (old,) = await world.execute("SELECT min(id) AS id FROM batches")
    await world.execute("UPDATE batches SET changed_at = now() WHERE id = %s", old["id"])
    await world.execute(
        "INSERT INTO audit_log (actor, action, subject, after) VALUES ('system', 'batch.looked_at', %s, '{}')",
        f"batch:{old['id']}",
    )
    timeline = rows(await ask("Mina", limit=5), "timeline")
    assert [moment["what"] for moment in timeline] == ["batch.looked_at, by system"]


async def test_notices_about_the_person_an_item_or_the_chat_are_told_and_no_others(world: World, ask: Ask) -> None:
    mina = await world.customer("Mina", chat_id=7_000_001)
    batch = await world.sealed(mina)
    async with world.database.transaction() as conn:
        for topic, labels in (
            ("quarantine.expired", {"person": str(await person_of(world, mina)), "messages": "3"}),
            ("batch.parked", {"batch": str(batch)}),
            ("recovery.chat_unreadable", {"account": ACCOUNT, "chat": "7000001"}),
            ("of.another_account", {"account": "another", "chat": "7000001"}),
            ("of.another_chat", {"account": ACCOUNT, "chat": "7000002"}),
            ("of.the_account", {"account": ACCOUNT}),
            ("of.another_item", {"batch": str(batch + 1)}),
        ):
            await notices.record(conn, Notice(topic, "so it is", labels=labels))
    told = [moment["what"] for moment in rows(await ask("Mina"), "timeline") if moment["source"] == "notice"]
    assert told == ["quarantine.expired (warning)", "batch.parked (warning)", "recovery.chat_unreadable (warning)"]


async def test_neither_the_whole_audit_log_nor_all_notices_are_read(world: World, postgres_owner_dsn: str) -> None:
    mina = await world.customer("Mina")
    await world.sealed(mina)
    await world.execute(
        "INSERT INTO audit_log (actor, action, subject) "
        "SELECT 'system', 'batch.moved', 'batch:' || 1000 + n FROM generate_series(1, 20000) n"
    )
    await world.execute(
        "INSERT INTO notices (topic, severity, summary, labels) SELECT 'x.y', 'warning', 's', "
        "jsonb_build_object('batch', (1000 + n)::text) FROM generate_series(1, 20000) n"
    )
    async with await psycopg.AsyncConnection.connect(postgres_owner_dsn, autocommit=True) as owner:
        await owner.execute("VACUUM ANALYZE audit_log, notices")
    asked = {"person": await person_of(world, mina), "conversations": [mina.id], "limit": 201}
    for statement, index in ((timelines._AUDIT, "audit_log_by_subject"), (timelines._NOTICES, "notices_by_label")):
        plan = await world.execute(f"EXPLAIN (COSTS OFF) {statement}", **asked)
        steps = "\n".join(str(row["QUERY PLAN"]) for row in plan)
        assert index in steps, steps
