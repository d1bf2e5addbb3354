"""What recovery does when Telegram refuses, and what it takes over of edits and deletions."""

from dataclasses import replace
from datetime import timedelta

import pytest

from nadia.conversations.models import BatchState
from nadia.conversations.transitions import lock_batch, move
from nadia.errors import ConflictError, NotFoundError, UnavailableError
from nadia.recovery.asking import OwnerQuestions
from nadia.recovery.catching_up import CatchingUp
from nadia.recovery.models import OperationState, RequestKind
from nadia.recovery.requests import RecoveryRequests
from nadia.recovery.status import RecoveryStatus
from nadia.recovery.summaries import ChatSummaries
from nadia.telegram.errors import (
    FloodWaitError,
    GatewayDisconnectedError,
    GatewayError,
    HistoryUnavailableError,
    TelegramTroubleError,
)
from nadia.telegram.gateway import Media, MessageKind, Peer, UpdatesLost
from support.core import ACCOUNT, NETWORK, ScriptedDrafter
from support.recovering import Downtime


async def lose_updates(downtime: Downtime) -> None:
    lost = UpdatesLost("difference too long")
    await downtime.core.intake.receive(lost, ownership=downtime.core.ownership, network=NETWORK)


def questions(downtime: Downtime) -> OwnerQuestions:
    database = downtime.core.database
    return OwnerQuestions(
        requests=RecoveryRequests(database=database), status=RecoveryStatus(database=database), patience_seconds=0.5
    )


async def test_failures_in_a_row_stop_the_run_and_it_is_tried_again_after_a_rest(downtime: Downtime) -> None:
    await downtime.live(99)
    for chat in range(1, 9):
        downtime.write(chat, "missed")

    def refuse(request: str) -> None:
        if request == "history":
            raise GatewayError("Telegram is unwell")

    downtime.telegram.before = refuse
    begun = downtime.monotonic
    async with downtime.looking(downtime.agent(most_failures=3)):
        stopped = await downtime.ended("failed")
        assert downtime.telegram.requests.count("history") < 8, "it does not go on against a wall"
        downtime.telegram.before = None
        await downtime.until_closed()
    assert stopped["errors"] >= 3
    assert downtime.monotonic - begun >= 30
    assert await downtime.notices() == ["recovery.stopped"]
    assert [await downtime.texts(chat) for chat in range(1, 9)] == [["missed"]] * 8


async def test_a_chat_that_can_never_be_read_is_left_to_a_person_and_holds_up_nobody(downtime: Downtime) -> None:
    await downtime.live(99)
    downtime.write(1, "unreadable")
    downtime.write(2, "readable")
    real = downtime.telegram.history

    async def history(**page: int) -> object:
        if page["chat_id"] == 1:
            raise GatewayError("this chat cannot be read")
        return await real(**page)

    downtime.telegram.history = history  # type: ignore[assignment, method-assign]
    await downtime.recover(downtime.agent(most_attempts=3))

    assert await downtime.texts(2) == ["readable"]
    assert (await downtime.chats())[1]["state"] == "failed"
    assert (await downtime.gap())["unreadable"] == "1 chats could not be read"
    assert await downtime.notices() == ["recovery.chat_unreadable"]
    assert [row["state"] for row in await downtime.operations()] == ["failed", "failed", "failed", "done"]


async def test_chats_that_failed_are_tried_after_the_others(downtime: Downtime) -> None:
    await downtime.live(99)
    downtime.write(1, "readable")
    for chat in (2, 3, 4):
        downtime.write(chat, "unreadable")
    real = downtime.telegram.history

    async def history(**page: int) -> object:
        if page["chat_id"] in (2, 3, 4):
            raise TelegramTroubleError("an answer that nobody can read")
        return await real(**page)

    downtime.telegram.history = history  # type: ignore[assignment, method-assign]
    await downtime.recover(downtime.agent(most_failures=2, most_attempts=3, tier_1_concurrency=1))

    second = (await downtime.operations())[1]
    assert (await downtime.chats())[1]["operation_id"] == second["id"], "read as soon as the first rest was over"
    assert await downtime.texts(1) == ["readable"]
    assert (await downtime.notices()).count("recovery.chat_unreadable") == 3


async def test_a_chat_that_breaks_every_link_holds_up_not_even_the_least_urgent(downtime: Downtime) -> None:
    await downtime.live(99)
    downtime.write(2, "readable", hours_ago=60)
    downtime.write(1, "breaks the link")
    real = downtime.telegram.history

    async def history(**page: int) -> object:
        if page["chat_id"] == 1:
            raise GatewayDisconnectedError("the link broke")
        return await real(**page)

    downtime.telegram.history = history  # type: ignore[assignment, method-assign]
    begun = downtime.monotonic
    async with downtime.looking(downtime.agent(most_failures=3)):
        await downtime.ended("failed")
        assert await downtime.texts(2) == ["readable"]
        downtime.telegram.history = real  # type: ignore[method-assign]
        await downtime.until_closed()

    assert [row["state"] for row in await downtime.operations()] == [*["interrupted"] * 3, "failed", "done"]
    assert downtime.monotonic - begun >= 30, "it rests, though the chats could be listed each time"
    assert await downtime.texts(1) == ["breaks the link"]
    assert (await downtime.chats())[1]["attempts"] == 0, "a link that broke is not the chat's fault"


async def test_edits_and_deletions_that_no_update_told_of_are_taken_over(downtime: Downtime) -> None:
    kept, changed, gone = [await downtime.live(1, text) for text in ("kept", "chagned", "gone")]
    await downtime.recover()
    downtime.telegram.put(replace(changed, text="changed", edited_at=downtime.clock.now + timedelta(hours=1)))
    del downtime.telegram.chats[1][gone.message_id]
    revision = await downtime.core.value("SELECT revision FROM conversations")

    await downtime.recover()
    rows = await downtime.core.execute("SELECT text, deleted_at FROM messages ORDER BY id")
    assert [row["text"] for row in rows] == ["kept", "chagned", "gone"], "a short absence is told of by updates"

    await lose_updates(downtime)
    await downtime.recover()

    rows = await downtime.core.execute("SELECT text, deleted_at FROM messages ORDER BY id")
    assert [(row["text"], row["deleted_at"] is None) for row in rows] == [
        ("kept", True),
        ("changed", True),
        ("gone", False),
    ]
    assert await downtime.core.value("SELECT revision FROM conversations") == revision + 2
    last = (await downtime.operations())[-1]
    assert (last["edits"], last["deletions"], last["messages_found"]) == (1, 1, 0)
    assert kept.message_id == 1


async def test_a_photo_that_took_the_place_of_another_is_taken_over(downtime: Downtime) -> None:
    written = replace(downtime.write(1, "my parcel"), kind=MessageKind.PHOTO, media=Media("photo:1"))
    await downtime.core.intake.receive(written, ownership=downtime.core.ownership, network=NETWORK)
    downtime.telegram.put(replace(written, media=Media("photo:2"), edited_at=downtime.clock.now))

    for _ in range(2):
        await lose_updates(downtime)
        await downtime.recover()

    (row,) = await downtime.core.execute("SELECT kind, text, media FROM messages")
    assert row == {"kind": "photo", "text": "my parcel", "media": {"reference": "photo:2"}}
    assert [operation["edits"] for operation in await downtime.operations()] == [1, 0]


async def test_a_chat_that_was_read_before_the_loss_is_compared_again(downtime: Downtime) -> None:
    message = await downtime.live(1, "chagned")
    await lose_updates(downtime)
    agent = downtime.agent()
    edits = 0

    def edit_once_after_the_first_reading(request: str) -> None:
        nonlocal edits
        edits += request == "history"

    downtime.telegram.before = edit_once_after_the_first_reading
    await downtime.recover(agent)
    assert edits == 1
    downtime.telegram.put(replace(message, text="changed", edited_at=downtime.clock.now))
    await lose_updates(downtime)
    await downtime.recover(agent)
    assert await downtime.texts(1) == ["changed"]


async def test_a_bot_account_goes_on_with_what_its_updates_brought(downtime: Downtime) -> None:
    await downtime.live(1)

    def refuse(_: str) -> None:
        raise HistoryUnavailableError

    downtime.telegram.before = refuse
    await downtime.recover()
    assert (await downtime.gap())["unreadable"] is None
    assert await downtime.notices() == []

    await lose_updates(downtime)
    await downtime.recover()
    assert (await downtime.gap())["unreadable"] is not None
    assert await downtime.notices() == ["recovery.gap_unreadable"]
    assert [row["state"] for row in await downtime.operations()] == ["done", "done"]


async def test_messages_too_old_are_counted_and_reach_the_desk_without_a_draft(downtime: Downtime) -> None:
    await downtime.live(9, hours_ago=100)
    downtime.write(1, "an old question", hours_ago=97)
    downtime.write(2, "a young one", hours_ago=1)
    await downtime.recover()
    assert (await downtime.operations())[0]["messages_too_old"] == 1

    batches = {}
    for chat in (1, 2):
        conversation = await downtime.core.customer(chat)
        await downtime.core.batches.seal(conversation.id)
        batches[chat] = await downtime.core.value("SELECT id FROM batches WHERE conversation_id = %s", conversation.id)
    drafter = ScriptedDrafter()
    worker = downtime.core.drafting(drafter, answered_within=timedelta(hours=72))
    for batch_id in batches.values():
        await worker.draft(batch_id)

    old, young = [await downtime.core.batch(batch_id) for batch_id in batches.values()]
    assert (old.state, young.state) == ("in_review", "drafted")
    assert old.no_draft_reason is not None
    assert "4 days ago" in old.no_draft_reason
    assert drafter.calls == 1


async def test_the_summary_of_a_chat_is_there_for_drafting(downtime: Downtime) -> None:
    await downtime.live(9)
    downtime.write(1, "my parcel is lost", hours_ago=5)
    await downtime.recover()
    conversation = await downtime.core.customer(1)
    await downtime.core.batches.seal(conversation.id)
    batch_id = await downtime.core.value("SELECT id FROM batches WHERE conversation_id = %s", conversation.id)
    summary = await ChatSummaries(database=downtime.core.database).summary_for(batch_id)
    assert summary is not None
    assert "my parcel is lost" in summary
    await downtime.core.batches.seal((await downtime.core.customer(9)).id)
    live = await downtime.core.value("SELECT max(id) FROM batches")
    assert await ChatSummaries(database=downtime.core.database).summary_for(live) is None


async def test_a_person_asks_for_a_plan_and_for_a_run(downtime: Downtime) -> None:
    await downtime.live(1)
    await downtime.recover()
    downtime.write(2, "missed", hours_ago=3)
    owner = questions(downtime)
    async with downtime.looking(downtime.agent(), connect=False):
        plan = await owner.ask(ACCOUNT, RequestKind.PLAN, actor="cli:test")
        assert (plan["chats_tier_1"], plan["chats_tier_2"], plan["after_message_id"]) == (0, 1, 1)
        assert await downtime.texts(2) == [], "a plan changes nothing"
        answer = await owner.ask(ACCOUNT, RequestKind.RUN, actor="cli:test")
        seen = [operation.state async for operation in owner.follow(int(str(answer["operation"])))]
    assert seen[-1] is OperationState.DONE
    assert await downtime.texts(2) == ["missed"]
    assert await downtime.core.value("SELECT actor FROM audit_log WHERE action = 'recovery.requested'") == "cli:test"


async def test_without_an_owner_the_request_is_withdrawn_and_said_so(downtime: Downtime) -> None:
    with pytest.raises(UnavailableError, match="no running bot"):
        await questions(downtime).ask(ACCOUNT, RequestKind.RUN, actor="cli:test")
    assert await downtime.core.value("SELECT count(*) FROM recovery_requests") == 0
    with pytest.raises(NotFoundError):
        await questions(downtime).ask("nobody", RequestKind.RUN, actor="cli:test")


async def test_a_plan_that_telegram_refuses_says_why(downtime: Downtime) -> None:
    def refuse(_: str) -> None:
        raise HistoryUnavailableError

    downtime.telegram.before = refuse
    async with downtime.looking(downtime.agent(), connect=False):
        with pytest.raises(ConflictError, match="bots"):
            await questions(downtime).ask(ACCOUNT, RequestKind.PLAN, actor="cli:test")


async def test_switched_off_it_opens_no_gap_by_itself_and_still_does_what_a_person_asks(downtime: Downtime) -> None:
    downtime.write(1, "missed")
    agent = downtime.agent(enabled=False)
    async with downtime.looking(agent):
        assert await downtime.is_closed()
        await questions(downtime).ask(ACCOUNT, RequestKind.RUN, actor="cli:test")
        await downtime.until_closed()
    assert await downtime.texts(1) == ["missed"]


async def test_groups_and_service_accounts_in_the_list_are_not_opened(downtime: Downtime) -> None:
    await downtime.live(1)
    group = downtime.write(-5, "a group's message")
    downtime.telegram.put(replace(group, peer=Peer(user_id=-5, name="A group", is_person=False)))
    await downtime.recover()
    assert downtime.telegram.requests.count("history") == 0


async def test_a_chat_that_cannot_even_be_listed_is_not_passed_over_in_silence(downtime: Downtime) -> None:
    await downtime.live(1)
    downtime.write(2**70, "no column holds this chat")
    downtime.write(2, "missed")
    agent = downtime.agent()
    async with downtime.looking(agent):
        await downtime.ended("failed")
    assert not await downtime.is_closed()
    assert await downtime.notices() == ["recovery.stopped"]


async def test_a_person_who_asks_for_a_draft_of_something_old_gets_it(downtime: Downtime) -> None:
    await downtime.live(1, "an old question", hours_ago=97)
    await downtime.core.batches.seal((await downtime.core.customer(1)).id)
    batch_id = await downtime.core.value("SELECT id FROM batches")
    worker = downtime.core.drafting(ScriptedDrafter(), answered_within=timedelta(hours=72))
    await worker.draft(batch_id)
    async with downtime.core.database.transaction() as conn:
        await move(conn, await lock_batch(conn, batch_id), BatchState.SEALED, actor="account:1", redraft=True)
    await worker.draft(batch_id)
    assert (await downtime.core.batch(batch_id)).state is BatchState.DRAFTED


async def test_replies_wait_until_their_chat_is_read_and_no_longer(downtime: Downtime) -> None:
    for chat in (1, 2, 3):
        await downtime.live(chat)
    chats = {chat: await downtime.core.customer(chat) for chat in (1, 2, 3)}

    async def behind() -> list[int]:
        async with downtime.core.database.connection() as conn:
            return [chat for chat, known in chats.items() if await CatchingUp().is_behind(conn, known)]

    assert await behind() == []
    downtime.write(1, "missed")
    downtime.write(2, "missed")
    agent = downtime.agent(tier_1_concurrency=1)
    await agent.connected(downtime.core.ownership)
    assert await behind() == [1, 2, 3], "nobody knows yet in which chats something is missing"

    def refuse_the_second_chat(request: str) -> None:
        if request == "history" and downtime.telegram.requests.count("history") > 1:
            raise FloodWaitError(700)

    downtime.telegram.before = refuse_the_second_chat
    async with downtime.looking(agent, connect=False):
        await downtime.ended("interrupted")
        assert await behind() == [1], "the newest chat was read first"
        downtime.telegram.before = None
        await downtime.until_closed()
    assert await behind() == []


async def test_a_list_of_chats_that_cannot_be_read_is_told_of(downtime: Downtime) -> None:
    await downtime.live(1)
    downtime.write(2, "missed")
    await downtime.recover()
    downtime.write(2, "missed too")

    def refuse(_: str) -> None:
        raise GatewayError("Telegram is unwell")

    downtime.telegram.before = refuse
    async with downtime.looking(downtime.agent()):
        failed = await downtime.ended("failed")
        downtime.telegram.before = None
        await downtime.until_closed()
    assert failed["error"] == "Telegram is unwell"
    assert await downtime.notices() == ["recovery.stopped"]
    assert await downtime.ended_notices() == ["recovery.stopped"], "what was missed is read"
    assert await downtime.texts(2) == ["missed", "missed too"]


async def test_requests_that_never_get_through_stop_the_run_too(downtime: Downtime) -> None:
    await downtime.live(1)
    downtime.write(2, "missed")

    def cut(_: str) -> None:
        raise GatewayDisconnectedError("no answer")

    downtime.telegram.before = cut
    async with downtime.looking(downtime.agent(most_failures=3)):
        await downtime.ended("failed")
    assert [row["state"] for row in await downtime.operations()] == ["interrupted", "interrupted", "failed"]
    assert await downtime.notices() == ["recovery.stopped"]
