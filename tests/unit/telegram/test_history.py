"""Missed messages, dialogs and differences are read in order, in pages, and completely."""

import tracemalloc
from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nadia.telegram.errors import FloodWaitError, GatewayDisconnectedError, GatewayError, HistoryUnavailableError
from nadia.telegram.gateway import Dialog, IncomingMessage
from nadia.telegram.history import Changed, Difference, Gone, Missing, Recorded, TelegramHistoryManager
from nadia.telegram.limiter import RequestLimiter
from support.scripted_telegram import START, ScriptedTelegram, message
from support.sleeping import SleepingClock

CHAT = 7


def manager_of(telegram: ScriptedTelegram) -> TelegramHistoryManager:
    clock = SleepingClock()
    limiter = RequestLimiter(account_id="desk", monotonic=clock, sleep=clock.sleep)
    return TelegramHistoryManager(gateway=telegram, limiter=limiter, clock=lambda: START + timedelta(hours=2))


async def missed(manager: TelegramHistoryManager, after_id: int = 0, **more: int | None) -> list[int]:
    return [found.message.message_id async for found in manager.get_missed_messages(CHAT, after_id, **more)]


async def scanned(manager: TelegramHistoryManager, above: int = 0) -> list[int]:
    return [dialog.top_message_id async for dialog in manager.scan_all_dialogs(above=above)]


async def differences(
    telegram: ScriptedTelegram, *recorded: Recorded, after_id: int = 0, through_id: int | None = None
) -> list[Difference]:
    manager = manager_of(telegram)
    found = manager.verify_message_continuity(CHAT, recorded, after_id=after_id, through_id=through_id)
    return [difference async for difference in found]


def record(message_id: int) -> Recorded:
    return Recorded(message_id, None)


def chats(count: int) -> ScriptedTelegram:
    """So many chats, each with one message; the newest has the number ``10 * count``."""
    return ScriptedTelegram(message(10 * number, chat_id=1_000 + number) for number in range(1, count + 1))


def floods(telegram: ScriptedTelegram, *, at: tuple[int, ...], seconds: int = 5) -> None:
    """Ask for a pause at these requests, counted from 1."""

    def flood(_: str) -> None:
        if len(telegram.requests) in at:
            raise FloodWaitError(seconds)

    telegram.before = flood


class TestMissedMessages:
    async def test_come_ascending_after_the_last_one_on_record(self) -> None:
        telegram = ScriptedTelegram(message(number) for number in range(1, 251))
        assert await missed(manager_of(telegram), 20) == list(range(21, 251))

    async def test_say_how_old_they_were_when_they_were_read(self) -> None:
        manager = manager_of(ScriptedTelegram([message(60)]))
        (found,) = [found async for found in manager.get_missed_messages(CHAT, 0)]
        assert found.age == timedelta(hours=2) - timedelta(seconds=60)

    @pytest.mark.parametrize(("count", "requests"), [(0, 1), (1, 2), (100, 2), (101, 3)])
    async def test_end_only_where_telegram_has_no_more(self, count: int, requests: int) -> None:
        """A short page is not the end: the gateway leaves out what is no message of a person's."""
        telegram = ScriptedTelegram(message(number) for number in range(1, count + 1))
        assert len(await missed(manager_of(telegram))) == count
        assert len(telegram.requests) == requests

    async def test_that_come_in_short_pages_come_all(self) -> None:
        telegram = ScriptedTelegram(message(number) for number in range(1, 251))
        telegram.longest_page = 7
        assert await missed(manager_of(telegram)) == list(range(1, 251))

    async def test_up_to_a_known_newest_one_need_no_request_more(self) -> None:
        telegram = ScriptedTelegram(message(number) for number in range(1, 51))
        assert await missed(manager_of(telegram), 10, through_id=50) == list(range(11, 51))
        assert len(telegram.requests) == 1

    async def test_stop_at_the_newest_one_that_is_wanted(self) -> None:
        telegram = ScriptedTelegram(message(number) for number in range(1, 51))
        assert await missed(manager_of(telegram), 10, through_id=30) == list(range(11, 31))
        assert await missed(manager_of(telegram), 30, through_id=30) == []

    async def test_end_where_the_wanted_one_was_deleted(self) -> None:
        telegram = ScriptedTelegram(message(number) for number in range(1, 51))
        assert await missed(manager_of(telegram), 10, through_id=60) == list(range(11, 51))

    async def test_are_all_there_whatever_pauses_telegram_asks_for(self) -> None:
        telegram = ScriptedTelegram(message(number) for number in range(1, 451))
        floods(telegram, at=(1, 3, 4, 6))
        assert await missed(manager_of(telegram)) == list(range(1, 451))

    async def test_go_on_after_the_last_one_when_the_link_breaks(self) -> None:
        telegram = ScriptedTelegram(message(number) for number in range(1, 301))
        seen: list[int] = []

        def cut(_: str) -> None:
            if len(telegram.requests) == 2:
                raise GatewayDisconnectedError("the link is down")

        telegram.before = cut
        with pytest.raises(GatewayDisconnectedError):
            async for found in manager_of(telegram).get_missed_messages(CHAT, 0):
                seen.append(found.message.message_id)
        assert seen == list(range(1, 101))
        seen += await missed(manager_of(telegram), seen[-1])
        assert seen == list(range(1, 301))

    async def test_are_read_only_as_far_as_they_are_taken(self) -> None:
        telegram = ScriptedTelegram(message(number) for number in range(1, 1_001))
        async with aclosing(manager_of(telegram).get_missed_messages(CHAT, 0)) as messages:
            assert (await anext(messages)).message.message_id == 1
        assert len(telegram.requests) == 1

    async def test_of_a_huge_chat_are_never_held_all_at_once(self) -> None:
        class Endless(ScriptedTelegram):
            async def history(
                self, *, chat_id: int, after_id: int | None = None, before_id: int | None = None, limit: int = 100
            ) -> list[IncomingMessage]:
                first = (after_id or 0) + 1
                return [message(number, "x" * 1_000) for number in range(first, min(first + limit, 20_001))]

        tracemalloc.start()
        count = 0
        async for _ in manager_of(Endless()).get_missed_messages(CHAT, 0, through_id=20_000):
            count += 1
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert count == 20_000
        assert peak < 2_000_000, "twenty megabytes went through"

    async def test_that_come_in_circles_are_an_error_and_no_endless_loop(self) -> None:
        class Circular(ScriptedTelegram):
            async def history(
                self, *, chat_id: int, after_id: int | None = None, before_id: int | None = None, limit: int = 100
            ) -> list[IncomingMessage]:
                return [message(5), message(6)]

        with pytest.raises(GatewayError, match="not in order"):
            await missed(manager_of(Circular()))

    async def test_of_a_bot_cannot_be_read(self) -> None:
        telegram = ScriptedTelegram()

        def refuse(_: str) -> None:
            raise HistoryUnavailableError

        telegram.before = refuse
        with pytest.raises(HistoryUnavailableError):
            await missed(manager_of(telegram))


class TestDialogs:
    async def test_come_newest_first_and_only_above_the_cursor(self) -> None:
        telegram = chats(30)
        assert await scanned(manager_of(telegram), 250) == [300, 290, 280, 270, 260]
        assert len(telegram.requests) == 2, "one more, which finds nothing new"

    async def test_that_have_nothing_new_are_not_asked_for_page_after_page(self) -> None:
        telegram = chats(1_000)
        assert await scanned(manager_of(telegram), 10_000) == []
        assert len(telegram.requests) == 1
        assert await scanned(manager_of(telegram), 9_950) == [10_000, 9_990, 9_980, 9_970, 9_960]
        assert len(telegram.requests) == 3

    async def test_of_an_account_without_chats_are_none(self) -> None:
        assert await scanned(manager_of(ScriptedTelegram())) == []

    async def test_of_many_pages_come_all_and_once(self) -> None:
        telegram = chats(550)
        assert await scanned(manager_of(telegram)) == [10 * number for number in range(550, 0, -1)]

    async def test_come_all_and_once_whatever_pauses_telegram_asks_for(self) -> None:
        telegram = chats(550)
        floods(telegram, at=(1, 4, 7, 9, 15))
        assert await scanned(manager_of(telegram)) == [10 * number for number in range(550, 0, -1)]

    @pytest.mark.parametrize("flood", [False, True])
    async def test_that_move_to_the_head_while_the_list_is_read_are_not_missed(self, flood: bool) -> None:
        telegram = chats(350)

        def move(_: str) -> None:
            match len(telegram.requests):
                case 2:
                    telegram.put(message(9_001, chat_id=1_010))
                case 3 if flood:
                    raise FloodWaitError(3)
                case 4:
                    telegram.put(message(9_002, chat_id=1_020))

        telegram.before = move
        tops = await scanned(manager_of(telegram))
        assert {9_001, 9_002} <= set(tops)
        assert set(tops) >= {10 * number for number in range(1, 351)} - {100, 200}

    async def test_that_move_to_the_head_are_not_missed_where_few_chats_are_with_people(self) -> None:
        """A walk of several requests may yield less than one of them brings: the rest are groups."""

        class MostlyGroups(ScriptedTelegram):
            async def dialogs(self) -> AsyncIterator[Dialog]:
                async for dialog in super().dialogs():
                    if dialog.chat_id % 10 == 0:
                        yield dialog

        telegram = MostlyGroups(message(number, chat_id=number) for number in range(1, 501))

        def move(_: str) -> None:
            if len(telegram.requests) == 2:
                telegram.put(message(9_001, chat_id=100))

        telegram.before = move
        assert await scanned(manager_of(telegram)) == [*(n for n in range(500, 0, -10) if n != 100), 9_001]

    async def test_are_begun_anew_by_each_scan_that_is_broken_off(self) -> None:
        telegram = chats(350)
        async with aclosing(manager_of(telegram).scan_all_dialogs()) as dialogs:
            assert (await anext(dialogs)).top_message_id == 3_500
        assert await scanned(manager_of(telegram)) == [10 * number for number in range(350, 0, -1)]

    async def test_are_closed_with_the_scan(self) -> None:
        closed: list[bool] = []

        class Watched(ScriptedTelegram):
            async def dialogs(self) -> AsyncIterator[Dialog]:
                try:
                    async for dialog in super().dialogs():
                        yield dialog
                finally:
                    closed.append(True)

        telegram = Watched(message(number, chat_id=number) for number in range(1, 301))
        async with aclosing(manager_of(telegram).scan_all_dialogs()) as dialogs:
            await anext(dialogs)
        assert closed == [True]

    async def test_that_are_never_listed_are_given_up(self) -> None:
        telegram = chats(5)
        floods(telegram, at=tuple(range(1, 100)))
        with pytest.raises(FloodWaitError):
            await scanned(manager_of(telegram))
        assert len(telegram.requests) < 20

    async def test_behind_a_day_long_pause_are_the_callers_concern(self) -> None:
        telegram = chats(350)
        floods(telegram, at=(2,), seconds=86_400)
        with pytest.raises(FloodWaitError) as told:
            await scanned(manager_of(telegram))
        assert told.value.seconds == 86_400
        assert len(telegram.requests) == 2


class TestContinuity:
    async def test_a_record_that_agrees_has_no_differences(self) -> None:
        telegram = ScriptedTelegram(message(number) for number in (3, 5, 8))
        assert await differences(telegram, record(3), record(5), record(8)) == []
        assert await differences(ScriptedTelegram()) == []

    async def test_missing_gone_and_edited_messages_are_told_in_order(self) -> None:
        edited = message(5, "Bye", edited_at=START + timedelta(minutes=5))
        telegram = ScriptedTelegram([message(1), message(3), edited, message(9)])
        found = await differences(telegram, record(2), record(3), record(5), record(7), record(12))
        assert [
            (type(each), each.message_id if isinstance(each, Gone) else each.found.message.message_id) for each in found
        ] == [(Missing, 1), (Gone, 2), (Changed, 5), (Gone, 7), (Missing, 9), (Gone, 12)]
        (changed,) = [each for each in found if isinstance(each, Changed)]
        assert changed.found.message == edited

    async def test_only_the_stretch_is_compared(self) -> None:
        telegram = ScriptedTelegram(message(number) for number in range(1, 21))
        found = await differences(telegram, record(11), after_id=10, through_id=13)
        assert [each.found.message.message_id for each in found if isinstance(each, Missing)] == [12, 13]

    async def test_a_cleared_chat_is_gone_altogether(self) -> None:
        assert await differences(ScriptedTelegram(), record(1), record(2)) == [Gone(1), Gone(2)]

    @pytest.mark.parametrize(
        ("recorded", "edited", "is_changed"),
        [(None, None, False), (None, 5, True), (3, 5, True), (5, 5, False), (7, 5, False), (5, None, False)],
    )
    async def test_only_an_edit_that_is_newer_than_the_record_counts(
        self, recorded: int | None, edited: int | None, is_changed: bool
    ) -> None:
        def at(minutes: int | None) -> datetime | None:
            return None if minutes is None else START + timedelta(minutes=minutes)

        telegram = ScriptedTelegram([message(1, edited_at=at(edited))])
        found = await differences(telegram, Recorded(1, at(recorded)))
        assert [type(each) for each in found] == ([Changed] if is_changed else [])

    @pytest.mark.parametrize("recorded", [[2, 1], [2, 2], [10], [21]])
    async def test_a_record_that_does_not_fit_the_stretch_is_refused_before_it_means_deletions(
        self, recorded: list[int]
    ) -> None:
        telegram = ScriptedTelegram(message(number) for number in range(1, 30))
        after_id = 10 if recorded[0] >= 10 else 0
        with pytest.raises(ValueError, match="out of order"):
            await differences(telegram, *map(record, recorded), after_id=after_id, through_id=20)

    @given(
        history=st.sets(st.integers(1, 400), max_size=300),
        recorded=st.sets(st.integers(1, 400), max_size=300),
    )
    async def test_whatever_the_two_hold_the_differences_are_theirs(
        self, history: set[int], recorded: set[int]
    ) -> None:
        telegram = ScriptedTelegram(message(number) for number in history)
        found = await differences(telegram, *map(record, sorted(recorded)))
        missing = [each.found.message.message_id for each in found if isinstance(each, Missing)]
        gone = [each.message_id for each in found if isinstance(each, Gone)]
        assert missing == sorted(history - recorded)
        assert gone == sorted(recorded - history)


async def test_a_summary_holds_what_stands_before_a_message_and_takes_one_request() -> None:
    telegram = ScriptedTelegram(message(number, f"text {number}") for number in range(1, 61))
    summary = await manager_of(telegram).get_user_chat_history_summary(CHAT, before_id=50, messages=3)
    assert [line.rsplit(": ", 1)[1] for line in summary.splitlines()[1:]] == ['"text 47"', '"text 48"', '"text 49"']
    assert telegram.requests == ["history"]


async def test_a_summary_of_messages_that_were_just_read_takes_no_request() -> None:
    telegram = ScriptedTelegram()
    read = [message(number, f"text {number}") for number in range(1, 61)]
    summary = await manager_of(telegram).get_user_chat_history_summary(CHAT, newest=read, messages=2)
    assert [line.rsplit(": ", 1)[1] for line in summary.splitlines()[1:]] == ['"text 59"', '"text 60"']
    assert telegram.requests == []
