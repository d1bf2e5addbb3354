"""A cancelled task ends, also when the connection that it waits for comes in the same moment."""

import asyncio
from contextlib import suppress

from nadia.postgres.database import Database
from support.servers import ClonedDatabase


async def test_a_cancellation_is_not_lost_when_the_connection_comes_with_it(database: ClonedDatabase) -> None:
    db = Database(dsn=database.app_dsn, pool_size=2)
    await db.open()
    got_one = asyncio.Event()
    try:
        async with db.connection(), db.connection():  # all there are

            async def wait_for_one() -> None:
                async with db.connection():
                    got_one.set()

            waiting = asyncio.create_task(wait_for_one())
            for _ in range(10):
                await asyncio.sleep(0)
        waiting.cancel()  # both connections have just been given back
        await asyncio.wait({waiting}, timeout=5)
    finally:
        await db.close()

    assert waiting.cancelled()
    assert not got_one.is_set()


async def test_a_cancellation_that_the_driver_lost_is_raised_when_the_connection_is_given_back(
    database: ClonedDatabase,
) -> None:
    db = Database(dsn=database.app_dsn, pool_size=2)
    await db.open()
    rounds, reached = 0, asyncio.Event()

    async def work() -> None:
        nonlocal rounds
        while True:
            async with db.connection() as conn:
                await conn.execute("SELECT 1")
                reached.set()
                with suppress(asyncio.CancelledError):  # as asyncio.wait_for does when both come at once
                    await asyncio.Event().wait()
            rounds += 1

    try:
        working = asyncio.create_task(work())
        await asyncio.wait_for(reached.wait(), 5)
        working.cancel()
        await asyncio.wait({working}, timeout=5)
    finally:
        await db.close()

    assert working.cancelled()
    assert rounds == 0
