"""What is lost, edited or asked for while a run is under way, or came live since the last one."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from nadia.cli.recover import _ask
from nadia.recovery.asking import OwnerQuestions
from nadia.recovery.catching_up import CatchingUp
from nadia.recovery.models import Reason, RequestKind
from nadia.recovery.requests import RecoveryRequests
from nadia.recovery.status import RecoveryStatus
from nadia.telegram.errors import GatewayError
from nadia.telegram.gateway import IncomingMessage, UpdatesLost
from support.core import ACCOUNT, NETWORK, until
from support.recovering import Downtime


async def lose_updates(downtime: Downtime) -> None:
    lost = UpdatesLost("difference too long")
    await downtime.core.intake.receive(lost, ownership=downtime.core.ownership, network=NETWORK)


async def ask_for_a_run(downtime: Downtime) -> None:
    await downtime.agent()._store.open_gap(downtime.core.ownership, Reason.REQUEST)


@pytest.mark.parametrize("look_again", [lose_updates, ask_for_a_run])
async def test_what_came_live_after_the_low_mark_is_compared_too(
    downtime: Downtime, look_again: Callable[[Downtime], Awaitable[None]]
) -> None:
    await downtime.live(1, "made sure of")
    await downtime.recover()
    await downtime.agent().connected(downtime.core.ownership)  # a gap is open, and a long run would be ahead
    changed = await downtime.live(1, "chagned")
    missed = downtime.write(1, "missed")
    phone = downtime.write(1, "from the phone", outgoing=True)
    gone = [await downtime.live(1, text) for text in ("gone", "the newest, gone too")]
    downtime.telegram.put(replace(changed, text="changed", edited_at=downtime.clock.now))
    for message in gone:
        del downtime.telegram.chats[1][message.message_id]

    await look_again(downtime)
    async with downtime.looking(downtime.agent(), connect=False):
        await downtime.until_closed()

    rows = await downtime.core.execute(
        "SELECT telegram_message_id AS id, text, deleted_at IS NOT NULL AS gone FROM messages ORDER BY id"
    )
    assert [(row["text"], row["gone"]) for row in rows] == [
        ("made sure of", False),
        ("changed", False),
        ("missed", False),
        ("from the phone", False),
        ("gone", True),
        ("the newest, gone too", True),
    ]
    assert [row["id"] for row in rows[2:4]] == [missed.message_id, phone.message_id]
    last = (await downtime.operations())[-1]
    assert (last["edits"], last["deletions"], last["messages_recorded"]) == (1, 2, 2)


async def test_what_is_lost_during_a_run_holds_replies_only_until_the_chats_are_listed_again(
    downtime: Downtime,
) -> None:
    await downtime.live(99, hours_ago=30)
    for chat in range(1, 7):
        downtime.write(chat, "missed", hours_ago=20)
    downtime.write(50, "urgent")
    real = downtime.telegram.history
    read: list[int] = []
    behind: dict[int, bool] = {}

    async def history(**page: int) -> list[IncomingMessage]:
        chat_id = page["chat_id"]
        if chat_id == 6 and chat_id not in read:  # the urgent chat has been read
            await lose_updates(downtime)
        if chat_id != 50:
            async with downtime.core.database.connection() as conn:
                behind[chat_id] = await CatchingUp().is_behind(conn, await downtime.core.customer(50))
        read.append(chat_id)
        return await real(**page)

    downtime.telegram.history = history  # type: ignore[assignment, method-assign]
    await downtime.recover(downtime.agent(tier_3_batch_size=1))

    first, again = read.index(6), len(read) - 1 - read[::-1].index(50)
    assert set(read[:first]) == {50}
    assert set(read[first : again + 1]) == {6, 50}, "no other chat is read before the list is looked at again"
    assert [behind[chat] for chat in range(1, 6)] == [False] * 5, "replies leave while the rest is read"
    assert [row["state"] for row in await downtime.operations()] == ["done"]


async def test_a_chat_that_cannot_be_read_does_not_keep_a_loss_from_being_looked_into(downtime: Downtime) -> None:
    await downtime.live(99)
    downtime.write(1, "unreadable")
    real = downtime.telegram.history

    async def history(**page: int) -> list[IncomingMessage]:
        if page["chat_id"] == 1:
            if not await downtime.texts(2):
                downtime.write(2, "missed while the other was tried")
                await lose_updates(downtime)
            raise GatewayError("this chat cannot be read")
        return await real(**page)

    downtime.telegram.history = history  # type: ignore[assignment, method-assign]
    async with downtime.looking(downtime.agent()):
        await downtime.ended("failed")
    assert await downtime.texts(2) == ["missed while the other was tried"]
    first = (await downtime.operations())[0]
    assert (first["state"], first["error"]) == ("failed", "1 chat could not be read"), "within the same run"


class _Waiting:
    """Somebody who asks while a run is under way that lasts as long as a test wants."""

    def __init__(self, downtime: Downtime) -> None:
        database = downtime.core.database
        self._core = downtime.core
        self.is_over = asyncio.Event()
        self.monotonic = 0.0
        self.owner = OwnerQuestions(
            requests=RecoveryRequests(database=database),
            status=RecoveryStatus(database=database),
            monotonic=lambda: self.monotonic,
            sleep=self._sleep,
        )
        self._real = downtime.telegram.history
        downtime.telegram.history = self._history  # type: ignore[assignment, method-assign]

    async def _sleep(self, seconds: float) -> None:
        await asyncio.sleep(0.01)

    async def _history(self, **page: int) -> list[IncomingMessage]:
        await self.is_over.wait()
        return await self._real(**page)

    async def is_reading(self) -> bool:
        return bool(await self._core.value("SELECT count(*) FROM recovery_operations WHERE chats_tier_1 = 1"))

    async def has_asked(self) -> bool:
        return bool(await self._core.value("SELECT count(*) FROM recovery_requests"))

    async def is_known_to_wait(self) -> bool:
        return bool(await self._core.value("SELECT requested_at > now() - interval '1 minute' FROM recovery_requests"))


@pytest.mark.parametrize("kind", list(RequestKind))
async def test_whoever_asks_during_a_long_run_is_told_so_and_gets_the_answer_after_it(
    downtime: Downtime, kind: RequestKind, capsys: pytest.CaptureFixture[str]
) -> None:
    await downtime.live(99)
    downtime.write(1, "missed")
    waiting = _Waiting(downtime)
    async with downtime.looking(downtime.agent()):
        await until(waiting.is_reading, what="the run")
        async with asyncio.TaskGroup() as group:
            answer = group.create_task(_ask(waiting.owner, ACCOUNT, kind))
            await until(waiting.has_asked, what="the request")
            await downtime.core.execute("UPDATE recovery_requests SET requested_at = now() - interval '1 hour'")
            waiting.monotonic += 3_600.0
            await until(waiting.is_known_to_wait, what="a sign that somebody still waits")
            assert not answer.done()
            waiting.is_over.set()
        await downtime.until_closed()
    first = (await downtime.operations())[0]
    assert answer.result().get("operation") != first["id"]
    said = capsys.readouterr().err
    assert said.count("desk: waits for the present run to end (running: 0 of 1 chats") == 1


async def test_what_nobody_waits_for_any_more_is_not_done(downtime: Downtime) -> None:
    requests = RecoveryRequests(database=downtime.core.database)
    await requests.ask(ACCOUNT, RequestKind.RUN, actor="cli:test")
    await downtime.core.execute("UPDATE recovery_requests SET requested_at = now() - interval '3 minutes'")
    assert await requests.take(downtime.core.ownership) is None


async def test_who_asks_while_nothing_is_under_way_is_not_told_to_wait(
    downtime: Downtime, capsys: pytest.CaptureFixture[str]
) -> None:
    await downtime.live(1)
    waiting = _Waiting(downtime)
    waiting.is_over.set()
    async with downtime.looking(downtime.agent(), connect=False):
        for _ in range(3):
            await _ask(waiting.owner, ACCOUNT, RequestKind.RUN)
            await downtime.until_closed()
    assert "waits" not in capsys.readouterr().err
