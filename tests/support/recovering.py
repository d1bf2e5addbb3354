"""An account whose messages were missed, and agents that find them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest

from nadia.recovery.agent import RecoveryAgent
from nadia.recovery.config import RecoveryConfig
from nadia.recovery.requests import RecoveryRequests
from nadia.recovery.store import RecoveryStore
from nadia.telegram.gateway import IncomingMessage, Peer
from nadia.telegram.limiter import RequestLimiter
from nadia.telegram.ownership import Ownership
from support.core import ACCOUNT, NETWORK, Core, HandClock, running, until
from support.scripted_telegram import ScriptedTelegram


class Downtime:
    """Telegram as it is while NADIA is off, and NADIA's recovery when it is back.

    Parameters
    ----------
    core : Core
        One process's services.
    clock : HandClock
        The present of both.
    """

    def __init__(self, core: Core, clock: HandClock) -> None:
        self.core = core
        self.clock = clock
        self.telegram = ScriptedTelegram()
        self.telegram.longest_page = 99  # short each time: nothing may be made of it
        self.monotonic = 1_000.0
        self._last_id = 0

    def write(
        self, chat_id: int, text: str = "Hello", *, hours_ago: float = 0.0, outgoing: bool = False, **more: Any
    ) -> IncomingMessage:
        """A message that Telegram holds; nobody was told of it."""
        self._last_id += 1
        message = IncomingMessage(
            chat_id=chat_id,
            message_id=self._last_id,
            peer=Peer(user_id=chat_id, name=f"Customer {chat_id}"),
            text=text,
            sent_at=self.clock.now - timedelta(hours=hours_ago),
            outgoing=outgoing,
            **more,
        )
        self.telegram.put(message)
        return message

    async def live(self, chat_id: int, text: str = "Hello", *, hours_ago: float = 0.0) -> IncomingMessage:
        """A message that NADIA is told of as it comes."""
        message = self.write(chat_id, text, hours_ago=hours_ago)
        await self.core.intake.receive(message, ownership=self.core.ownership, network=NETWORK)
        return message

    async def sleep(self, seconds: float) -> None:
        """Let the processes' clock go on, and everything else have its turn."""
        self.monotonic += seconds
        await asyncio.sleep(0.001)

    def agent(self, core: Core | None = None, **settings: Any) -> RecoveryAgent:
        """The agent of a process that has just started."""
        core = core or self.core
        config = RecoveryConfig(**settings)
        return RecoveryAgent(
            account_id=ACCOUNT,
            intake=core.intake,
            store=RecoveryStore(database=core.database, settings=config, clock=self.clock),
            requests=RecoveryRequests(database=core.database),
            settings=config,
            limiter=RequestLimiter(account_id=ACCOUNT, monotonic=lambda: self.monotonic, sleep=self.sleep),
            clock=self.clock,
            monotonic=lambda: self.monotonic,
            sleep=self.sleep,
        )

    @asynccontextmanager
    async def looking(
        self, agent: RecoveryAgent, *, ownership: Ownership | None = None, connect: bool = True
    ) -> AsyncIterator["asyncio.Task[None]"]:
        """Have an agent look, as on a fresh connection."""
        ownership = ownership or self.core.ownership
        if connect:
            await agent.connected(ownership)
        async with running(lambda: agent.run(self.telegram, ownership)) as task:
            yield task

    async def recover(self, agent: RecoveryAgent | None = None) -> None:
        """Have an agent look until nothing is missing."""
        async with self.looking(agent or self.agent()):
            await self.until_closed()

    async def until_closed(self) -> None:
        await until(self.is_closed, what="the gap's closing")
        await until(self.is_at_rest, what="the run's end")

    async def is_closed(self) -> bool:
        return bool(await self.core.value("SELECT NOT EXISTS (SELECT 1 FROM recovery_gaps WHERE closed_at IS NULL)"))

    async def is_at_rest(self) -> bool:
        return bool(
            await self.core.value("SELECT NOT EXISTS (SELECT 1 FROM recovery_operations WHERE state = 'running')")
        )

    async def ended(self, state: str) -> dict[str, Any]:
        """The latest run, once one has ended so."""

        async def has_ended() -> bool:
            return bool(await self.core.value("SELECT count(*) > 0 FROM recovery_operations WHERE state = %s", state))

        await until(has_ended, what=f"a run that ends {state}")
        return (await self.operations())[-1]

    async def operations(self) -> list[dict[str, Any]]:
        return await self.core.execute("SELECT * FROM recovery_operations ORDER BY id")

    async def gap(self) -> dict[str, Any]:
        """The latest gap."""
        return (await self.core.execute("SELECT * FROM recovery_gaps ORDER BY id DESC LIMIT 1"))[0]

    async def cursor(self) -> int | None:
        rows = await self.core.execute("SELECT message_id FROM recovery_cursors")
        return rows[0]["message_id"] if rows else None

    async def texts(self, chat_id: int) -> list[str]:
        """A chat's messages on record, as they came there."""
        rows = await self.core.execute("SELECT text FROM messages WHERE chat_id = %s ORDER BY id", chat_id)
        return [row["text"] for row in rows]

    async def chats(self) -> dict[int, dict[str, Any]]:
        rows = await self.core.execute("SELECT * FROM recovery_chats ORDER BY gap_id")
        return {row["chat_id"]: row for row in rows}

    async def notices(self) -> list[str]:
        """Topics of what was told, in order."""
        return await self._topics(resolves=False)

    async def ended_notices(self) -> list[str]:
        """Topics of what was said to be over, in order."""
        return await self._topics(resolves=True)

    async def _topics(self, *, resolves: bool) -> list[str]:
        rows = await self.core.execute("SELECT topic FROM notices WHERE resolves = %s ORDER BY id", resolves)
        return [row["topic"] for row in rows]


@pytest.fixture
async def downtime(core: Core, clock: HandClock) -> Downtime:
    return Downtime(core, clock)
