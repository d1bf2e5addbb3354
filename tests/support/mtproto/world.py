"""What the server knows: people, accounts with their chats and update logs, auth keys and who is logged in."""

import bisect
import hashlib
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol, TypeAlias

from telethon.crypto import AuthKey
from telethon.tl import types

SERVICE_USER_ID = 777000
"""The account "Telegram", which writes log-in codes and warnings into everybody's chats."""


class Link(Protocol):
    """A client's connection."""

    def push(self, updates: Any) -> None: ...
    def cut(self) -> None: ...


@dataclass(eq=False)
class User:
    """A person, a bot, or Telegram itself."""

    user_id: int
    name: str
    last_name: str | None = None
    username: str | None = None
    phone: str | None = field(default=None, repr=False)
    bot: bool = False
    service: bool = False
    deleted: bool = False


@dataclass(eq=False)
class Group:
    """A small group; its messages are numbered with those of the account's private chats."""

    chat_id: int
    title: str
    members: list[User]


@dataclass(eq=False)
class Channel:
    """A channel, with ids and a pts of its own."""

    channel_id: int
    title: str
    pts: int = 1
    messages: list["Message"] = field(default_factory=list)


Chat: TypeAlias = User | Group | Channel


@dataclass(eq=False)
class Message:
    """One message as one account has it."""

    message_id: int
    chat: Chat
    sender: User
    text: str
    sent_at: datetime
    out: bool = False
    media: Any = None
    reply_to: int | None = None
    entities: list[Any] | None = None
    action: Any = None
    """Makes it a service message: a call, a pinned message, somebody joined."""
    edited_at: datetime | None = None
    edit_hidden: bool = False
    """The last edit changed only what hangs on the message, such as reactions."""
    reactions: Any = None


@dataclass(frozen=True)
class Entry:
    """One event of an account's log: its place after the event, how many places it takes, and what happened."""

    pts: int
    count: int
    new_message: int | None = None
    edited_message: int | None = None
    update: Callable[[int, int], Any] | None = None
    """Any other update, given pts and count."""


@dataclass(eq=False)
class Account:
    """Somebody who can log in: a person with a phone or a bot with a token."""

    user: User
    password: str | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)
    pts: int = 1
    forgotten_below: int = 0
    """A difference from below this pts is too long."""
    log: list[Entry] = field(default_factory=list)
    messages: dict[int, Message] = field(default_factory=dict)
    """By id, ascending."""
    last_message_id: int = 0
    random_ids: dict[int, int] = field(default_factory=dict)
    known: set[int] = field(default_factory=set)
    """Users that this account's clients were told of, with their access hash."""
    contacts: set[int] = field(default_factory=set)
    blocked_by: set[int] = field(default_factory=set)
    pinned: list[Chat] = field(default_factory=list)
    typing_shown: list[tuple[int, bool]] = field(default_factory=list)
    read_up_to: dict[int, int] = field(default_factory=dict)
    read_by_others: dict[int, int] = field(default_factory=dict)

    def append(self, count: int = 1, **what: Any) -> Entry:
        """Log one event and move on."""
        self.pts += count
        entry = Entry(pts=self.pts, count=count, **what)
        self.log.append(entry)
        return entry

    def since(self, pts: int) -> list[Entry]:
        """What was logged after `pts`."""
        return self.log[bisect.bisect_right(self.log, pts, key=lambda entry: entry.pts) :]

    def history(self, chat: Chat) -> list[Message]:
        """A chat's messages, ascending."""
        return [message for message in self.messages.values() if message.chat is chat]

    def chats(self) -> dict[Chat, Message]:
        """Every chat with its newest message."""
        return {message.chat: message for message in self.messages.values()}


@dataclass(eq=False)
class Authorization:
    """One auth key and who is logged in with it."""

    key: AuthKey = field(repr=False)
    salt: int = field(default_factory=lambda: secrets.randbits(63), repr=False)
    account: Account | None = None
    introduced: bool = False
    """The client has told who it is (initConnection)."""
    awaits_password: Account | None = None
    """Who is logged in as soon as the password is given."""
    refusal: tuple[int, str] | None = None
    """What every request is answered with since the session was taken away: code and message."""
    links: list[Link] = field(default_factory=list, repr=False)

    def cut(self) -> None:
        """Break its connections."""
        for link in list(self.links):
            link.cut()


class World:
    """Everything behind the protocol; changing it tells the connected clients."""

    def __init__(self) -> None:
        self.users: dict[int, User] = {}
        self.groups: dict[int, Group] = {}
        self.channels: dict[int, Channel] = {}
        self.accounts: list[Account] = []
        self.authorizations: dict[int, Authorization] = {}
        self.now: Callable[[], datetime] = lambda: datetime.now(UTC)
        self.short_updates: bool | None = None
        """Whether plain messages are told without the people in them; None: once the account knows them."""
        self.full_answers = False
        """Answer sendMessage with whole updates, as for a message with entities, instead of the short form."""
        self.duplicate_code = 500
        """Code of RANDOM_ID_DUPLICATE: 500 by core.telegram.org/method/messages.sendMessage, 400 seen as well."""
        self.difference_limit = 100
        """Events in one slice of a difference."""
        self.withheld: dict[Account, int] = {}
        """How many of an account's next pushes never leave the server."""
        self.refused: list[Exception] = []
        """Why connections were closed whose client does not keep to the protocol."""
        self.mistakes: list[Exception] = []
        """What the server itself could not do; the test fails with it at the end."""
        self._secret = secrets.token_bytes(16)
        self._next_user_id = 5_000_000_000  # beyond 32 bits, as new accounts are since 2021
        self.telegram = self.add_user("Telegram", user_id=SERVICE_USER_ID, service=True, phone="42777")

    # who there is

    def add_user(self, name: str, *, user_id: int | None = None, **attributes: Any) -> User:
        """Somebody who is not logged in here: a customer."""
        if user_id is None:
            self._next_user_id += 1
            user_id = self._next_user_id
        self.users[user_id] = user = User(user_id=user_id, name=name, **attributes)
        return user

    def add_account(self, user: User, *, password: str | None = None, token: str | None = None) -> Account:
        """Let a user log in."""
        account = Account(user=user, password=password, token=token)
        account.known.add(user.user_id)
        self.accounts.append(account)
        return account

    def access_hash(self, account: Account, peer: User | Channel) -> int:
        """What `account` has to show to speak to `peer`; another one for each account (…/api/peers#access-hash)."""
        peer_id = peer.user_id if isinstance(peer, User) else peer.channel_id
        material = f"{account.user.user_id}:{peer_id}".encode()
        return int.from_bytes(hashlib.blake2b(material, key=self._secret, digest_size=8).digest(), "big", signed=True)

    def authorizations_of(self, account: Account) -> Iterator[Authorization]:
        """Every key that is logged in as this account."""
        return (a for a in list(self.authorizations.values()) if a.account is account)

    # what happens

    def next_message_id(self, account: Account) -> int:
        """Ids ascend over all private chats and small groups of an account."""
        account.last_message_id += 1
        return account.last_message_id

    def store(self, account: Account, message: Message) -> Entry:
        """Put a message into an account's chat and its log."""
        account.messages[message.message_id] = message
        return account.append(new_message=message.message_id)

    def tell(self, account: Account, updates: Any, *, but: Link | None = None) -> None:
        """Push to every connected client of an account."""
        if self.withheld.get(account, 0) > 0:
            self.withheld[account] -= 1
            return
        for authorization in self.authorizations_of(account):
            if authorization.refusal is not None:
                continue
            for link in list(authorization.links):
                if link is not but:
                    link.push(updates)

    def state(self, account: Account, *, pts: int | None = None) -> Any:
        """Where an account's updates stand."""
        return types.updates.State(
            pts=account.pts if pts is None else pts, qts=0, date=self.now(), seq=1, unread_count=0
        )
