"""Delivery between a real database and a real sandbox."""

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable

from nadia.conversations.models import Conversation
from nadia.delivery.catching_up import CatchesUp
from nadia.delivery.config import DeliverySettings
from nadia.delivery.sender import Delivery
from nadia.delivery.typing import TypingSimulator
from nadia.postgres.database import Database
from nadia.redis.events import LiveEvents
from nadia.review.models import ReviewerRef
from nadia.telegram.errors import GatewayError
from nadia.telegram.gateway import Gateway
from nadia.telegram.ownership import Ownership
from nadia.telegram.sandbox.gateway import SandboxGateway
from support.reply_world import World
from support.sandbox_network import SandboxNetwork

Sleep = Callable[[float], Awaitable[None]]


async def no_time(seconds: float) -> None:
    """Waits no longer than it takes others to have their turn."""
    await asyncio.sleep(0)


class PostOffice:
    """Customers in the sandbox, their conversations on record, and deliveries that a test starts and kills."""

    def __init__(self, *, world: World, network: SandboxNetwork, reviewer: ReviewerRef) -> None:
        self.world = world
        self.network = network
        self.reviewer = reviewer
        self.settings = DeliverySettings(variance=0, settle_seconds=0)

    async def customer(self, name: str = "Mina", *, told: bool = True) -> Conversation:
        """Someone who has a chat with the account."""
        return await self.world.customer(name, chat_id=await self.network.add_customer(name), told=told)

    async def writes(self, conversation: Conversation, text: str = "How much is shipping?") -> None:
        """The customer writes, and intake puts it on record."""
        number = await self.network.write(conversation.chat_id, text)
        await self.world.says(conversation, text, message_id=number)

    async def approved(self, conversation: Conversation, *bubbles: str) -> int:
        """A reply to a new message, approved."""
        await self.writes(conversation)
        sealed = await self.world.batches.seal(conversation.id)
        assert sealed is not None
        (row,) = await self.world.execute(
            "SELECT max(id) AS id FROM batches WHERE conversation_id = %s", conversation.id
        )
        await self.world.approve(row["id"], self.reviewer, *bubbles)
        return int(row["id"])

    async def received(self, conversation: Conversation) -> list[str]:
        """What the desk's side wrote in the chat, as the sandbox has it."""
        page = await self.network.customers.history(
            account="sandbox", user_id=conversation.chat_id, after_id=0, limit=100
        )
        return [message.text for message in page if message.outgoing]

    async def reaches(self, batch_id: int, state: str, *, within: float = 20.0) -> None:
        """Return when the batch is in the state."""
        await until(lambda: self._is_in(batch_id, state), what=f"batch {batch_id} {state}", within=within)

    async def arrive(self, conversation: Conversation, count: int, *, within: float = 20.0) -> None:
        """Return when the customer has so many messages from the desk."""

        async def have() -> bool:
            return len(await self.received(conversation)) >= count

        await until(have, what=f"{count} messages at the customer's", within=within)

    async def _is_in(self, batch_id: int, state: str) -> bool:
        return await self.world.state(batch_id) == state

    def delivery(
        self,
        gateway: Gateway,
        *,
        ownership: Ownership | None = None,
        settings: DeliverySettings | None = None,
        sleep: Sleep = no_time,
        database: Database | None = None,
        events: LiveEvents | None = None,
        catching_up: CatchesUp | None = None,
    ) -> Delivery:
        chosen = settings or self.settings
        return Delivery(
            database=database or self.world.database,
            gateway=gateway,
            ownership=ownership or self.world.ownership,
            pauses=self.world.pauses,
            events=events or self.world.events,
            simulator=TypingSimulator(settings=chosen, rng=random.Random(5), sleep=sleep),
            settings=chosen,
            catching_up=catching_up,
        )

    @contextlib.asynccontextmanager
    async def connected(self) -> AsyncIterator[SandboxGateway]:
        """A gateway that connects again whenever its link is lost."""
        gateway = self.network.gateway()
        await gateway.connect(None)
        keeping = asyncio.create_task(_keep_connected(gateway))
        try:
            yield gateway
        finally:
            keeping.cancel()
            await asyncio.wait({keeping})
            await gateway.close()

    @contextlib.asynccontextmanager
    async def delivering(
        self,
        *,
        settings: DeliverySettings | None = None,
        sleep: Sleep = no_time,
        events: LiveEvents | None = None,
        wrap: Callable[[SandboxGateway], Gateway] = lambda gateway: gateway,
        catching_up: CatchesUp | None = None,
    ) -> AsyncIterator[Delivery]:
        """A delivery that runs until the block ends; its failure fails the test."""
        async with self.connected() as gateway:
            delivery = self.delivery(
                wrap(gateway), settings=settings, sleep=sleep, events=events, catching_up=catching_up
            )
            running = asyncio.create_task(delivery.run())
            try:
                yield delivery
            finally:
                failed = running.done()
                running.cancel()
                await asyncio.wait({running})
            if failed:
                running.result()


async def until(condition: Callable[[], Awaitable[bool]], *, what: str, within: float = 20.0) -> None:
    """Return as soon as an awaited condition holds."""
    deadline = time.monotonic() + within
    while not await condition():
        assert time.monotonic() < deadline, f"{what}: not within {within} s"
        await asyncio.sleep(0.02)


async def _keep_connected(gateway: SandboxGateway) -> None:
    state = None
    while True:
        try:
            async for update in gateway.updates():
                state = update.state or state
        except GatewayError:
            await asyncio.sleep(0.02)
        with contextlib.suppress(GatewayError):
            await gateway.connect(state)
