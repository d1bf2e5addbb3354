"""Customers who follow the script: they write to the sandbox as a browser's chat page does."""

import asyncio
import contextlib
from collections.abc import Sequence

from nadia.cli.demo.script import Part
from nadia.errors import UnavailableError
from nadia.telegram.sandbox.address import Address
from nadia.telegram.sandbox.customer import CustomerClient
from nadia.telegram.sandbox.wire import ChatMessage

_LONGEST_WAIT_SECONDS = 30.0


class ScriptedCustomer:
    """One customer.

    Parameters
    ----------
    part : Part
        What to write, and when.
    address : Address
        Of the sandbox.
    account : str
        Whom to write to.
    """

    def __init__(self, *, part: Part, address: Address, account: str) -> None:
        self._part = part
        self._client = CustomerClient(address=address)
        self._account = account
        self.user_id = 0
        self.written = 0
        self.replies = 0
        self._answered = asyncio.Event()

    async def play(self) -> None:
        """Write everything, with the breaks of the script."""
        async with self._client:
            self.user_id = (await self._client.create(name=self._part.name)).user_id
            await self._client.watch(self.user_id)
            listening = asyncio.create_task(self._listen())
            try:
                await asyncio.sleep(self._part.starts_after_seconds)
                for burst in self._part.bursts:
                    self._answered.clear()
                    for text in burst.texts:
                        await self._client.show_typing(account=self._account, user_id=self.user_id)
                        await self._client.write(account=self._account, user_id=self.user_id, text=text)
                        self.written += 1
                        await asyncio.sleep(burst.gap_seconds)
                    if burst.waits_for_reply:
                        # A rejected draft is never answered, so nobody waits for ever.
                        with contextlib.suppress(TimeoutError):
                            await asyncio.wait_for(self._answered.wait(), _LONGEST_WAIT_SECONDS / 10)
            finally:
                listening.cancel()
                await asyncio.gather(listening, return_exceptions=True)

    async def _listen(self) -> None:
        with contextlib.suppress(UnavailableError):
            async for event in self._client.events():
                message = getattr(event, "message", None)
                if isinstance(message, ChatMessage) and message.outgoing:
                    self.replies += 1
                    self._answered.set()


async def chats(*, address: Address, account: str, user_ids: Sequence[int]) -> dict[int, list[ChatMessage]]:
    """Return every customer's whole chat, as their phone shows it."""
    found: dict[int, list[ChatMessage]] = {}
    async with CustomerClient(address=address) as client:
        for user_id in user_ids:
            chat: list[ChatMessage] = []
            while page := await client.history(
                account=account, user_id=user_id, after_id=chat[-1].message_id if chat else 0
            ):
                chat.extend(page)
            found[user_id] = chat
    return found
