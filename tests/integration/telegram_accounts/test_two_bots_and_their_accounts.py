"""Two bots as processes of their own, and Telegram accounts that each belong to exactly one of them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
from telethon.tl import functions

from nadia.conversations.batches import Sealed
from nadia.postgres.database import Database
from nadia.redis.connection import RedisConnection
from nadia.redis.events import LiveEvents
from nadia.redis.source import RedisSource
from support.eventually import eventually
from support.log_in import put_on_record, secrets_of, telethon_settings
from support.mtproto.server import TelegramTestServer
from support.mtproto.world import Account, User
from support.reply_world import World
from support.servers import empty_redis, short_folder
from support.system import Process, System, running_system

PHONES = ("+12025550101", "+12025550102")


@dataclass
class TwoBots:
    """Two bots, two accounts that are logged in, and a desk that approves."""

    system: System
    telegram: TelegramTestServer
    desk: World
    accounts: dict[str, Account]
    customer: User

    async def rows(self, query: str, *values: object) -> list[dict[str, Any]]:
        return await self.desk.execute(query, *values)

    async def owner(self, name: str) -> Process:
        """The process that acts for an account, once one does."""
        query = "SELECT holder FROM telegram_accounts WHERE id = %s AND expires_at > clock_timestamp()"
        async with asyncio.timeout(30):
            while not (found := await self.rows(query, name)):
                await asyncio.sleep(0.05)
        pid = int(found[0]["holder"].split("/")[1])
        return next(process for process in self.system.processes.values() if process.child.pid == pid)

    async def recorded(self, text: str) -> None:
        async with asyncio.timeout(30):
            while not await self.rows("SELECT 1 FROM messages WHERE text = %s", text):
                await asyncio.sleep(0.05)

    async def approve(self, *, to: str, text: str) -> None:
        """Approve a reply to what a customer wrote."""
        (conversation,) = await self.rows(
            "UPDATE conversations SET disclosed_at = now() WHERE id = "
            "(SELECT conversation_id FROM messages WHERE text = %s) RETURNING id",
            to,
        )
        sealed = await self.desk.batches.seal(conversation["id"])
        assert isinstance(sealed, Sealed)
        await self.desk.approve(sealed.batch.id, await self.desk.reviewer(f"reviewer of {to}"), text)

    async def sent(self, name: str, text: str) -> None:
        await eventually(
            lambda: text in self.telegram.texts_of(self.accounts[name], self.customer), within=40, what="the reply"
        )

    def logs(self) -> str:
        return "".join(self.system.log("bot", number) for number in (0, 1))


@asynccontextmanager
async def two_bots(accounts: int = 1) -> AsyncIterator[TwoBots]:
    with short_folder() as base:
        async with TelegramTestServer() as telegram:
            settings = telethon_settings(telegram) | {"NADIA_LOGS_LEVEL": "debug", "NADIA_DELIVERY_UNDO_SECONDS": "0"}
            async with running_system(base, roles=[], settings=settings) as system, system.database() as database:
                redis = RedisConnection(RedisSource(url=system.servers.redis.url))
                try:
                    yield await _started(system, telegram, database, redis, accounts)
                finally:
                    await redis.close()


async def _started(
    system: System, telegram: TelegramTestServer, database: Database, redis: RedisConnection, accounts: int
) -> TwoBots:
    known = {f"desk-{n}": telegram.add_account(f"Desk {n}", phone=PHONES[n]) for n in range(accounts)}
    for name, account in known.items():
        await put_on_record(system.config, database, telegram, name, account)
    await asyncio.gather(system.start("bot", 0), system.start("bot", 1))
    await eventually(lambda: all(map(telegram.connections_of, known.values())), within=30, what="the connections")
    return TwoBots(
        system=system,
        telegram=telegram,
        desk=World(database=database, events=LiveEvents(redis=redis)),
        accounts=known,
        customer=telegram.add_user("Ana"),
    )


async def test_what_is_killed_is_taken_over_and_nothing_is_lost_or_sent_twice() -> None:
    async with two_bots(accounts=2) as bots:
        ben = bots.telegram.add_user("Ben")
        for number, (name, account) in enumerate(bots.accounts.items()):
            bots.telegram.write(account, bots.customer, f"hello {name}")
            await bots.recorded(f"hello {name}")
            first = await bots.owner(name)
            first.kill()
            await first.child.wait()
            await empty_redis(bots.system.servers.redis)
            bots.telegram.write(account, ben, f"anybody there, {name}?")
            await bots.approve(to=f"hello {name}", text=f"good morning from {name}")
            await bots.recorded(f"anybody there, {name}?")
            await bots.sent(name, f"good morning from {name}")

            second = await bots.owner(name)
            assert second.child.pid != first.child.pid
            assert bots.telegram.texts_of(account, bots.customer) == [f"hello {name}", f"good morning from {name}"]
            if number == 0:
                await bots.system.start("bot", first.number)

        assert bots.telegram.count(functions.messages.SendMessageRequest) == 2
        found = await bots.rows("SELECT text FROM messages GROUP BY text HAVING count(*) > 1")
        assert not found, "recorded twice"
        logs = bots.logs()
        assert "telegram.gateway.connected" in logs
        secrets = [*secrets_of(bots.telegram), "hello desk", "good morning"]
        assert [secret for secret in secrets if secret in logs] == []


async def test_an_owner_that_was_stopped_and_goes_on_never_acts_again_on_its_old_right() -> None:
    async with two_bots() as bots:
        account = bots.accounts["desk-0"]
        bots.telegram.write(account, bots.customer, "hello")
        await bots.recorded("hello")
        old = await bots.owner("desk-0")
        (before,) = await bots.rows("SELECT fencing_token FROM telegram_accounts")
        old.freeze()
        await bots.approve(to="hello", text="good morning")
        await bots.sent("desk-0", "good morning")
        new = await bots.owner("desk-0")
        assert new.child.pid != old.child.pid
        assert bots.telegram.connections_of(account) == 2, "the stopped one hangs on"
        bots.telegram.write(account, bots.customer, "thank you")
        await bots.recorded("thank you")
        old.thaw()
        await eventually(lambda: bots.telegram.connections_of(account) == 1, within=20, what="the old one's hanging up")
        await bots.approve(to="thank you", text="you are welcome")
        await bots.sent("desk-0", "you are welcome")

        assert "account.lost" in bots.system.log("bot", old.number)
        assert await bots.owner("desk-0") is new
        (after,) = await bots.rows("SELECT fencing_token FROM telegram_accounts")
        assert after["fencing_token"] == before["fencing_token"] + 1
        assert bots.telegram.count(functions.messages.SendMessageRequest) == 2
        assert bots.telegram.texts_of(account, bots.customer) == [
            "hello",
            "good morning",
            "thank you",
            "you are welcome",
        ]


async def test_no_answer_of_the_api_holds_a_number_or_a_session() -> None:
    async with two_bots() as bots:
        bots.telegram.write(bots.accounts["desk-0"], bots.customer, "hello")
        await bots.recorded("hello")
        await bots.system.start("api")
        admin = {"Authorization": f"Bearer {bots.system.admin_token}"}
        async with httpx.AsyncClient(base_url=bots.system.web_url(), headers=admin) as client:
            described = (await client.get("/api/openapi.json")).json()["paths"]
            plain = [path for path, ways in described.items() if "get" in ways and "{" not in path]
            answers = {path: await client.get(path) for path in [*plain, "/metrics"] if not path.endswith("/live")}

        assert "/api/v1/desk/queue" in answers
        assert {path for path, answer in answers.items() if answer.status_code != 200} == set()
        secrets = secrets_of(bots.telegram)
        assert [secret for secret in secrets if any(secret in answer.text for answer in answers.values())] == []
