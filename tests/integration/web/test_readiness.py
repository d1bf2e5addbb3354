"""`/readyz` turns with PostgreSQL, and costs next to nothing however many strangers ask."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from nadia.errors import UnavailableError
from nadia.postgres.database import Connection, Database
from nadia.web.readiness import Readiness
from support.core import Core


class Link:
    """Counts who asks PostgreSQL, and can be cut."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self.asked, self.now = 0, 0.0
        self.is_cut, self.hangs = False, False

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[Connection]:
        self.asked += 1
        if self.hangs:
            await asyncio.Event().wait()
        if self.is_cut:
            raise UnavailableError("PostgreSQL cannot be reached")
        async with self._db.connection() as conn:
            yield conn


async def test_it_turns_with_postgres_and_back(core: Core) -> None:
    link = Link(core.database)
    ready = Readiness(connect=link.connect, stopwatch=lambda: link.now)
    said = [await ready()]
    for is_cut in (True, False):
        link.is_cut, link.now = is_cut, link.now + 1
        said.append(await ready())

    assert said == [True, False, True]


async def test_a_thousand_who_ask_at_once_are_one_question(core: Core) -> None:
    link = Link(core.database)
    ready = Readiness(connect=link.connect, stopwatch=lambda: link.now)

    assert set(await asyncio.gather(*(ready() for _ in range(1000)))) == {True}
    assert await ready()
    assert link.asked == 1


async def test_a_postgres_that_hangs_is_not_ready_and_holds_no_connection(core: Core) -> None:
    link = Link(core.database)
    link.hangs = True
    ready = Readiness(connect=link.connect, patience_seconds=0.05, stopwatch=lambda: link.now)

    assert not any(await asyncio.gather(*(ready() for _ in range(100))))
    assert link.asked == 1
    link.hangs, link.now = False, 2.0
    assert await ready()
