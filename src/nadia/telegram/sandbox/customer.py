"""The customers' side of the sandbox: what the chat page, the demo and tests do in a customer's name."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterable
from types import TracebackType
from typing import Final, Self, TypeVar

from nadia.errors import InvalidInputError, NadiaError, NotFoundError, UnavailableError
from nadia.telegram.gateway import MessageKind
from nadia.telegram.sandbox.address import Address
from nadia.telegram.sandbox.link import Link
from nadia.telegram.sandbox.protocol import PAGE, RequestRefusedError
from nadia.telegram.sandbox.requests import Attachment
from nadia.telegram.sandbox.wire import (
    CHAT_EVENT,
    Accounts,
    ChatEvent,
    ChatMessage,
    Customer,
    Customers,
    Done,
    Messages,
    Wire,
)

Answer = TypeVar("Answer", bound=Wire)
_UNREAD_LIMIT: Final = 10_000
"""Events that may wait for a window that does not read; then it is told to load the chat anew."""
_NOT_THERE: Final = ("PEER_ID_INVALID", "MESSAGE_ID_INVALID")
_SANDBOX_FAILED: Final = ("INTERNAL", "UNAVAILABLE")


class CustomerClient:
    """A connection that acts for customers; each window of the chat page has one.

    All methods raise ``UnavailableError`` when the sandbox cannot be reached, ``InvalidInputError`` for what it
    refuses, ``NotFoundError`` for customers, accounts and messages that are not there. When an answer is lost, what was
    asked may have happened: look at the history.

    Parameters
    ----------
    address : Address
        Where the sandbox listens.
    request_timeout : float
        Longest wait for an answer, in seconds.
    """

    def __init__(self, *, address: Address, request_timeout: float = 10.0) -> None:
        self._address = address
        self._request_timeout = request_timeout
        self._link: Link | None = None
        self._events: deque[object] = deque()
        self._changed = asyncio.Event()
        self._lost = False

    async def connect(self) -> None:
        """Connect; watched customers have to be watched anew."""
        await self.close()
        self._events.clear()
        self._lost = False
        self._link = await Link.open(
            self._address, on_event=self._take, on_lost=self._end, timeout=self._request_timeout
        )

    async def close(self) -> None:
        """Hang up; ``events`` ends."""
        link, self._link = self._link, None
        if link is not None:
            await link.close()

    async def __aenter__(self) -> Self:
        await self.connect()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def accounts(self) -> list[str]:
        """Name the accounts that can be written to."""
        return list((await self._request("customer.accounts", Accounts)).accounts)

    async def create(self, *, name: str, username: str | None = None, is_person: bool = True) -> Customer:
        """Add a customer; one that is no person is a bot, which intake has to leave alone."""
        return await self._request("customer.create", Customer, name=name, username=username, is_person=is_person)

    async def customers(self, *, after: int = 0, limit: int = PAGE) -> list[Customer]:
        """List customers with ids above ``after``, ascending."""
        return list((await self._request("customer.list", Customers, after=after, limit=limit)).customers)

    async def write(
        self,
        *,
        account: str,
        user_id: int,
        text: str,
        kind: MessageKind = MessageKind.TEXT,
        attachment: Attachment | None = None,
        reply_to: int | None = None,
    ) -> ChatMessage:
        """Write to an account: at most ``nadia.constants.TELEGRAM_TEXT_LIMIT`` UTF-16 units.

        Other kinds than text may come without words; the attachment says what is known of the file.
        """
        return await self._request(
            "customer.write",
            ChatMessage,
            account=account,
            user_id=user_id,
            text=text,
            kind=kind.value,
            attachment=None if attachment is None else attachment.model_dump(),
            reply_to=reply_to,
        )

    async def show_typing(self, *, account: str, user_id: int) -> None:
        """Show the desk that the customer writes; good for ``nadia.constants.TYPING_SIGNAL_SECONDS``."""
        await self._request("customer.typing", Done, account=account, user_id=user_id)

    async def edit(self, *, account: str, user_id: int, message_id: int, text: str) -> None:
        """Change the text of one of the customer's own messages."""
        await self._request("customer.edit", Done, account=account, user_id=user_id, message_id=message_id, text=text)

    async def delete(self, *, account: str, user_id: int, message_ids: Iterable[int]) -> None:
        """Delete messages of the chat for both sides."""
        await self._request("customer.delete", Done, account=account, user_id=user_id, message_ids=list(message_ids))

    async def block(self, *, account: str, user_id: int, blocked: bool = True) -> None:
        """Let the account write to the customer no longer, or again."""
        await self._request("customer.block", Done, account=account, user_id=user_id, blocked=blocked)

    async def history(
        self,
        *,
        account: str,
        user_id: int,
        after_id: int | None = None,
        before_id: int | None = None,
        limit: int = PAGE,
    ) -> list[ChatMessage]:
        """Read a page of the chat, ascending by id: the oldest after ``after_id``, without it the newest."""
        page = await self._request(
            "customer.history",
            Messages,
            account=account,
            user_id=user_id,
            after_id=after_id,
            before_id=before_id,
            limit=limit,
        )
        return list(page.messages)

    async def watch(self, user_id: int) -> None:
        """Let ``events`` tell from now on what happens in this customer's chats. Watch first, then load the history."""
        await self._request("customer.watch", Done, user_id=user_id)

    async def events(self) -> AsyncIterator[ChatEvent]:
        """Deliver what happens in the watched chats, also what this connection does itself; for one reader.

        Raises
        ------
        UnavailableError
            When the connection is gone; connect, watch and load the history anew.
        """
        while True:
            while not self._events:
                if self._lost or self._link is None:
                    raise UnavailableError("the connection to the sandbox is closed")
                self._changed.clear()
                await self._changed.wait()
            yield CHAT_EVENT.validate_python(self._events.popleft())

    def _take(self, event: object) -> None:
        if self._lost:
            return
        if len(self._events) >= _UNREAD_LIMIT:
            self._events.clear()
            self._end()
            return
        self._events.append(event)
        self._changed.set()

    def _end(self) -> None:
        self._lost = True
        self._changed.set()

    async def _request(self, method: str, answer: type[Answer], **params: object) -> Answer:
        if self._link is None:
            raise UnavailableError("not connected to the sandbox")
        try:
            return await self._link.request(method, answer, **params)
        except RequestRefusedError as refusal:
            raise translate(refusal) from refusal


def translate(refusal: RequestRefusedError) -> NadiaError:
    """Say a refusal in terms that every edge of NADIA knows."""
    if refusal.code in _NOT_THERE:
        return NotFoundError(refusal.message)
    if refusal.code in _SANDBOX_FAILED:
        return UnavailableError(f"the sandbox failed: {refusal.message}")
    field = refusal.field or "request"
    return InvalidInputError(refusal.message.removeprefix(field).lstrip(": "), field=field)
