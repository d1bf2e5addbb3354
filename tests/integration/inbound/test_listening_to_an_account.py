"""Reading an account's updates: each is on record before the next is asked for, and the position follows the rows."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Sequence

import pytest

from nadia.conversations.messages import NotOwnerError
from nadia.embedded.endpoints import Role
from nadia.embedded.servers import EmbeddedServers
from nadia.inbound.listener import AccountListener
from nadia.postgres import schema
from nadia.redis.source import RedisSource
from nadia.telegram.errors import GatewayDisconnectedError
from nadia.telegram.gateway import Gateway, TypingStarted, Update
from support.core import ACCOUNT, NETWORK, Core, open_core, until
from support.servers import short_folder, start_servers


class ListedUpdates:
    """The reading side of a gateway: hands over a list, then loses its link; notes how far it was asked."""

    account_id = ACCOUNT
    network = NETWORK

    def __init__(self, updates: Sequence[Update]) -> None:
        self._updates = updates
        self.asked_for = 0

    async def updates(self) -> AsyncIterator[Update]:
        for update in self._updates:
            self.asked_for += 1
            yield update
        self.asked_for += 1
        raise GatewayDisconnectedError("the list is at its end")


def messages(core: Core, count: int) -> list[Update]:
    return [Update(event=core.message(text=str(number)), state={"pts": number}) for number in range(count)]


def listener(core: Core, gateway: ListedUpdates) -> AccountListener:
    reading: Gateway = gateway  # type: ignore[assignment]  # listening needs the reading side only
    return AccountListener(gateway=reading, ownership=core.ownership, ownerships=core.ownerships, intake=core.intake)


async def state(core: Core) -> object:
    return await core.value("SELECT update_state FROM telegram_accounts WHERE id = %s", ACCOUNT)


async def test_all_updates_are_on_record_and_the_position_is_the_last_ones(core: Core) -> None:
    updates = messages(core, 5)
    updates.append(Update(event=TypingStarted(chat_id=1001, user_id=1001), state=None))
    with pytest.raises(GatewayDisconnectedError):
        await listener(core, ListedUpdates(updates)).run()
    rows = await core.execute("SELECT text FROM messages ORDER BY id")
    assert [row["text"] for row in rows] == ["0", "1", "2", "3", "4"]
    assert await state(core) == {"pts": 4}
    assert core.ownership.state == {"pts": 4}


async def test_a_position_without_an_event_is_stored_and_nothing_recorded(core: Core) -> None:
    updates = [*messages(core, 2), Update(event=None, state={"pts": 300})]
    with pytest.raises(GatewayDisconnectedError):
        await listener(core, ListedUpdates(updates)).run()
    assert await core.value("SELECT count(*) FROM messages") == 2
    assert await state(core) == {"pts": 300}


async def test_the_next_update_is_not_asked_for_before_this_one_is_committed(core: Core) -> None:
    conversation = await core.customer()
    gateway = ListedUpdates(messages(core, 3))
    async with core.database.transaction() as conn:
        await conn.execute("SELECT 1 FROM conversations WHERE id = %s FOR UPDATE", (conversation.id,))
        reading = asyncio.create_task(listener(core, gateway).run())
        async with asyncio.timeout(10):
            while not await core.value("SELECT count(*) FROM pg_locks WHERE NOT granted"):
                await asyncio.sleep(0.01)
        assert gateway.asked_for == 1
        assert await state(core) is None
    with pytest.raises(GatewayDisconnectedError):
        await reading
    assert await core.value("SELECT count(*) FROM messages") == 3


async def test_a_crash_before_the_position_is_stored_repeats_without_doubling(core: Core) -> None:
    updates = messages(core, 4)
    for update in updates[:3]:  # and the process dies
        assert update.event is not None
        await core.intake.receive(update.event, ownership=core.ownership, network=NETWORK)
    with pytest.raises(GatewayDisconnectedError):
        await listener(core, ListedUpdates(updates)).run()
    assert await core.value("SELECT count(*) FROM messages") == 4
    assert await core.value("SELECT revision FROM conversations") == 4


async def test_listening_ends_when_another_process_owns_the_account(core: Core, other_core: Core) -> None:
    await other_core.own()
    gateway = ListedUpdates(messages(core, 3))
    with pytest.raises(NotOwnerError):
        await listener(core, gateway).run()
    assert gateway.asked_for == 1
    assert await core.value("SELECT count(*) FROM messages") == 0
    assert await state(core) is None


async def test_listening_ends_by_its_own_clock_before_the_expiry(core: Core) -> None:
    core.ownership.deadline = 0.0
    with pytest.raises(NotOwnerError, match="run out"):
        await listener(core, ListedUpdates(messages(core, 1))).run()
    assert await core.value("SELECT count(*) FROM messages") == 0


async def test_a_killed_postgresql_holds_up_reading_and_loses_nothing() -> None:
    with short_folder() as base:
        servers = await start_servers(base, durable=True)
        try:
            await asyncio.to_thread(schema.upgrade, servers.dsn(Role.OWNER))
            async with open_core(servers.dsn(), RedisSource(url=servers.redis.url)) as core:
                await core.own()
                await _killed_midway(core, servers)
        finally:
            await servers.stop()


async def _killed_midway(core: Core, servers: EmbeddedServers) -> None:
    gateway = ListedUpdates(messages(core, 3_000))
    reading = asyncio.create_task(listener(core, gateway).run())

    async def under_way() -> bool:
        return gateway.asked_for > 300

    await until(under_way)
    pid = servers.pid("postgres")
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    assert gateway.asked_for < 3_000
    with pytest.raises(GatewayDisconnectedError):
        await reading
    rows = await core.execute("SELECT text FROM messages ORDER BY id")
    assert [row["text"] for row in rows] == [str(number) for number in range(3_000)]
    assert await core.value("SELECT revision FROM conversations") == 3_000
