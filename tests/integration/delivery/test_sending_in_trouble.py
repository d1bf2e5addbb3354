"""What Telegram and the network do to a reply, and that it arrives once all the same, or a person is asked."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import psycopg
import pytest
from psycopg import sql

from nadia.conversations.models import Conversation
from nadia.conversations.pauses import Activity
from nadia.delivery.config import DeliverySettings
from nadia.embedded.endpoints import Role
from nadia.embedded.servers import EmbeddedServers
from nadia.errors import UnavailableError
from nadia.metrics import REGISTRY
from nadia.postgres.database import Connection, Database
from nadia.telegram.errors import (
    AccountRevokedError,
    GatewayDisconnectedError,
    GatewayError,
    SendRefusedError,
    SendUncertainError,
    TelegramTroubleError,
)
from nadia.telegram.gateway import IncomingMessage, SentMessage
from nadia.telegram.sandbox.faults import FaultKind, FaultPlan
from nadia.telegram.sandbox.gateway import SandboxGateway
from support.eventually import eventually
from support.gateway_through import Through
from support.post_office import PostOffice, until
from support.servers import ClonedDatabase


def failures(reason: str) -> float:
    return REGISTRY.get_sample_value("nadia_delivery_failures_total", {"reason": reason}) or 0


async def test_a_message_whose_answer_was_lost_is_not_sent_twice(office: PostOffice) -> None:
    conversation = await office.customer()
    await office.network.control.force(FaultKind.DROP_ANSWER)
    batch_id = await office.approved(conversation, "one", "two")
    before = failures("uncertain"), failures("duplicate")
    async with office.delivering():
        await office.reaches(batch_id, "sent")
    assert await office.received(conversation) == ["one", "two"]
    first, second = await office.world.outbox_rows(batch_id)
    assert (first["attempts"], second["attempts"]) == (2, 1)
    assert (failures("uncertain"), failures("duplicate")) == (before[0] + 1, before[1] + 1)


async def test_a_message_that_surely_did_not_leave_is_sent_when_the_link_is_back(office: PostOffice) -> None:
    conversation = await office.customer()
    before = failures("disconnected")
    async with office.delivering():
        await office.network.control.force(FaultKind.REFUSE_CONNECTION, times=1_000)
        await office.network.cut()
        batch_id = await office.approved(conversation, "one")
        await eventually(lambda: failures("disconnected") > before)
        (row,) = await office.world.outbox_rows(batch_id)
        assert (row["state"], row["sending_since"]) == ("queued", None)
        await office.network.control.follow(FaultPlan())
        await office.reaches(batch_id, "sent")
    assert await office.received(conversation) == ["one"]


async def test_a_request_cut_before_it_had_effect_is_repeated(office: PostOffice) -> None:
    conversation = await office.customer()
    await office.network.control.force(FaultKind.DISCONNECT, method="account.send")
    batch_id = await office.approved(conversation, "one", "two")
    async with office.delivering():
        await office.reaches(batch_id, "sent")
    assert await office.received(conversation) == ["one", "two"]


async def test_a_flood_wait_holds_the_whole_account_and_blocks_nothing(office: PostOffice) -> None:
    waits, other = await office.customer(), await office.customer()
    await office.network.control.force(FaultKind.FLOOD_WAIT, seconds=2)
    first = await office.approved(waits, "one")
    async with office.delivering():
        await until(lambda: is_postponed(office, first), what="a postponed bubble")
        second = await office.approved(other, "two")
        (row,) = await office.world.outbox_rows(first)
        assert (row["state"], row["sending_since"]) == ("queued", None)
        assert "wait 2 s" in row["last_error"]
        assert await office.received(other) == []
        await office.reaches(first, "sent")
        await office.reaches(second, "sent")
    (row,) = await office.world.execute("SELECT min(sent_at) >= min(send_after) AS held FROM outbox")
    assert row["held"]


async def is_postponed(office: PostOffice, batch_id: int) -> bool:
    return (await office.world.outbox_rows(batch_id))[0]["last_error"] is not None


async def test_a_limited_account_stops_sending_and_someone_is_told(office: PostOffice) -> None:
    conversation = await office.customer()
    await office.network.control.force(FaultKind.PEER_FLOOD)
    batch_id = await office.approved(conversation, "one")
    async with office.delivering():
        await until(lambda: is_paused(office), what="the pause")
        (pause,) = await office.world.pauses.list()
        assert (pause.telegram_account_id, pause.paused_by) == ("sandbox", "system")
        assert "PEER_FLOOD" in pause.reason
        assert await office.world.notices() == ["telegram.account_limited"]
        assert await office.received(conversation) == []
        await office.world.pauses.resume(Activity.SENDING, account_id="sandbox", actor="system")
        (over,) = await office.world.execute("SELECT topic, severity, labels FROM notices WHERE resolves")
        assert over == {
            "topic": "telegram.account_limited",
            "severity": "critical",
            "labels": {"account": "sandbox"},
        }
        await office.world.execute("UPDATE outbox SET send_after = now()")
        await office.reaches(batch_id, "sent")
    assert await office.received(conversation) == ["one"]


async def is_paused(office: PostOffice) -> bool:
    return bool(await office.world.pauses.list())


async def test_a_revoked_session_ends_delivery_with_a_notice(office: PostOffice) -> None:
    conversation = await office.customer()
    batch_id = await office.approved(conversation, "one")
    gateway = office.network.gateway()
    await gateway.connect(None)
    await office.network.revoke()
    with pytest.raises(AccountRevokedError):
        async with asyncio.timeout(10):
            await office.delivery(gateway).run()
    (row,) = await office.world.outbox_rows(batch_id)
    assert row["state"] == "queued"
    await office.network.restore()
    async with office.delivering():
        await office.reaches(batch_id, "sent")


async def test_what_telegram_refuses_is_parked_with_its_reason_and_others_go_on(office: PostOffice) -> None:
    blocked, fine = await office.customer(), await office.customer()
    parked = await office.approved(blocked, "one", "two")
    await office.network.block(blocked.chat_id)
    position = await office.world.events.latest_id()
    async with office.delivering():
        await office.reaches(parked, "parked")
        await office.reaches(await office.approved(fine, "yes"), "sent")
    item = (await office.world.desk.item(parked)).item
    assert item.parked_reason is not None
    assert "refused" in item.parked_reason
    assert item.parked_from == "sending"
    assert [row["state"] for row in await office.world.outbox_rows(parked)] == ["parked", "queued"]
    assert "reply.parked" in [event.kind for event in await office.world.events.after(position)]


async def test_a_refusal_after_a_lost_answer_asks_the_history_first(office: PostOffice) -> None:
    conversation = await office.customer()
    await office.network.control.force(FaultKind.DROP_ANSWER)
    batch_id = await office.approved(conversation, "one")

    class ForgetfulAndRefusing(Through):
        async def send(self, *, chat_id: int, text: str, random_id: int) -> SentMessage:
            if await office.received(conversation):
                random_id += 1  # Telegram no longer knows the number
                await office.network.block(conversation.chat_id)
            return await self.real.send(chat_id=chat_id, text=text, random_id=random_id)

    async with office.delivering(wrap=ForgetfulAndRefusing):
        await office.reaches(batch_id, "sent")
    assert await office.received(conversation) == ["one"]


class RefusesTheSecond(Through):
    """The first answer is lost, and what was sent is not in the history; whatever comes after it is refused."""

    def __init__(self, real: SandboxGateway) -> None:
        super().__init__(real)
        self.sends = 0

    async def send(self, *, chat_id: int, text: str, random_id: int) -> SentMessage:
        self.sends += 1
        if self.sends == 1:
            raise SendUncertainError("no answer came")
        raise SendRefusedError("USER_IS_BLOCKED")


async def test_a_refusal_after_a_lost_answer_says_that_it_may_have_been_sent(office: PostOffice) -> None:
    conversation = await office.customer()
    batch_id = await office.approved(conversation, "one")
    async with office.delivering(wrap=RefusesTheSecond):
        await office.reaches(batch_id, "parked")
    reason = (await office.world.desk.item(batch_id)).item.parked_reason or ""
    assert "may have been sent already" in reason
    assert "USER_IS_BLOCKED" in reason


async def test_a_refusal_is_not_settled_while_the_history_cannot_be_read(office: PostOffice) -> None:
    conversation = await office.customer()
    batch_id = await office.approved(conversation, "one")
    legible = asyncio.Event()
    looked = asyncio.Event()

    class LinkLost(RefusesTheSecond):
        async def history(
            self, *, chat_id: int, after_id: int | None = None, before_id: int | None = None, limit: int = 100
        ) -> list[IncomingMessage]:
            if not legible.is_set():
                looked.set()
                raise GatewayDisconnectedError("the link is down")
            return await self.real.history(chat_id=chat_id, after_id=after_id, before_id=before_id, limit=limit)

    async with office.delivering(wrap=LinkLost):
        await looked.wait()
        await until(lambda: has_error(office, batch_id, "the link is down"), what="the postponed bubble")
        assert await office.world.state(batch_id) == "sending"
        await office.network.post_from_phone(conversation.chat_id, "one")  # the first attempt had gone through
        legible.set()
        await office.reaches(batch_id, "sent")
    assert await office.received(conversation) == ["one"]


async def has_error(office: PostOffice, batch_id: int, words: str) -> bool:
    return words in ((await office.world.outbox_rows(batch_id))[0]["last_error"] or "")


@pytest.mark.parametrize("trouble", [TelegramTroubleError, SendUncertainError])
async def test_trouble_with_one_reply_that_does_not_end_is_left_to_a_person(
    office: PostOffice, trouble: type[GatewayError]
) -> None:
    broken, fine = await office.customer(), await office.customer()

    class Troubled(Through):
        async def send(self, *, chat_id: int, text: str, random_id: int) -> SentMessage:
            if chat_id == broken.chat_id:
                raise trouble("Telegram has trouble of its own")
            return await self.real.send(chat_id=chat_id, text=text, random_id=random_id)

    batch_id = await office.approved(broken, "one")
    async with office.delivering(wrap=Troubled):
        await until(lambda: is_postponed(office, batch_id), what="the first attempt")
        await office.reaches(await office.approved(fine, "yes"), "sent")
        assert await office.world.state(batch_id) == "sending"
        await office.world.execute(
            "UPDATE outbox SET send_after = now(), sending_since = now() - interval '6 minutes' WHERE batch_id = %s",
            batch_id,
        )
        await office.reaches(batch_id, "parked")
    assert await office.received(broken) == []
    assert "trouble of its own" in ((await office.world.desk.item(batch_id)).item.parked_reason or "")


async def test_a_commit_whose_answer_was_lost_is_counted_and_told_once(
    office: PostOffice, database: ClonedDatabase
) -> None:
    conversation = await office.customer()
    batch_id = await office.approved(conversation, "one")
    lossy = LosesOneCommit(dsn=database.app_dsn)
    await lossy.open()
    before = counted()
    position = await office.world.events.latest_id()

    class LossyAfterSending(Through):
        async def send(self, *, chat_id: int, text: str, random_id: int) -> SentMessage:
            sent = await self.real.send(chat_id=chat_id, text=text, random_id=random_id)
            lossy.armed = True
            return sent

    async with office.connected() as gateway:
        running = asyncio.create_task(office.delivery(LossyAfterSending(gateway), database=lossy).run())
        await office.reaches(batch_id, "sent")
        await eventually(lambda: counted() == before + 1)
        await until(lambda: is_told(office, position), what="the event")
        running.cancel()
        await asyncio.wait({running})
    await lossy.close()
    assert not lossy.armed
    assert await office.world.replies(conversation) == ["one"]


class LosesOneCommit(Database):
    """A database whose answer to one commit is lost, when armed."""

    armed = False

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        async with super().transaction() as conn:
            yield conn
        if self.armed:
            self.armed = False
            raise UnavailableError("the answer to a commit was lost")


def counted() -> float:
    return REGISTRY.get_sample_value("nadia_delivery_bubbles_sent_total") or 0


async def is_told(office: PostOffice, position: str) -> bool:
    return "reply.sent" in [event.kind for event in await office.world.events.after(position)]


async def test_postgresql_away_between_sending_and_recording_is_waited_for(
    office: PostOffice, servers: EmbeddedServers, database: ClonedDatabase
) -> None:
    conversation = await office.customer()
    batch_id = await office.approved(conversation, "one", "two")
    away = asyncio.Event()

    class CutOffAfterSending(Through):
        async def send(self, *, chat_id: int, text: str, random_id: int) -> SentMessage:
            sent = await self.real.send(chat_id=chat_id, text=text, random_id=random_id)
            if not away.is_set():
                await database_access(servers, database.name, allowed=False)
                away.set()
            return sent

    before = failures("duplicate")
    async with office.delivering(wrap=CutOffAfterSending):
        await away.wait()
        assert await office.received(conversation) == ["one"]
        with pytest.raises(UnavailableError):
            await office.world.state(batch_id)
        await database_access(servers, database.name, allowed=True)
        await until(lambda: is_back(office), what="PostgreSQL")
        await office.reaches(batch_id, "sent")
    assert await office.received(conversation) == ["one", "two"]
    assert [row["attempts"] for row in await office.world.outbox_rows(batch_id)] == [1, 1]
    assert failures("duplicate") == before


async def database_access(servers: EmbeddedServers, name: str, *, allowed: bool) -> None:
    """Let the product into the test's database, or throw it out and keep it out."""
    dsn = servers.dsn(Role.SUPERUSER, database="postgres")
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as conn:
        statement = sql.SQL("ALTER DATABASE {} WITH ALLOW_CONNECTIONS {}")
        await conn.execute(statement.format(sql.Identifier(name), sql.Literal(allowed)))
        if not allowed:
            await conn.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name])


async def is_back(office: PostOffice) -> bool:
    try:
        await office.world.execute("SELECT 1")
    except UnavailableError:
        return False
    return True


async def test_a_failure_that_nobody_foresaw_ends_parked_and_holds_up_nobody(office: PostOffice) -> None:
    poisoned, fine = await office.customer(), await office.customer()

    class Broken(Through):
        async def send(self, *, chat_id: int, text: str, random_id: int) -> SentMessage:
            if chat_id == poisoned.chat_id:
                raise ZeroDivisionError
            return await self.real.send(chat_id=chat_id, text=text, random_id=random_id)

    batch_id = await office.approved(poisoned, "one")
    clock = Skipping()
    async with office.connected() as gateway:
        delivery = office.delivery(Broken(gateway))
        delivery._monotonic = clock
        running = asyncio.create_task(delivery.run())
        await office.reaches(await office.approved(fine, "yes"), "sent")
        await office.reaches(batch_id, "parked")
        running.cancel()
        await asyncio.wait({running})
    assert await office.received(poisoned) == []
    assert await office.world.notices() == ["batch.parked"]


class Skipping:
    """A clock that is a minute later whenever it is asked."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 60
        return self.now


@pytest.mark.parametrize("seed", [1, *(pytest.param(seed, marks=pytest.mark.long) for seed in range(2, 8))])
async def test_many_conversations_through_many_faults_lose_and_double_nothing(office: PostOffice, seed: int) -> None:
    replies: list[tuple[Conversation, int, list[str]]] = []
    for number in range(5):
        conversation = await office.customer(f"Customer {number}")
        bubbles = [f"{number} first", "ok", "ok"]
        replies.append((conversation, await office.approved(conversation, *bubbles), bubbles))
    await office.network.control.follow(
        FaultPlan(seed=seed, drop_answer=0.12, disconnect=0.05, flood_wait=0.03, flood_wait_seconds=1)
    )
    async with office.delivering(settings=DeliverySettings(variance=0, settle_seconds=0.05)):
        for _, batch_id, _ in replies:
            await office.reaches(batch_id, "sent", within=60)
    for conversation, _, bubbles in replies:
        assert await office.received(conversation) == bubbles
        assert await office.world.replies(conversation) == bubbles
