"""What waits for a slow reader stays short and in order."""

import asyncio

import pytest

from nadia.telegram.errors import AccountRevokedError, GatewayDisconnectedError
from nadia.telegram.sandbox.inbox import Inbox
from nadia.telegram.sandbox.wire import CustomerTyping, News, SessionClosed


async def drained(inbox: Inbox) -> list[News | CustomerTyping]:
    inbox.end()
    entries: list[News | CustomerTyping] = []
    with pytest.raises(GatewayDisconnectedError):
        while True:
            entries.append(await inbox.next())
    return entries


async def test_the_newest_news_stand_for_all_before_them() -> None:
    inbox = Inbox()
    for pts in range(1, 10_001):
        inbox.put(News(pts=pts).model_dump())

    assert await drained(inbox) == [News(pts=10_000)]


async def test_late_news_do_not_take_back_newer_ones() -> None:
    inbox = Inbox()
    inbox.put(News(pts=8).model_dump())
    inbox.put(News(pts=5).model_dump())

    assert await drained(inbox) == [News(pts=8)]


async def test_typing_keeps_its_place_between_news() -> None:
    inbox = Inbox()
    typing = CustomerTyping(chat_id=5, after=2)
    for event in (News(pts=1), News(pts=2), typing, News(pts=3), News(pts=4)):
        inbox.put(event.model_dump())

    assert await drained(inbox) == [News(pts=2), typing, News(pts=4)]


async def test_typing_beyond_the_limit_is_dropped_and_news_are_not() -> None:
    inbox = Inbox()
    for pts in range(5_000):
        inbox.put(CustomerTyping(chat_id=5, after=pts).model_dump())
        inbox.put(News(pts=pts + 1).model_dump())
    entries = await drained(inbox)

    assert len(entries) <= 1_001
    assert entries[-1] == News(pts=5_000)


async def test_a_waiting_reader_is_woken() -> None:
    inbox = Inbox()
    waiting = asyncio.ensure_future(inbox.next())
    await asyncio.sleep(0)
    inbox.put(News(pts=1).model_dump())

    async with asyncio.timeout(5):
        assert await waiting == News(pts=1)


async def test_a_revocation_outlives_the_end_of_the_connection() -> None:
    inbox = Inbox()
    inbox.put(SessionClosed(code="SESSION_REVOKED").model_dump())
    inbox.end()

    with pytest.raises(AccountRevokedError):
        await inbox.next()
    with pytest.raises(AccountRevokedError):
        inbox.check()
