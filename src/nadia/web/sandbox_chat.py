"""What the sandbox page does in customers' names, over one connection for all and one for each open window."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Final, TypeVar

from nadia.errors import NotFoundError, UnavailableError
from nadia.telegram.errors import GatewayDisconnectedError
from nadia.telegram.gateway import MessageKind
from nadia.telegram.sandbox.customer import CustomerClient
from nadia.telegram.sandbox.link import AnswerLostError
from nadia.telegram.sandbox.protocol import PAGE
from nadia.telegram.sandbox.requests import Attachment
from nadia.telegram.sandbox.wire import ChatEvent, ChatMessage, Customer, Written
from nadia.web.sse import ServerEvent

Answer = TypeVar("Answer")

_MOST_CUSTOMERS: Final = 1_000
_RECONNECT_SECONDS: Final = 1.0


class SandboxChat:
    """The customers' side of one Telegram account of the sandbox.

    All methods raise ``UnavailableError`` while the sandbox does not answer, ``InvalidInputError`` for what it refuses
    and ``NotFoundError`` for customers and messages that are not there.

    Parameters
    ----------
    client : callable
        Makes a client of the sandbox that is not connected yet.
    account : str
        The account that customers write to.
    """

    def __init__(self, *, client: Callable[[], CustomerClient], account: str) -> None:
        self._make = client
        self._account = account
        self._client: CustomerClient | None = None
        self._connecting = asyncio.Lock()

    async def close(self) -> None:
        """Hang up."""
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    async def customers(self) -> list[Customer]:
        """Return everybody, oldest first, a thousand at most."""
        found: list[Customer] = []
        while len(found) < _MOST_CUSTOMERS:
            some = await self._ask(_Page(after=found[-1].user_id if found else 0))
            found += some
            if len(some) < PAGE:
                break
        return found

    async def require(self, user_id: int) -> None:
        """Check that there is such a customer.

        Raises
        ------
        NotFoundError
            If not.
        """
        found = await self._ask(lambda client: client.customers(after=user_id - 1, limit=1))
        if not any(one.user_id == user_id for one in found):
            raise NotFoundError(f"the sandbox has no customer {user_id}")

    async def create(self, *, name: str, username: str | None) -> Customer:
        """Add a customer."""
        return await self._ask(lambda client: client.create(name=name, username=username))

    async def history(self, user_id: int, *, before: int | None = None) -> list[ChatMessage]:
        """Return a page of the chat, oldest first."""
        await self.require(user_id)
        return await self._ask(lambda client: client.history(account=self._account, user_id=user_id, before_id=before))

    async def write(
        self, user_id: int, text: str, *, kind: MessageKind = MessageKind.TEXT, attachment: Attachment | None = None
    ) -> ChatMessage:
        """Write to the desk."""
        return await self._ask(
            lambda client: client.write(
                account=self._account, user_id=user_id, text=text, kind=kind, attachment=attachment
            )
        )

    async def edit(self, user_id: int, message_id: int, text: str) -> None:
        """Change a message of the customer's."""
        await self._ask(
            lambda client: client.edit(account=self._account, user_id=user_id, message_id=message_id, text=text)
        )

    async def delete(self, user_id: int, message_id: int) -> None:
        """Delete a message for both sides."""
        await self._ask(lambda client: client.delete(account=self._account, user_id=user_id, message_ids=[message_id]))

    async def show_typing(self, user_id: int) -> None:
        """Show the desk that the customer writes."""
        await self._ask(lambda client: client.show_typing(account=self._account, user_id=user_id))

    async def follow(self, user_id: int) -> AsyncIterator[ServerEvent]:
        """Yield what happens in a customer's chat.

        ``ready`` says that nothing from now on is missed: the page then reads the history. ``away`` says that the
        sandbox is gone; a ``ready`` follows when it is back.
        """
        while True:
            try:
                async with self._make() as client:
                    await client.watch(user_id)
                    yield ServerEvent("ready", {})
                    async for event in client.events():
                        if _account_of(event) == self._account:
                            yield _told(event)
            except UnavailableError as exc:
                yield ServerEvent("away", {"message": exc.message})
                await asyncio.sleep(_RECONNECT_SECONDS)

    async def _ask(self, request: Callable[[CustomerClient], Awaitable[Answer]]) -> Answer:
        """Ask over the shared connection, and once more over a new one if it turns out to be gone."""
        client = await self._connected()
        try:
            return await request(client)
        except AnswerLostError:
            await self._drop(client)
            raise  # it may have had its effect
        except GatewayDisconnectedError:
            await self._drop(client)
        return await request(await self._connected())

    async def _connected(self) -> CustomerClient:
        async with self._connecting:
            if self._client is None:
                client = self._make()
                await client.connect()
                self._client = client
            return self._client

    async def _drop(self, client: CustomerClient) -> None:
        if self._client is client:
            self._client = None
        await client.close()


@dataclass(frozen=True, slots=True)
class _Page:
    after: int

    def __call__(self, client: CustomerClient) -> Awaitable[list[Customer]]:
        return client.customers(after=self.after, limit=PAGE)


def _account_of(event: ChatEvent) -> str:
    return event.message.account if isinstance(event, Written) else event.account


def _told(event: ChatEvent) -> ServerEvent:
    data = event.model_dump(mode="json")
    return ServerEvent(str(data.pop("type")), data)
