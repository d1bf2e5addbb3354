"""What was missed is found, in its tier, in order, once; and what came live hides nothing."""

import asyncio

import pytest

from nadia.conversations.messages import NotOwnerError
from nadia.recovery.models import Reason
from nadia.telegram.errors import FloodWaitError, GatewayDisconnectedError, GatewayError
from nadia.telegram.gateway import UpdatesLost
from support.core import ACCOUNT, NETWORK, Core, until
from support.recovering import Downtime


async def test_missed_messages_are_taken_in_once_and_in_order(downtime: Downtime) -> None:
    await downtime.live(1, "before")
    for number in range(3):
        downtime.write(1, f"first {number}")
        downtime.write(2, f"second {number}")

    await downtime.recover()
    await downtime.recover()

    assert await downtime.texts(1) == ["before", "first 0", "first 1", "first 2"]
    assert await downtime.texts(2) == ["second 0", "second 1", "second 2"]
    assert await downtime.cursor() == 7
    first, second = await downtime.operations()
    assert (first["state"], first["messages_found"], first["messages_recorded"]) == ("done", 6, 6)
    assert (second["state"], second["messages_recorded"]) == ("done", 0)


async def test_only_chats_above_the_cursor_are_opened(downtime: Downtime) -> None:
    for chat in range(1, 6):
        await downtime.live(chat)
    downtime.write(2, "missed")

    await downtime.recover()

    assert set(await downtime.chats()) == {2}
    assert downtime.telegram.requests.count("history") == 1


async def test_the_most_urgent_tier_is_read_first(downtime: Downtime) -> None:
    ages = {1: 15, 2: 1, 3: 5, 4: 0.5, 5: 11.9, 6: 12.1}
    await downtime.live(9, hours_ago=20)
    for chat, hours in sorted(ages.items(), key=lambda entry: -entry[1]):
        downtime.write(chat, hours_ago=hours)

    await downtime.recover()

    tiers = {chat: row["tier"] for chat, row in (await downtime.chats()).items()}
    assert tiers == {1: 3, 2: 1, 3: 2, 4: 1, 5: 2, 6: 3}
    arrived = await downtime.core.execute("SELECT chat_id FROM messages WHERE recovered_by IS NOT NULL ORDER BY id")
    assert [tiers[row["chat_id"]] for row in arrived] == [1, 1, 2, 2, 3, 3]
    (operation,) = await downtime.operations()
    assert [operation[f"chats_tier_{tier}"] for tier in (1, 2, 3)] == [2, 2, 2]
    assert operation["chats_done"] == 6


async def test_found_messages_name_the_run_and_live_ones_none(downtime: Downtime) -> None:
    await downtime.live(1, "live")
    downtime.write(1, "found")
    await downtime.recover()
    rows = await downtime.core.execute("SELECT text, recovered_by FROM messages ORDER BY id")
    (operation,) = await downtime.operations()
    assert [(row["text"], row["recovered_by"]) for row in rows] == [("live", None), ("found", operation["id"])]


async def test_a_live_message_during_the_run_does_not_hide_the_gap_below_it(downtime: Downtime) -> None:
    await downtime.live(1, "before")
    downtime.write(2, "missed")
    await downtime.agent().connected(downtime.core.ownership)  # and killed, before anything is read
    await downtime.live(1, "live")

    await downtime.recover()

    assert await downtime.texts(2) == ["missed"]
    gap = await downtime.gap()
    assert (gap["after_message_id"], gap["generation"]) == (1, 2)


async def test_what_recovery_found_above_the_live_messages_is_no_low_mark(downtime: Downtime) -> None:
    await downtime.live(1, "before")
    downtime.write(2, "missed")
    downtime.write(3, "missed too")

    def fail_at_the_second_chat(request: str) -> None:  # one takes its newest page, and what was missed
        if request == "history" and downtime.telegram.requests.count("history") > 2:
            raise GatewayDisconnectedError("the link is gone")

    downtime.telegram.before = fail_at_the_second_chat
    async with downtime.looking(downtime.agent(tier_1_concurrency=1)):
        await downtime.ended("interrupted")
    assert await downtime.texts(3) == ["missed too"], "the newest chat is read first"
    downtime.telegram.before = None

    await downtime.recover()

    assert await downtime.texts(2) == ["missed"]
    assert (await downtime.gap())["after_message_id"] == 1


async def test_after_a_closed_gap_live_messages_raise_the_mark_again(downtime: Downtime) -> None:
    await downtime.live(1)
    await downtime.recover()
    last = await downtime.live(2)
    await downtime.recover()
    assert (await downtime.gap())["after_message_id"] == last.message_id


async def test_a_reply_of_ours_does_not_raise_the_mark(downtime: Downtime) -> None:
    await downtime.live(1, "question")
    downtime.write(2, "not yet told of")
    conversation = await downtime.core.customer(1)
    async with downtime.core.database.transaction() as conn:
        await conn.execute(
            """INSERT INTO messages (conversation_id, telegram_account_id, chat_id, telegram_message_id, direction,
            author, kind, text, sent_at) VALUES (%(id)s, %(account)s, 1, 3, 'out', 'desk', 'text', 'ours', now())""",
            {"id": conversation.id, "account": ACCOUNT},
        )
    await downtime.recover()
    assert await downtime.texts(2) == ["not yet told of"]


async def test_an_interrupted_run_goes_on_where_it_was(downtime: Downtime) -> None:
    await downtime.live(99, hours_ago=1)
    for chat in range(1, 11):
        for number in range(60):
            downtime.write(chat, f"{number}")

    def cut_sometimes(request: str) -> None:
        if request == "history" and downtime.telegram.requests.count("history") % 8 == 0:
            raise GatewayDisconnectedError("the link is gone")

    downtime.telegram.before = cut_sometimes
    await downtime.recover(downtime.agent(most_failures=50))

    for chat in range(1, 11):
        assert await downtime.texts(chat) == [f"{number}" for number in range(60)]
    operations = await downtime.operations()
    assert len(operations) > 1
    assert sum(operation["messages_recorded"] for operation in operations) == 600
    assert sum(operation["chats_done"] for operation in operations) == 10, "no chat is read twice"


async def test_a_killed_run_is_ended_by_the_next_one(downtime: Downtime, other_core: Core) -> None:
    await downtime.live(1)
    downtime.write(2, "missed")
    store = downtime.agent()._store
    gap = await store.open_gap(downtime.core.ownership, Reason.START)
    await store.begin_operation(downtime.core.ownership, gap)

    ownership = await other_core.own()
    async with downtime.looking(downtime.agent(other_core), ownership=ownership):
        await downtime.until_closed()

    assert [row["state"] for row in await downtime.operations()] == ["interrupted", "done"]
    assert await downtime.texts(2) == ["missed"]


async def test_who_lost_the_account_writes_nothing_more(downtime: Downtime, other_core: Core) -> None:
    await downtime.live(1)
    downtime.write(2, "missed")
    taken = asyncio.Event()

    def hold(request: str) -> None:
        if request == "history":
            taken.set()
            raise GatewayError("as if it took long")

    downtime.telegram.before = hold
    agent = downtime.agent()
    async with downtime.looking(agent) as task:
        await taken.wait()
        await other_core.own()
        with pytest.raises(NotOwnerError):
            await asyncio.wait_for(asyncio.shield(task), 10)
    assert await downtime.texts(2) == []
    assert not await downtime.is_closed()


async def test_a_gap_opened_wider_during_the_run_is_looked_through_again(downtime: Downtime) -> None:
    await downtime.live(1)
    downtime.write(2, "missed")
    losing: list[asyncio.Task[None]] = []

    def lose_more(request: str) -> None:
        if request == "history" and not losing:
            downtime.write(3, "missed while chats were read")
            losing.append(asyncio.create_task(lose()))

    async def lose() -> None:
        lost = UpdatesLost("difference too long")
        await downtime.core.intake.receive(lost, ownership=downtime.core.ownership, network=NETWORK)

    downtime.telegram.before = lose_more
    await downtime.recover()
    assert await downtime.texts(3) == ["missed while chats were read"]
    assert (await downtime.gap())["updates_lost_at"] is not None


async def test_a_long_flood_wait_ends_the_run_and_is_waited_out(downtime: Downtime) -> None:
    await downtime.live(1)
    downtime.write(2, "missed")

    def flood(request: str) -> None:
        if request == "history":
            raise FloodWaitError(700)

    downtime.telegram.before = flood
    async with downtime.looking(downtime.agent()):
        await downtime.ended("interrupted")
        downtime.telegram.before = None
        begun = downtime.monotonic
        await downtime.until_closed()
        assert downtime.monotonic - begun >= 690, "nothing is asked before the pause is over"
    assert await downtime.texts(2) == ["missed"]


async def test_messages_from_the_operators_phone_are_taken_in_as_outgoing(downtime: Downtime) -> None:
    await downtime.live(1, "question")
    downtime.write(1, "answered from the phone", outgoing=True)
    await downtime.recover()
    row = (await downtime.core.execute("SELECT direction, author FROM messages ORDER BY id DESC LIMIT 1"))[0]
    assert (row["direction"], row["author"]) == ("out", "phone")


async def test_an_account_never_read_before_begins_with_what_is_young_enough(downtime: Downtime) -> None:
    downtime.write(2, "long ago", hours_ago=500)
    for hours in range(200, 0, -1):
        downtime.write(1, f"{hours} h", hours_ago=hours)
    await downtime.recover(downtime.agent(maximum_age_hours=24))
    assert await downtime.texts(1) == [f"{hours} h" for hours in range(24, 0, -1)]
    assert await downtime.texts(2) == []


async def test_a_page_that_is_only_short_is_not_taken_for_the_end(downtime: Downtime) -> None:
    await downtime.live(1, "known")
    missed = [downtime.write(1, f"missed {number}").text for number in range(150)]
    await downtime.recover()
    assert await downtime.texts(1) == ["known", *missed]


async def test_what_is_too_old_is_not_read_because_of_a_short_page(downtime: Downtime) -> None:
    downtime.write(1, "long ago", hours_ago=500)
    young = [downtime.write(1, f"young {number}", hours_ago=1).text for number in range(150)]
    await downtime.recover(downtime.agent(maximum_age_hours=96))
    assert await downtime.texts(1) == young


async def test_bots_and_service_accounts_are_left_alone(downtime: Downtime) -> None:
    await downtime.live(1)
    downtime.write(777000, "your log-in code")
    await downtime.recover()
    assert set(await downtime.chats()) == set()
    assert await downtime.texts(777000) == []


async def test_the_regular_look_reads_again_from_what_was_made_sure_of(downtime: Downtime) -> None:
    await downtime.live(1)
    await downtime.recover()
    downtime.write(2, "slipped through")
    await downtime.live(3, "newer")
    await downtime.core.execute("UPDATE recovery_cursors SET verified_at = now() - interval '13 hours'")
    async with downtime.looking(downtime.agent(), connect=False):
        await until(lambda: has(downtime, 2), what="the message that slipped through")
        await downtime.until_closed()
    assert (await downtime.gap())["reason"] == "schedule"


async def has(downtime: Downtime, chat_id: int) -> bool:
    return bool(await downtime.texts(chat_id))
