"""A reply to somebody whom Telegram does not let us address waits at the desk with the reason, and not in a loop."""

from collections.abc import AsyncIterator

from nadia.review.models import Resolution
from nadia.telegram.entities import EntityResolver, ResolvedPeer
from nadia.telegram.entity_store import EntityStore
from nadia.telegram.gateway import SentMessage
from nadia.telegram.sandbox.gateway import SandboxGateway
from support.gateway_through import Through
from support.post_office import PostOffice


class Nobody:
    """A directory that knows nobody, and counts the questions."""

    questions = 0

    async def fetch(self, user_id: int) -> int | None:
        self.questions += 1
        return None

    async def peers(self) -> AsyncIterator[ResolvedPeer]:
        self.questions += 1
        return
        yield


async def test_the_reply_is_parked_with_the_reason_until_the_customer_writes_again(office: PostOffice) -> None:
    directory = Nobody()
    resolver = EntityResolver(account_id="sandbox", store=EntityStore(database=office.world.database))
    resolver.attach(directory)

    class Addressing(Through):
        async def send(self, *, chat_id: int, text: str, random_id: int) -> SentMessage:
            await resolver.ensure_entity_resolved(chat_id)
            return await self.real.send(chat_id=chat_id, text=text, random_id=random_id)

        async def set_typing(self, *, chat_id: int, active: bool = True) -> None:
            if await resolver._resolve_entity_for_typing(chat_id):
                await self.real.set_typing(chat_id=chat_id, active=active)

    def addressing(real: SandboxGateway) -> Addressing:
        return Addressing(real)

    conversation = await office.customer()
    batch_id = await office.approved(conversation, "one", "two")
    async with office.delivering(wrap=addressing):
        await office.reaches(batch_id, "parked")
        parked = (await office.world.desk.item(batch_id)).item
        assert parked.parked_reason is not None
        assert f"how to reach user {conversation.chat_id}" in parked.parked_reason
        assert "write again" in parked.parked_reason
        assert directory.questions <= 3, "one to show typing, one to send, one for the dialogs"

        await resolver.remember([ResolvedPeer(conversation.chat_id, 5)])  # as the update of their next message does
        await office.world.desk.unpark(batch_id, office.reviewer, resolution=Resolution.SEND_AGAIN)
        await office.reaches(batch_id, "sent")
    assert await office.received(conversation) == ["one", "two"]
