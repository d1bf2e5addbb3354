"""The review desk and the sandbox on real services, without a worker: tests write the customers' and drafter's parts.

``python -m support.desk_app`` (with ``tests`` on the path) serves them with a full queue for somebody to look at.
"""

import asyncio
import itertools
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

from pydantic import SecretStr

from nadia.accounts.models import Account, Role
from nadia.accounts.service import AccountService
from nadia.alerting.service import Alerts
from nadia.clock import utc_now
from nadia.conversations.batches import Batches, Sealed
from nadia.conversations.messages import Messages, NewMessage
from nadia.conversations.models import BatchState, Conversation
from nadia.conversations.pauses import Pauses
from nadia.conversations.transitions import lock_batch, move
from nadia.delivery.outbox import Outbox
from nadia.drafting.store import NewDraft, insert
from nadia.embedded.endpoints import Role as DatabaseRole
from nadia.embedded.servers import EmbeddedServers
from nadia.health.checker import HealthChecker
from nadia.health.figure_recorder import FigureRecorder
from nadia.health.figures import FigureHistory
from nadia.llm.saved_replies import SavedReplies
from nadia.postgres.database import Database
from nadia.postgres.schema import upgrade
from nadia.quarantine.config import QuarantineSettings
from nadia.quarantine.gate import SilenceGate
from nadia.quarantine.service import Quarantine
from nadia.recovery.status import RecoveryStatus
from nadia.redis.connection import RedisConnection
from nadia.redis.events import LiveEvents
from nadia.redis.source import RedisSource
from nadia.review.config import ReviewSettings
from nadia.review.desk import ReviewDesk
from nadia.review.models import ReviewerRef
from nadia.settings.web import WebSettings
from nadia.telegram.gateway import Media
from nadia.telegram.ownership import Ownership, Ownerships
from nadia.telegram.sandbox.address import UnixAddress
from nadia.telegram.sandbox.customer import CustomerClient
from nadia.telegram.sandbox.server import SandboxServer
from nadia.web.app import create_app
from nadia.web.console import console_router
from nadia.web.desk import desk_router, pause_status
from nadia.web.help_pages import help_router
from nadia.web.identity import cookie_name
from nadia.web.quarantine import quarantine_router
from nadia.web.sandbox import sandbox_router
from nadia.web.sandbox_chat import SandboxChat
from nadia.web.server import WebServer
from nadia.workflows.run_history import RunHistory
from nadia.workflows.schedule_state import ScheduleState
from support.planted_probe import PlantedProbe

ACCOUNT = "sandbox"
DISCLOSURE = "Hello! Replies here are drafted by an AI and reviewed by people before they are sent."
SECRET_KEY = SecretStr("a key for tests, long enough to be one")


@dataclass
class DeskHouse:
    """The desk with everything that it stands on."""

    database: Database
    redis: RedisConnection
    events: LiveEvents
    accounts: AccountService
    desk: ReviewDesk
    pauses: Pauses
    server: WebServer
    sandbox: UnixAddress
    messages: Messages
    batches: Batches
    quarantine: Quarantine
    ownership: Ownership
    wanted_drafts: list[int]
    probe: PlantedProbe
    recorder: FigureRecorder
    schedule: ScheduleState
    _numbers: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))
    _people: dict[str, Account] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return self.server.url

    async def person(self, name: str, role: Role = Role.REVIEWER) -> Account:
        """An account with a password, made when first asked for."""
        if name not in self._people:
            if await self.accounts.exist():
                account = (await self.accounts.invite(name=name, role=role, actor="system")).account
            else:
                account = await self.accounts.create_first_admin(name, actor="system")
            self._people[name] = account
        return self._people[name]

    async def reviewer(self, name: str) -> ReviewerRef:
        account = await self.person(name)
        return ReviewerRef(id=account.id, name=account.name)

    async def token(self, name: str, role: Role = Role.REVIEWER) -> str:
        """A bearer token of somebody's."""
        secret, _ = await self.accounts.tokens.create(
            await self.person(name, role), name="for a test", role=role, actor="system"
        )
        return secret

    async def cookie(self, name: str, role: Role = Role.REVIEWER) -> dict[str, str]:
        """The cookie of a new session, as Playwright wants it."""
        link = await self.accounts.login_link(await self.person(name, role), actor="system")
        session = await self.accounts.sessions.log_in_by_link(link.secret)
        return {"name": cookie_name(WebSettings()), "value": session.secret, "url": self.url}

    async def conversation(self, name: str, *, chat_id: int | None = None, told: bool = True) -> Conversation:
        """A customer's chat; ``told`` when they have had the disclosure."""
        number = chat_id or 7_000_000 + next(self._numbers)
        conversation = await self.messages.ensure_conversation(
            network="sandbox",
            account_id=ACCOUNT,
            chat_id=number,
            user_id=number,
            name=name,
            username=None,
            fencing_token=self.ownership.fencing_token,
        )
        if told:
            async with self.database.connection() as conn:
                await conn.execute(
                    "UPDATE conversations SET disclosed_at = clock_timestamp() WHERE id = %s", [conversation.id]
                )
        return conversation

    async def writes(
        self,
        conversation: Conversation,
        *texts: str,
        author: str = "customer",
        kind: str = "text",
        media: Media | None = None,
        hours_ago: float = 0,
    ) -> list[int]:
        """Messages come in, from the customer or from the operator's phone; returns Telegram's ids."""
        numbers = []
        for text in texts:
            numbers.append(next(self._numbers))
            await self.messages.record(
                conversation,
                NewMessage(
                    telegram_message_id=numbers[-1],
                    direction="in" if author == "customer" else "out",
                    author=author,
                    kind=kind,
                    text=text,
                    reply_to=None,
                    sent_at=utc_now() - timedelta(hours=hours_ago),
                    edited_at=None,
                    media=media,
                ),
                fencing_token=self.ownership.fencing_token,
            )
        await self.events.publish("message.received", conversation=conversation.id)
        return numbers

    async def seals(self, conversation: Conversation, *, priority: int = 0) -> int:
        """The burst is over; returns the batch's id."""
        sealed = await self.batches.seal(conversation.id, priority=priority)
        assert isinstance(sealed, Sealed)
        await self.events.publish("batch.sealed", batch=sealed.batch.id, conversation=conversation.id)
        return sealed.batch.id

    async def drafts(
        self,
        batch_id: int,
        *bubbles: str,
        score: float | None = 0.82,
        flags: Sequence[str] = (),
        risk: float | None = None,
        model: str = "offline",
    ) -> None:
        """A draft arrives."""
        async with self.database.transaction() as conn:
            locked = await lock_batch(conn, batch_id)
            draft = NewDraft(
                bubbles=list(bubbles),
                profile="default",
                model=model,
                score=score,
                flags=list(flags),
                input_tokens=412,
                output_tokens=57,
                cost_usd=Decimal("0.0021"),
                latency_seconds=0.0,
            )
            await insert(conn, draft, answers=locked)
            if risk is not None:
                await conn.execute("UPDATE drafts SET risk = %s WHERE batch_id = %s", [risk, batch_id])
            await move(conn, locked, BatchState.DRAFTED, actor="system")
        await self.events.publish("batch.drafted", batch=batch_id, conversation=locked.conversation.id)

    async def no_draft(self, batch_id: int, reason: str) -> None:
        """Drafting has given up."""
        async with self.database.transaction() as conn:
            locked = await lock_batch(conn, batch_id)
            await move(conn, locked, BatchState.IN_REVIEW, actor="system", reason=reason)
        await self.events.publish("batch.undrafted", batch=batch_id, conversation=locked.conversation.id)

    async def item(self, name: str, *texts: str, draft: str = "Thanks, we look into it.", told: bool = True) -> int:
        """A conversation with a draft, ready to be decided."""
        conversation = await self.conversation(name, told=told)
        await self.writes(conversation, *texts)
        batch_id = await self.seals(conversation)
        await self.drafts(batch_id, draft)
        return batch_id

    async def conversation_of(self, batch_id: int) -> Conversation:
        async with self.database.transaction() as conn:
            return (await lock_batch(conn, batch_id)).conversation

    async def state(self, batch_id: int) -> BatchState:
        return (await self.desk.item(batch_id)).item.state

    async def outbox(self, batch_id: int) -> list[str]:
        """What waits to be sent for a batch, in order."""
        return [row.text for row in (await self.desk.item(batch_id)).outbox if row.state == "queued"]

    async def age(self, batch_id: int, **amount: float) -> None:
        """Let an item have waited for so long."""
        async with self.database.connection() as conn:
            await conn.execute(
                "UPDATE batches SET sealed_at = sealed_at - %s WHERE id = %s", [timedelta(**amount), batch_id]
            )


@asynccontextmanager
async def desk_house(
    *, dsn: str, redis_url: str, folder: Path, undo_seconds: float = 60, claim_seconds: float = 120, port: int = 0
) -> AsyncIterator[DeskHouse]:
    """Open the house on a database and a Redis that run already."""
    database = Database(dsn=dsn, pool_size=8)
    await database.open()
    redis = RedisConnection(RedisSource(url=redis_url))
    events = LiveEvents(redis=redis)
    outbox = Outbox(undo_seconds=undo_seconds)
    wanted: list[int] = []

    async def wants_draft(batch_id: int) -> None:
        wanted.append(batch_id)

    desk = ReviewDesk(
        database=database,
        events=events,
        outbox=outbox,
        settings=ReviewSettings(claim_seconds=claim_seconds),
        disclosure=lambda: DISCLOSURE,
        wants_draft=wants_draft,
    )
    pauses = Pauses(database=database, events=events)
    batches = Batches(database=database, replies=outbox, silences=SilenceGate())
    quarantine = Quarantine(
        database=database,
        batches=batches,
        replies=outbox,
        wants_draft=wants_draft,
        events=events,
        settings=QuarantineSettings(),
    )
    address = UnixAddress(folder / "telegram.sock")
    chat = SandboxChat(client=lambda: CustomerClient(address=address), account=ACCOUNT)
    accounts = AccountService(database=database, secret_key=SECRET_KEY, failure_floor=timedelta(milliseconds=1))
    settings = WebSettings(port=port)
    probe = PlantedProbe()
    schedule = ScheduleState(redis=redis, file=folder / "daemon.json")
    app = create_app(
        settings=settings,
        accounts=accounts,
        secret_key=SECRET_KEY,
        ready=_always,
        status=pause_status(pauses),
        routers=(
            desk_router(desk=desk, saved_replies=SavedReplies(), pauses=pauses, events=events),
            quarantine_router(quarantine=quarantine),
            console_router(
                health=HealthChecker(probes=[probe], timeout_seconds=2.0),
                figures=FigureHistory(redis=redis),
                runs=RunHistory(redis=redis),
                daemon=schedule.read,
                alerts=Alerts(database=database),
                recovery=RecoveryStatus(database=database),
            ),
            help_router(),
            sandbox_router(chat=chat),
        ),
    )
    server = WebServer(app=app, settings=settings)
    ownerships = Ownerships(database=database, holder="tests/1/1", lease_seconds=36_000, grace_seconds=1)
    await ownerships.register(ACCOUNT, "sandbox")
    ownership = await ownerships.acquire(ACCOUNT)
    assert ownership is not None
    async with SandboxServer(address=address, database=folder / "sandbox.db"):
        await server.start()
        try:
            yield DeskHouse(
                database=database,
                redis=redis,
                events=events,
                accounts=accounts,
                desk=desk,
                pauses=pauses,
                server=server,
                sandbox=address,
                messages=Messages(database=database),
                batches=batches,
                quarantine=quarantine,
                ownership=ownership,
                wanted_drafts=wanted,
                probe=probe,
                recorder=FigureRecorder(redis=redis, process="tests"),
                schedule=schedule,
            )
        finally:
            await server.stop()
            await chat.close()
            await redis.close()
            await database.close()


async def _always() -> bool:
    return True


async def fill(house: DeskHouse) -> list[int]:
    """A queue with everything in it that a designer should see."""
    burst = await house.conversation("Mei Tanaka")
    await house.writes(burst, "Hi, I ordered a blue jacket last Monday")
    await house.writes(burst, "You answered quickly last time, thank you!", author="phone")
    await house.writes(burst, "The tracking page says “in transit” since Monday", "Can you tell me where it is? 🙂")
    first = await house.seals(burst)
    await house.drafts(
        first,
        "Hello Mei, thank you for writing to us.\n\nYour parcel left our warehouse on Tuesday and arrives by Friday.",
        "If it is not there by then, tell us and we send another one.",
    )
    await house.age(first, minutes=14)

    urgent = await house.conversation("Bartholomäus Maximilian von und zu Hohenstauffen-Wittelsbach der Jüngere")
    await house.writes(urgent, "STOP. Cancel my order at once, I was charged twice!!!")
    second = await house.seals(urgent, priority=10)
    await house.drafts(
        second,
        "I am sorry about the double charge. I have asked my colleagues in accounting to look at it today.",
        score=0.41,
        flags=("promises_refund", "angry_customer"),
        risk=0.8,
        model="gpt-4.1-mini",
    )
    await house.age(second, minutes=3)

    arabic = await house.conversation("مريم الأحمد", told=False)
    await house.writes(arabic, "مرحبا، متى يصل طلبي رقم 4711؟", "شكرا جزيلا 🌷")
    third = await house.seals(arabic)
    await house.drafts(third, "أهلا مريم، يصل طلبك رقم 4711 غدا قبل الساعة 18:00.", score=0.77)
    await house.age(third, hours=2, minutes=5)

    hostile = await house.conversation("Eve\u202e gnp.exe\u200b <b onmouseover=alert(1)>bold</b>")
    await house.writes(hostile, "<script>alert('hi')</script> " + "W" * 300, "\u202eright to left override\u202c done")
    fourth = await house.seals(hostile)
    await house.no_draft(fourth, "no model answered in time")
    await house.age(fourth, days=2)

    stale = await house.conversation("Jonas Weber")
    await house.writes(stale, "What are your opening hours?")
    fifth = await house.seals(stale)
    await house.drafts(fifth, "We are open Monday to Friday from 9 to 18.")
    numbers = await house.writes(stale, "Sorry, I mean on Saturdays", "and is there parking?")
    await house.messages.edit(
        account_id=ACCOUNT,
        chat_id=stale.chat_id,
        telegram_message_id=numbers[0],
        text="Sorry, I mean on Saturdays and Sundays",
        edited_at=datetime.now(UTC),
        fencing_token=house.ownership.fencing_token,
    )
    await house.desk.claim(fifth, await house.reviewer("marta"))

    photo = await house.conversation("👩‍👩‍👧‍👦 Familie Özdemir 🏳️‍🌈")
    gone = await house.writes(photo, "never mind", hours_ago=14)
    await house.messages.delete(
        account_id=ACCOUNT,
        chat_id=photo.chat_id,
        telegram_message_ids=gone,
        fencing_token=house.ownership.fencing_token,
    )
    await house.writes(photo, "", kind="photo", hours_ago=14)
    await house.writes(photo, "", kind="voice", media=Media(reference="document:5", duration=12), hours_ago=14)
    await house.writes(photo, "", kind="sticker", media=Media(reference="document:6", emoji="👍"), hours_ago=14)
    bill = Media(reference="document:7", name="invoice\u202efdp.exe", size=120_000)
    await house.writes(photo, "The bill", kind="document", media=bill, hours_ago=14)
    await house.writes(photo, "This is what arrived. Half of it is missing.", kind="photo")
    sixth = await house.seals(photo)

    parked = await house.item("Lucía Prado", "¿Siguen ahí?", draft="Sí, aquí estamos.")
    await house.desk.park(parked, await house.reviewer("jonas"), reason="waits for the warehouse to answer")
    return [first, second, third, fourth, fifth, sixth, parked]


async def serve(port: int = 8421) -> None:
    """Serve a full desk until Ctrl-C; prints where, and the sessions' links."""
    from support.servers import short_folder, start_servers

    with short_folder() as base:
        servers: EmbeddedServers = await start_servers(base)
        try:
            await asyncio.to_thread(upgrade, servers.dsn(DatabaseRole.OWNER))
            with tempfile.TemporaryDirectory(dir=base) as folder:
                async with desk_house(
                    dsn=servers.dsn(DatabaseRole.APP), redis_url=servers.redis.url, folder=Path(folder), port=port
                ) as house:
                    admin = await house.person("ann", Role.ADMIN)
                    await fill(house)
                    link = await house.accounts.login_link(admin, actor="system")
                    print(f"{house.url}{link.path}", flush=True)
                    await house.server.wait()
        finally:
            await servers.stop()


if __name__ == "__main__":
    asyncio.run(serve())
