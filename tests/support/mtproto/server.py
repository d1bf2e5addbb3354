"""A Telegram of one data centre on loopback, for real clients.

::

    async with TelegramTestServer() as telegram:
        desk = telegram.add_account("Desk", phone="+15550001")      # or add_bot("Desk bot", token="1:x")
        ana = telegram.add_user("Ana")                               # a customer
        key = telegram.new_session(desk)                             # an auth key that is logged in already
        message_id = telegram.write(desk, ana, "hello")              # arrives at every connected client of desk
        telegram.texts_of(desk, ana)                                 # the chat as Ana sees it

A client is pointed at ``telegram.host``, ``.port``, ``.dc_id`` and ``.public_key`` (PEM, for
``telethon.crypto.rsa.add_key``), with ``.api_id`` and ``.api_hash``. Everything but starting, stopping and refusing is
synchronous: what it changes is in the clients' sockets when it returns, and seen by the next request.

What goes wrong is in ``telegram.faults`` (see `faults.Fault`): ``telegram.faults.meet(SendMessageRequest,
Fault.answer_lost())``, ``telegram.faults.limit(GetHistoryRequest, calls=10, seconds=30)``. What was asked is in
``telegram.requests``. Dials of the protocol are on ``telegram.world``: `short_updates`, `full_answers`,
`difference_limit`, `duplicate_code`, `now`.

Where it differs from Telegram: texts are kept to the letter (Telegram trims them), nothing expires by itself but QR
codes, channels can be told live only, and nothing is sent again for want of an acknowledgement.
"""

import asyncio
import base64
import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from types import TracebackType
from typing import Any, Self

from telethon.crypto import AuthKey
from telethon.tl import functions, types

from support.leaks import handed_out
from support.mtproto import messages, peers, updates
from support.mtproto.config import config_view
from support.mtproto.connection import Connection
from support.mtproto.faults import Faults
from support.mtproto.handshake import public_key_pem
from support.mtproto.login import Login, digits
from support.mtproto.rpc import Api, Call, Seen
from support.mtproto.views import message_view, peer_of, people_in, push_of
from support.mtproto.world import Account, Authorization, Channel, Chat, Group, Message, User, World

API_ID, API_HASH = 12345, "0123456789abcdef0123456789abcdef"


class TelegramTestServer:
    """The server and all that tests do to it; see the module for an example."""

    host = "127.0.0.1"
    api_id = API_ID
    api_hash = API_HASH

    def __init__(self, *, dc_id: int = 2) -> None:
        self.dc_id = dc_id
        self.port = 0
        self.public_key = public_key_pem()
        self.world = World()
        self.faults = Faults()
        self.login = Login(world=self.world, api_id=self.api_id, api_hash=self.api_hash)
        everybody, logged_in = self.login.methods()
        self._api = Api(
            open={functions.help.GetConfigRequest: self._config, functions.help.GetNearestDcRequest: self._nearest}
            | everybody,
            accounts={functions.account.UpdateStatusRequest: lambda *_: True}
            | logged_in
            | peers.ACCOUNTS
            | updates.ACCOUNTS
            | messages.ACCOUNTS,
            people=peers.PEOPLE | messages.PEOPLE,
            world=self.world,
            faults=self.faults,
            api_id=self.api_id,
        )
        self._server: asyncio.Server | None = None
        self._connections: dict[Connection, asyncio.Task[None]] = {}

    # running

    async def __aenter__(self) -> Self:
        await self.accept()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.refuse()
        if self.world.mistakes and exc is None:
            raise ExceptionGroup("the test server has made mistakes", self.world.mistakes)

    async def accept(self) -> None:
        """Take connections, on the same port as before."""
        self._server = await asyncio.start_server(self._connected, self.host, self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def refuse(self) -> None:
        """Break every connection and take no more, as if the machine were gone."""
        if self._server is not None:
            self._server.close()
            self._server = None
        serving = list(self._connections.values())
        self.cut()
        await asyncio.gather(*serving)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = Connection(reader, writer, world=self.world, api=self._api)
        task = asyncio.current_task()
        assert task is not None
        self._connections[connection] = task
        try:
            await connection.serve()
        finally:
            del self._connections[connection]

    # who there is

    def add_account(
        self, name: str, *, phone: str, password: str | None = None, username: str | None = None
    ) -> Account:
        """A person who can log in, with a second factor if there is a password."""
        handed_out(digits(phone))
        handed_out(password or "")
        user = self.world.add_user(name, phone=digits(phone), username=username)
        return self.world.add_account(user, password=password)

    def add_bot(self, name: str, *, token: str) -> Account:
        """A bot that can log in."""
        handed_out(token)
        return self.world.add_account(self.world.add_user(name, bot=True, username=f"{name}_bot"), token=token)

    def add_user(self, name: str, **attributes: Any) -> User:
        """A customer; `attributes` are those of `world.User`, such as ``username`` or ``bot=True``."""
        return self.world.add_user(name, **attributes)

    def add_group(self, title: str, *members: User | Account) -> Group:
        """A small group."""
        group = Group(len(self.world.groups) + 4_000_000, title, [_user(member) for member in members])
        self.world.groups[group.chat_id] = group
        return group

    def add_channel(self, title: str) -> Channel:
        """A channel that every account follows."""
        channel = Channel(len(self.world.channels) + 1_600_000_000, title)
        self.world.channels[channel.channel_id] = channel
        return channel

    @property
    def telegram(self) -> User:
        """The service account 777000."""
        return self.world.telegram

    def user(self, user_id: int) -> User:
        """Somebody by id."""
        return self.world.users[user_id]

    # sessions

    def new_session(self, account: Account) -> bytes:
        """Log in without a client; what it returns is the auth key (256 bytes) of a session."""
        raw = b"\x01" + secrets.token_bytes(255)
        handed_out(raw)
        authorization = Authorization(AuthKey(raw), account=account)
        self.world.authorizations[authorization.key.key_id] = authorization
        return raw

    def sessions_of(self, account: Account) -> int:
        """How many auth keys are logged in as this account."""
        return sum(1 for _ in self.world.authorizations_of(account))

    def connections_of(self, account: Account) -> int:
        """How many connections of this account are told of updates."""
        return sum(len(authorization.links) for authorization in self.world.authorizations_of(account))

    def revoke(self, account: Account, *, code: int = 401, error: str = "SESSION_REVOKED") -> None:
        """Take every session of an account away; connected clients are told to ask, and then told this error."""
        for authorization in self.world.authorizations_of(account):
            authorization.refusal = (code, error)
            for link in list(authorization.links):
                link.push(types.UpdatesTooLong())

    def restore(self, account: Account) -> None:
        """Give the sessions back."""
        for authorization in self.world.authorizations_of(account):
            authorization.refusal = None

    def forget_key(self, key: bytes) -> None:
        """Know nothing of an auth key any more; its connections break."""
        authorization = self.world.authorizations.pop(AuthKey(key).key_id)
        authorization.cut()

    def cut(self, account: Account | None = None) -> None:
        """Break the connections of one account, or all there are."""
        if account is None:
            for connection in list(self._connections):
                connection.cut()
            return
        for authorization in self.world.authorizations_of(account):
            authorization.cut()

    # logging in

    def code_for(self, phone: str) -> str:
        """The code that was sent to a phone."""
        return self.login.codes[digits(phone)].code

    def expire_code(self, phone: str) -> None:
        """Let a code be too old."""
        self.login.codes[digits(phone)].expired = True

    def scan(self, url: str, account: Account) -> None:
        """
        Scan a QR code (``tg://login?token=…``) with the phone of an account.

        Raises
        ------
        RpcFailure
            ``AUTH_TOKEN_EXPIRED``, ``AUTH_TOKEN_INVALID`` or ``AUTH_TOKEN_ALREADY_ACCEPTED``.
        """
        text = url.partition("token=")[2]
        self.login.accept(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)), account)

    # what customers do

    def write(
        self,
        account: Account,
        chat: User | Group,
        text: str,
        *,
        sender: User | None = None,
        media: Any = None,
        reply_to: int | None = None,
        sent_at: datetime | None = None,
        entities: Sequence[Any] | None = None,
        action: Any = None,
    ) -> int:
        """
        A message to an account: from a customer, or from `sender` in a group.

        Parameters
        ----------
        media, entities, action
            TL objects; see `media`. With an action it is a service message.
        sent_at : datetime, optional
            When it was written, if not now. Ids and the update log stay in the order of the calls.

        Returns
        -------
        int
            Its id.
        """
        author = sender or (chat if isinstance(chat, User) else chat.members[-1])
        return self._post(account, chat, author, text, False, media, reply_to, sent_at, entities, action)

    def post_from_phone(
        self,
        account: Account,
        chat: User | Group,
        text: str,
        *,
        media: Any = None,
        reply_to: int | None = None,
        sent_at: datetime | None = None,
    ) -> int:
        """A message that the account's owner writes with another client."""
        return self._post(account, chat, account.user, text, True, media, reply_to, sent_at, None, None)

    def _post(
        self,
        account: Account,
        chat: User | Group,
        author: User,
        text: str,
        out: bool,
        media: Any,
        reply_to: int | None,
        sent_at: datetime | None,
        entities: Sequence[Any] | None,
        action: Any,
    ) -> int:
        message = Message(
            message_id=self.world.next_message_id(account),
            chat=chat,
            sender=author,
            text=text,
            sent_at=(sent_at or self.world.now()).replace(microsecond=0),
            out=out,
            media=media,
            reply_to=reply_to,
            entities=list(entities) if entities else None,
            action=action,
        )
        entry = self.world.store(account, message)
        self.world.tell(account, push_of(self.world, account, entry))
        return message.message_id

    def post_in_channel(self, channel: Channel, text: str) -> int:
        """A post in a channel, told to every account."""
        channel.pts += 1
        message = Message(
            len(channel.messages) + 1, channel, self.telegram, text, self.world.now().replace(microsecond=0)
        )
        channel.messages.append(message)
        for account in self.world.accounts:
            update = types.UpdateNewChannelMessage(message_view(account, message), channel.pts, 1)
            self._push(account, update, [message])
        return message.message_id

    def edit(self, account: Account, message_id: int, text: str, *, media: Any = None) -> None:
        """Give a message a new text, and something else to carry, if anything."""
        message = account.messages[message_id]
        message.text, message.media = text, media or message.media
        self._edited(account, message, hidden=False)

    def react(self, account: Account, message_id: int, emoji: str = "👍") -> None:
        """Hang a reaction on a message: an edit that changes no text (core.telegram.org/api/reactions)."""
        message = account.messages[message_id]
        reaction = types.ReactionCount(reaction=types.ReactionEmoji(emoji), count=1)
        message.reactions = types.MessageReactions(results=[reaction])
        self._edited(account, message, hidden=True)

    def _edited(self, account: Account, message: Message, *, hidden: bool) -> None:
        message.edited_at = self.world.now().replace(microsecond=0)
        message.edit_hidden = hidden
        entry = account.append(edited_message=message.message_id)
        self.world.tell(account, push_of(self.world, account, entry))

    def delete(self, account: Account, message_ids: Sequence[int]) -> None:
        """Delete messages for both sides; the update names no chat (…/constructor/updateDeleteMessages)."""
        ids = [message_id for message_id in message_ids if account.messages.pop(message_id, None) is not None]
        entry = account.append(
            count=len(ids), update=lambda pts, count: types.UpdateDeleteMessages(ids, pts=pts, pts_count=count)
        )
        self.world.tell(account, push_of(self.world, account, entry))

    def type(self, account: Account, user: User, *, active: bool = True) -> None:
        """A customer is writing, or has stopped; for 6 s, without a place in the log."""
        action = types.SendMessageTypingAction() if active else types.SendMessageCancelAction()
        update = types.UpdateUserTyping(user_id=user.user_id, action=action)
        self.world.tell(account, types.UpdateShort(update, self.world.now()))

    def come_online(self, account: Account, user: User) -> None:
        """A customer is online: an update without a place in the log."""
        status = types.UserStatusOnline(expires=self.world.now() + timedelta(minutes=5))
        self.world.tell(account, types.UpdateShort(types.UpdateUserStatus(user.user_id, status), self.world.now()))

    def read(self, account: Account, user: User) -> None:
        """A customer has read everything: an update of the log that carries no message."""
        up_to = account.read_by_others[user.user_id] = account.last_message_id
        entry = account.append(
            update=lambda pts, count: types.UpdateReadHistoryOutbox(
                peer=peer_of(user), max_id=up_to, pts=pts, pts_count=count
            )
        )
        self.world.tell(account, push_of(self.world, account, entry))

    def block(self, account: Account, user: User) -> None:
        """A customer wants to hear no more."""
        account.blocked_by.add(user.user_id)

    def add_contact(self, account: Account, user: User) -> None:
        """Put somebody into the account's address book."""
        account.contacts.add(user.user_id)

    def pin(self, account: Account, chat: Chat) -> None:
        """Keep a chat on top of the list."""
        account.pinned.append(chat)

    def _push(self, account: Account, update: Any, involved: Sequence[Message]) -> None:
        self.world.tell(
            account,
            types.Updates([update], **people_in(self.world, account, involved), date=self.world.now(), seq=0),
        )

    # trouble with updates

    def forget_updates(self, account: Account) -> None:
        """Remember nothing of what happened until now: a difference from before is too long."""
        account.forgotten_below = account.pts

    def withhold(self, account: Account, pushes: int = 1) -> None:
        """The next pushes are lost; clients see a gap with the one after."""
        self.world.withheld[account] = pushes

    def say_too_long(self, account: Account) -> None:
        """Tell clients to ask for the difference (updatesTooLong)."""
        self.world.tell(account, types.UpdatesTooLong())

    # what was seen

    @property
    def requests(self) -> list[Seen]:
        """Every request, in the order of arrival; clear it at will."""
        return self._api.seen

    def count(self, method: Any) -> int:
        """How often a method was called, such as ``SendMessageRequest``."""
        return sum(isinstance(seen.request, method) for seen in self.requests)

    def texts_of(self, account: Account, chat: User | Group) -> list[str]:
        """A chat's texts from its start."""
        return [message.text for message in account.history(chat)]

    def typing_seen(self, account: Account, user: User) -> list[bool]:
        """The typing states that a customer was shown."""
        return [active for user_id, active in account.typing_shown if user_id == user.user_id]

    # the server itself

    def _config(self, call: Call, _: Any) -> Any:
        return config_view(now=self.world.now(), dc_id=self.dc_id, host=self.host, port=self.port)

    def _nearest(self, call: Call, _: Any) -> Any:
        return types.NearestDc(country="XX", this_dc=self.dc_id, nearest_dc=self.dc_id)


def _user(member: User | Account) -> User:
    return member.user if isinstance(member, Account) else member
