"""A conversation reads in Telegram's order, whenever its messages reached us."""

import random
from datetime import timedelta
from itertools import count

from nadia.constants import MAX_HISTORY_LENGTH
from nadia.conversations.models import BatchState
from nadia.conversations.order import PLACE
from nadia.conversations.sent_messages import record_sent
from nadia.drafting.store import not_shown
from nadia.redis.keys import memory as memory_key
from nadia.review import store as desk
from support.core import START, Core


async def on_record(core: Core, *, limit: int = 100) -> list[str]:
    conversation = await core.customer()
    return [message.text for message in (await core.messages.history(conversation.id, limit=limit)).messages]


async def remembered(core: Core) -> list[str]:
    return [entry.text for entry in await core.memory.recall(await core.customer())]


async def at_the_desk(core: Core, batch_id: int) -> list[str]:
    batch = await core.batch(batch_id)
    async with core.database.transaction() as conn:
        shown = await desk.thread(conn, conversation_id=batch.conversation_id, batch_id=batch_id)
    return [message.text for message in shown]


async def test_an_older_message_that_comes_late_stands_in_its_place(core: Core) -> None:
    for number in (10, 30):
        await core.receive(text=str(number), message_id=number)
    assert await remembered(core) == ["10", "30"]
    await core.receive(text="20", message_id=20)
    await core.receive(text="25", message_id=25, outgoing=True)
    await core.receive(text="40", message_id=40)
    expected = ["10", "20", "25", "30", "40"]
    assert await remembered(core) == await on_record(core) == expected
    sealed = await core.batches.seal((await core.customer()).id)
    assert sealed is not None
    (batch_id,) = [row["id"] for row in await core.execute("SELECT id FROM batches")]
    assert await at_the_desk(core, batch_id) == expected


async def test_a_late_message_drops_the_memory_and_a_newer_one_is_appended_to_the_rebuilt_one(core: Core) -> None:
    async def kept() -> int:
        conversation = await core.customer()
        async with core.redis.use() as redis:
            return int(await redis.llen(memory_key(conversation.partition, conversation.id)))

    await core.receive(text="10", message_id=10)
    await remembered(core)
    await core.receive(text="9", message_id=9)
    assert await kept() == 0
    assert await remembered(core) == ["9", "10"]
    await core.receive(text="11", message_id=11)
    assert await kept() == 4
    assert await remembered(core) == ["9", "10", "11"]


async def test_any_order_of_arrival_reads_the_same(core: Core) -> None:
    order = random.Random(7)
    numbers = list(range(1, 81))
    order.shuffle(numbers)
    for position, number in enumerate(numbers):
        await core.receive(text=str(number), message_id=number, outgoing=number % 5 == 0)
        if position % 9 == 0:
            assert await remembered(core) == await on_record(core, limit=MAX_HISTORY_LENGTH)
    assert await on_record(core) == [str(number) for number in range(1, 81)]
    assert await remembered(core) == [str(number) for number in range(31, 81)]
    await core.execute("UPDATE messages SET batch_id = NULL")
    async with core.redis.use() as redis:
        await redis.flushall()
    assert await remembered(core) == [str(number) for number in range(31, 81)]


async def test_a_page_of_the_history_holds_the_newest_by_telegram_s_order(core: Core) -> None:
    for number in (50, 49, 48, 1, 2, 3):
        await core.receive(text=str(number), message_id=number)
    assert await on_record(core, limit=3) == ["48", "49", "50"]


async def test_a_reply_without_telegram_s_id_stands_behind_what_was_there_when_it_left(core: Core) -> None:
    batch = await core.sealed(1001, "1", "2")
    (newest,) = await core.execute("SELECT max(telegram_message_id) AS id FROM messages")
    conversation = await core.customer()
    async with core.database.transaction() as conn:
        for placeholder, text in ((-7, "reply"), (-9, "its second half")):
            await record_sent(
                conn,
                conversation=conversation,
                telegram_message_id=placeholder,
                text=text,
                sent_at=START,
                batch_id=batch.id,
                after_message_id=newest["id"],
            )
    await core.receive(text="later", message_id=1_000)
    assert await on_record(core) == await remembered(core) == ["1", "2", "reply", "its second half", "later"]
    assert await on_record(core, limit=2) == ["its second half", "later"]


async def test_a_reply_that_nobody_saw_leave_stands_at_the_end(core: Core) -> None:
    batch = await core.sealed(1001, "1")
    async with core.database.transaction() as conn:
        await record_sent(
            conn,
            conversation=await core.customer(),
            telegram_message_id=-3,
            text="reply",
            sent_at=START,
            batch_id=batch.id,
        )
    assert await on_record(core) == ["1", "reply"]


async def test_what_the_model_was_not_shown_is_counted_in_telegram_s_order(core: Core) -> None:
    numbers = count(1_000)
    for _ in range(3):
        await core.receive(text="new", message_id=next(numbers))
    for number in (1, 2):  # found after downtime: older, and the last to arrive
        await core.receive(text="old", message_id=number)
    sealed = await core.batches.seal((await core.customer()).id)
    assert sealed is not None
    batch = await core.batch(await core.value("SELECT id FROM batches"))
    assert batch.state is BatchState.SEALED
    async with core.database.transaction() as conn:
        counted = [await not_shown(conn, batch, shown=shown) for shown in (2, 3, 4, 5)]
    assert counted == [3, 2, 1, 0]


async def test_the_queue_previews_the_customer_s_newest_words_and_says_since_when_they_are_late(core: Core) -> None:
    now = await core.value("SELECT clock_timestamp()")
    await core.receive(text="fresh", message_id=30, sent_at=now)
    await core.receive(text="old", message_id=10, sent_at=now - timedelta(hours=14))
    await core.receive(text="older", message_id=9, sent_at=now - timedelta(hours=15))
    await core.batches.seal((await core.customer()).id)
    async with core.database.transaction() as conn:
        (item,) = await desk.most_urgent(conn, [BatchState.SEALED], 10)
    assert (item.preview, item.late_since, item.messages) == ("fresh", now - timedelta(hours=15), 3)
    await core.execute("UPDATE messages SET deleted_at = now() WHERE text LIKE 'old%%'")
    async with core.database.transaction() as conn:
        assert (await desk.item(conn, item.batch_id)).late_since is None


async def test_there_is_an_index_that_knows_the_order(core: Core) -> None:
    conversation = await core.customer()
    async with core.database.transaction() as conn:
        await conn.execute("SET LOCAL enable_sort = off")  # too few rows for it to matter by itself
        cursor = await conn.execute(
            "EXPLAIN SELECT m.id FROM messages m WHERE m.conversation_id = %s"
            f" ORDER BY {PLACE} DESC, m.id DESC LIMIT 50",
            [conversation.id],
        )
        plan = " ".join(row["QUERY PLAN"] for row in await cursor.fetchall())
    assert "Index Scan Backward using messages_by_place" in plan
    assert "Sort" not in plan
