"""The gateway to the real Telegram."""

from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any, Final

import structlog
from telethon.tl import TLObject, TLRequest, functions, types

from nadia.constants import TELEGRAM_TEXT_LIMIT
from nadia.errors import ConflictError
from nadia.telegram.entities import EntityResolver, ResolvedPeer
from nadia.telegram.errors import (
    GatewayDisconnectedError,
    HistoryUnavailableError,
    SendRefusedError,
    SendUncertainError,
)
from nadia.telegram.gateway import Dialog, IncomingMessage, SentMessage, State, Update
from nadia.telegram.limiter import RequestLimiter
from nadia.telegram.session_material import ApiCredentials, DataCentre, SessionMaterial
from nadia.telegram.telethon.client import new_client
from nadia.telegram.telethon.link import Link
from nadia.telegram.telethon.people import People
from nadia.telegram.telethon.reading import PAGE, Ask, read_dialogs, window_of
from nadia.telegram.telethon.session import HeldSession, read_state
from nadia.telegram.telethon.translation import message_of
from nadia.telegram.telethon.updates import Feed, ReadingClient

log = structlog.get_logger(__name__)

_STALE_PEER: Final = ("PEER_ID_INVALID", "USER_ID_INVALID")
"""What Telegram says to an access hash that is not, or no longer, this account's."""


class TelethonGateway:
    """One account of Telegram's; see ``nadia.telegram.gateway.Gateway`` for what it promises.

    It is the resolver's directory as well, while it is connected.

    Parameters
    ----------
    account_id : str
        Name of the account in NADIA.
    session : SessionMaterial
        Who it is at Telegram.
    api : ApiCredentials
        Which application asks.
    data_centre : DataCentre, optional
        Where to connect to; where the account was logged in when absent.
    peers : EntityResolver
        Knows how to address people, whatever connections come and go.
    limiter : RequestLimiter
        Gives the requests for histories and lists of chats their turns; of the account, as ``peers`` is.
    request_timeout : float
        Longest wait for an answer, in seconds.
    """

    network: Final = "telegram"

    def __init__(
        self,
        *,
        account_id: str,
        session: SessionMaterial,
        api: ApiCredentials,
        data_centre: DataCentre | None,
        peers: EntityResolver,
        limiter: RequestLimiter,
        request_timeout: float = 10.0,
    ) -> None:
        self.account_id = account_id
        self._material = session
        self._api = api
        self._data_centre = data_centre
        self._peers = peers
        self._limiter = limiter
        self._request_timeout = request_timeout
        self._link: Link | None = None

    async def connect(self, state: State | None) -> None:
        """Connect and go on reading after ``state``; without one, from now on, and say that the rest is lost."""
        await self.close()
        link = self._new_link(state)
        try:
            await link.open()
            # Tells Telegram that updates are wanted, and us whether the session is valid.
            await link.ask(functions.users.GetUsersRequest([types.InputUserSelf()]))
        except BaseException:
            await link.close()
            raise
        self._link = link
        self._peers.attach(self)
        log.info("telegram.gateway.connected", account=self.account_id)

    async def close(self) -> None:
        """Give up the link; ``updates`` ends."""
        link, self._link = self._link, None
        if link is not None:
            await link.close()

    async def updates(self) -> AsyncIterator[Update]:
        """Deliver what happens, in sequence; see the interface."""
        link = self._connected()
        if link.is_read:
            raise ConflictError(
                "the updates of this connection were read already", hint="connect again with the stored state"
            )
        link.is_read = True
        async for update in link.updates():
            yield update

    async def send(self, *, chat_id: int, text: str, random_id: int) -> SentMessage:
        """Send one message; see the interface."""
        link = self._connected()
        _refuse_what_cannot_be_sent(text)
        answer = await self._ask_about(
            partial(link.ask, sending=True),
            chat_id,
            lambda peer: functions.messages.SendMessageRequest(
                peer=peer,
                message=text,
                random_id=random_id,
                no_webpage=True,  # a preview would show what nobody approved
            ),
        )
        return _sent_message(answer, random_id)

    async def set_typing(self, *, chat_id: int, active: bool = True) -> None:
        """Show, or stop showing, that the desk is writing; nothing where the customer cannot be addressed."""
        link = self._connected()
        peer = await self._peers._resolve_entity_for_typing(chat_id)  # the baseline names it so
        if peer is None:
            return
        action = types.SendMessageTypingAction() if active else types.SendMessageCancelAction()
        await link.ask(functions.messages.SetTypingRequest(_input(peer), action))

    async def history(
        self, *, chat_id: int, after_id: int | None = None, before_id: int | None = None, limit: int = PAGE
    ) -> list[IncomingMessage]:
        """Read a page of a chat, ascending by id; see the interface."""
        link = self._not_as_bot()
        while (window := window_of(after_id=after_id, before_id=before_id, limit=limit)) is not None:
            page = await self._ask_about(partial(self._ask_in_turn, link), chat_id, window)
            link.people.meet(page.users)
            messages = [message for raw in page.messages if (message := message_of(raw, link.people.find))]
            if messages or not page.messages:
                return sorted(messages, key=lambda message: message.message_id)
            # Nothing but notices of calls and the like: an empty page would pass for the end.
            if after_id is None:
                before_id = min(raw.id for raw in page.messages)
            else:
                after_id = max(raw.id for raw in page.messages)
        return []

    async def dialogs(self) -> AsyncIterator[Dialog]:
        """Walk through the chats with people, the one with the newest message first."""
        link = self._not_as_bot()
        async for page in read_dialogs(partial(self._ask_patiently, link), link.people):
            await self._peers.learn(link.people.resolved(dialog.chat_id for dialog in page))
            for dialog in page:
                yield dialog

    async def fetch(self, user_id: int) -> int | None:
        """Ask Telegram for a person's access hash; see `nadia.telegram.entities.PeerDirectory`."""
        link = self._connected()
        try:
            # For those whom an account has met, Telegram takes 0 in the place of the hash.
            users = await link.ask(functions.users.GetUsersRequest([types.InputUser(user_id, 0)]))
        except SendRefusedError as refusal:
            if refusal.reason in _STALE_PEER:
                return None
            raise
        link.people.meet(users)
        return next((peer.access_hash for peer in link.people.resolved([user_id])), None)

    async def peers(self) -> AsyncIterator[ResolvedPeer]:
        """Walk through the people whom this account has a chat with; see `nadia.telegram.entities.PeerDirectory`."""
        link = self._not_as_bot()
        async for page in read_dialogs(partial(self._ask_patiently, link), link.people):
            for peer in link.people.resolved(dialog.chat_id for dialog in page):
                yield peer

    def _connected(self) -> Link:
        if self._link is None:
            raise GatewayDisconnectedError(f"account {self.account_id} is not connected")
        self._link.check()
        return self._link

    def _not_as_bot(self) -> Link:
        link = self._connected()
        if self._material.is_bot:
            raise HistoryUnavailableError
        return link

    async def _ask_in_turn(self, link: Link, request: TLRequest) -> Any:
        """Make a request that reads."""
        async with self._limiter.turn():
            return await link.ask(request)

    async def _ask_patiently(self, link: Link, request: TLRequest) -> Any:
        """Make a request that reads, and again after a flood wait: the list of chats would have to be begun anew."""
        return await self._limiter.call(lambda: self._ask_in_turn(link, request))

    async def _ask_about(self, ask: Ask, chat_id: int, request: Callable[[types.InputPeerUser], TLRequest]) -> Any:
        """Make a request that names a person; once more with a new access hash if Telegram refuses the old one."""
        peer = await self._peers.ensure_entity_resolved(chat_id)
        try:
            return await ask(request(_input(peer)))
        except SendRefusedError as refusal:
            if refusal.reason not in _STALE_PEER:
                raise
        await self._peers.forget(peer)
        return await ask(request(_input(await self._peers.ensure_entity_resolved(chat_id))))

    def _new_link(self, state: State | None) -> Link:
        user_id = self._material.user_id
        position = read_state(state, user_id=user_id)
        client = new_client(
            ReadingClient,
            session=HeldSession(material=self._material, data_centre=self._data_centre, updates_state=position),
            api=self._api,
            request_timeout=self._request_timeout,
            public_key=self._data_centre.public_key if self._data_centre else None,
        )
        feed, people = Feed(), People(own_id=user_id)
        client.read_into(
            feed, own_id=user_id, people=people, peers=self._peers, lost=None if position else "no stored position"
        )
        return Link(client=client, feed=feed, people=people, timeout=self._request_timeout)


def _input(peer: ResolvedPeer) -> types.InputPeerUser:
    return types.InputPeerUser(peer.user_id, peer.access_hash)


def _refuse_what_cannot_be_sent(text: str) -> None:
    """Refuse what Telegram would, but for which Telethon would drop the connection or not make a request at all."""
    try:
        units = len(text.encode("utf-16-le")) // 2
    except UnicodeEncodeError as exc:
        raise SendRefusedError("MESSAGE_NOT_UNICODE", "the text has half a character in it") from exc
    if units > TELEGRAM_TEXT_LIMIT:
        raise SendRefusedError("MESSAGE_TOO_LONG", f"the text has {units} of at most {TELEGRAM_TEXT_LIMIT} characters")


def _sent_message(answer: TLObject, random_id: int) -> SentMessage:
    """Return what Telegram made of a message; its answer has a short form and a long one."""
    match answer:
        case types.UpdateShortSentMessage(id=message_id, date=date):
            return SentMessage(message_id=message_id, sent_at=date)
        case types.Updates(updates=updates, date=date) | types.UpdatesCombined(updates=updates, date=date):
            for update in updates:
                if isinstance(update, types.UpdateMessageID) and update.random_id == random_id:
                    return SentMessage(message_id=update.id, sent_at=date)
    raise SendUncertainError(
        "Telegram's answer to a message names no number for it", hint="send it again with the same random_id"
    )
