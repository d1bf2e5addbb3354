"""The gateway to the sandbox."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final, TypeVar

import structlog

from nadia.errors import ConflictError
from nadia.telegram.errors import (
    AccountRevokedError,
    FloodWaitError,
    GatewayDisconnectedError,
    GatewayError,
    PeerFloodError,
    RandomIdDuplicateError,
    SendRefusedError,
    SendUncertainError,
)
from nadia.telegram.gateway import (
    Dialog,
    Event,
    IncomingMessage,
    MessageEdited,
    MessagesDeleted,
    Peer,
    SentMessage,
    State,
    TypingStarted,
    Update,
    UpdatesLost,
)
from nadia.telegram.limiter import RequestLimiter
from nadia.telegram.sandbox.address import Address
from nadia.telegram.sandbox.inbox import Inbox
from nadia.telegram.sandbox.link import AnswerLostError, Link
from nadia.telegram.sandbox.protocol import PAGE, RequestRefusedError
from nadia.telegram.sandbox.wire import (
    Accepted,
    ChatMessage,
    Customer,
    CustomerTyping,
    Deleted,
    Dialogs,
    Difference,
    Done,
    Edited,
    Messages,
    News,
    SignedIn,
    Wire,
    Written,
)

log = structlog.get_logger(__name__)

Answer = TypeVar("Answer", bound=Wire)
_SESSION_ENDED: Final = ("SESSION_", "AUTH_KEY_", "USER_DEACTIVATED")
"""How Telegram's codes begin that mean: this session is no longer valid."""
_SANDBOX_FAILED: Final = ("INTERNAL", "UNAVAILABLE")


@dataclass(slots=True)
class _Session:
    link: Link
    inbox: Inbox
    pts: int
    being_read: bool = False


class SandboxGateway:
    """One account of the sandbox; see ``nadia.telegram.gateway.Gateway`` for what it promises.

    Parameters
    ----------
    account_id : str
        The account.
    address : Address
        Where the sandbox listens.
    limiter : RequestLimiter, optional
        Gives the requests for histories and lists of chats their turns; one of its own when absent.
    request_timeout : float
        Longest wait for an answer, in seconds.
    """

    network: Final = "sandbox"

    def __init__(
        self,
        *,
        account_id: str,
        address: Address,
        limiter: RequestLimiter | None = None,
        request_timeout: float = 10.0,
    ) -> None:
        self.account_id = account_id
        self._address = address
        self._limiter = limiter or RequestLimiter(account_id=account_id)
        self._request_timeout = request_timeout
        self._session: _Session | None = None

    async def connect(self, state: State | None) -> None:
        """Connect and go on reading after ``state``; without one, from the account's first update on."""
        await self.close()
        pts = _read_state(state)
        inbox = Inbox()
        link = await Link.open(self._address, on_event=inbox.put, on_lost=inbox.end, timeout=self._request_timeout)
        session = _Session(link, inbox, pts)
        try:
            signed_in = await self._request(session, "account.login", SignedIn, account=self.account_id, pts=pts)
        except BaseException:
            await link.close()
            raise
        inbox.put(News(pts=signed_in.pts))
        self._session = session
        log.info("telegram.gateway.connected", account=self.account_id, behind=signed_in.pts - pts)

    async def close(self) -> None:
        """Give up the link; ``updates`` ends."""
        session, self._session = self._session, None
        if session is not None:
            await session.link.close()

    async def updates(self) -> AsyncIterator[Update]:
        """Deliver what happens, in sequence; see the interface."""
        session = self._connected()
        if session.being_read:
            raise ConflictError(
                "the updates of this connection were read already", hint="connect again with the stored state"
            )
        session.being_read = True
        while True:
            entry = await session.inbox.next()
            target = entry.pts if isinstance(entry, News) else entry.after
            while session.pts < target:
                page = await self._request(session, "account.difference", Difference, after=session.pts, up_to=target)
                if page.forgotten_up_to is not None:
                    session.pts = page.forgotten_up_to
                    yield Update(UpdatesLost("the sandbox has forgotten them"), {"pts": session.pts})
                    continue
                if not page.updates:
                    raise GatewayDisconnectedError(f"the sandbox has a gap after update {session.pts}")
                for update in page.updates:
                    session.pts = update.pts
                    yield Update(_to_event(update.event), {"pts": update.pts})
            if isinstance(entry, CustomerTyping):
                yield Update(TypingStarted(chat_id=entry.chat_id, user_id=entry.chat_id), None)

    async def send(self, *, chat_id: int, text: str, random_id: int) -> SentMessage:
        """Send one message; see the interface."""
        try:
            accepted = await self._request(
                self._connected(), "account.send", Accepted, chat_id=chat_id, text=text, random_id=random_id
            )
        except AnswerLostError as exc:
            raise SendUncertainError(
                f"no answer came to a message for chat {chat_id}", hint="send it again with the same random_id"
            ) from exc
        return SentMessage(message_id=accepted.message_id, sent_at=accepted.sent_at)

    async def set_typing(self, *, chat_id: int, active: bool = True) -> None:
        """Show, or stop showing, that the desk is writing."""
        await self._request(self._connected(), "account.typing", Done, chat_id=chat_id, active=active)

    async def history(
        self, *, chat_id: int, after_id: int | None = None, before_id: int | None = None, limit: int = PAGE
    ) -> list[IncomingMessage]:
        """Read a page of a chat, ascending by id; see the interface."""
        session = self._connected()
        async with self._limiter.turn():
            page = await self._request(
                session,
                "account.history",
                Messages,
                chat_id=chat_id,
                after_id=after_id,
                before_id=before_id,
                limit=limit,
            )
        return [_to_message(message) for message in page.messages]

    async def dialogs(self) -> AsyncIterator[Dialog]:
        """Walk through all chats, the one with the newest message first."""
        session, below = self._connected(), None
        while True:
            async with self._limiter.turn():
                page = await self._request(session, "account.dialogs", Dialogs, below=below)
            for entry in page.dialogs:
                yield Dialog(
                    chat_id=entry.peer.user_id,
                    peer=_to_peer(entry.peer),
                    top_message_id=entry.top_message_id,
                    top_sent_at=entry.top_sent_at,
                )
                below = entry.top_message_id
            if len(page.dialogs) < PAGE:
                return

    def _connected(self) -> _Session:
        if self._session is None:
            raise GatewayDisconnectedError(f"account {self.account_id} is not connected")
        return self._session

    async def _request(self, session: _Session, method: str, answer: type[Answer], **params: object) -> Answer:
        session.inbox.check()
        try:
            return await session.link.request(method, answer, **params)
        except RequestRefusedError as refusal:
            raise _translate(refusal) from refusal


def _translate(refusal: RequestRefusedError) -> GatewayError:
    if refusal.code == "FLOOD_WAIT":
        return FloodWaitError(refusal.seconds or 1)
    if refusal.code == "PEER_FLOOD":
        return PeerFloodError()
    if refusal.code == "RANDOM_ID_DUPLICATE":
        return RandomIdDuplicateError("this message was accepted before", hint="confirm it from the history")
    if refusal.code == "PERSISTENT_TIMESTAMP_INVALID":
        return GatewayError(
            f"the sandbox does not know the stored state: {refusal.message}",
            hint="its database is another one than before: put that back, or start with a fresh home",
        )
    if refusal.code.startswith(_SESSION_ENDED):
        return AccountRevokedError(refusal.code)
    if refusal.code in _SANDBOX_FAILED:
        return AnswerLostError(f"the sandbox failed: {refusal.message}")
    return SendRefusedError(refusal.code, refusal.message)


def _read_state(state: State | None) -> int:
    if state is None:
        return 0
    pts = state.get("pts")
    if not isinstance(pts, int) or isinstance(pts, bool) or pts < 0:
        raise GatewayError("the stored state is not one of the sandbox's", hint="it has to be like {'pts': 17}")
    return pts


def _to_event(event: Written | Edited | Deleted) -> Event:
    match event:
        case Written(message=message):
            return _to_message(message)
        case Edited(chat_id=chat_id, message_id=message_id, text=text, edited_at=edited_at):
            return MessageEdited(chat_id=chat_id, message_id=message_id, text=text, edited_at=edited_at)
        case Deleted(message_ids=message_ids, chat_id=chat_id):
            return MessagesDeleted(message_ids=message_ids, chat_id=chat_id)


def _to_message(message: ChatMessage) -> IncomingMessage:
    return IncomingMessage(
        chat_id=message.peer.user_id,
        message_id=message.message_id,
        peer=_to_peer(message.peer),
        text=message.text,
        sent_at=message.sent_at,
        kind=message.kind,
        media=message.media,
        reply_to=message.reply_to,
        outgoing=message.outgoing,
        edited_at=message.edited_at,
    )


def _to_peer(customer: Customer) -> Peer:
    return Peer(user_id=customer.user_id, name=customer.name, username=customer.username, is_person=customer.is_person)
