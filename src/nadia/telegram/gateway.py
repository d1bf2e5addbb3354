"""What NADIA needs of Telegram, whatever is behind it: the sandbox or the real network."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final, Protocol, TypeAlias

JSON: TypeAlias = "str | int | float | bool | Mapping[str, JSON] | Sequence[JSON] | None"
State: TypeAlias = Mapping[str, JSON]
"""Where an account's updates were read up to; opaque to everyone but the gateway that made it."""

SERVICE_USER_IDS: Final = frozenset({777000, 42777})
"""Telegram's own accounts; 777000 carries log-in codes (DESIGN promise 10)."""


class MessageKind(StrEnum):
    """What a message is made of; NADIA reads the text, people at the desk see the kind."""

    TEXT = "text"
    PHOTO = "photo"
    VOICE = "voice"
    VIDEO = "video"
    STICKER = "sticker"
    DOCUMENT = "document"
    LOCATION = "location"
    CONTACT = "contact"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Peer:
    """Whom a private chat is with."""

    user_id: int
    name: str
    """Empty where Telegram did not tell who it is: then nothing is known of a username, either."""
    username: str | None = None
    is_person: bool = True
    """False for bots, service accounts, groups and channels."""


@dataclass(frozen=True, slots=True)
class Media:
    """What a message carries besides its text: as much as a person has to know, and how to find it again."""

    reference: str
    """Telegram's name of the file, such as ``photo:5431…`` or ``document:6012…``; empty where there is no file."""
    name: str | None = None
    mime_type: str | None = None
    size: int | None = None
    """Bytes."""
    duration: float | None = None
    """Seconds, of a voice message or a video."""
    emoji: str | None = None
    """What a sticker stands for."""


@dataclass(frozen=True, slots=True)
class IncomingMessage:
    """A message of a chat, as Telegram has it."""

    chat_id: int
    message_id: int
    """Ascending per account; unique within it."""
    peer: Peer
    """The other side of the chat, also for an outgoing message."""
    text: str
    sent_at: datetime
    kind: MessageKind = MessageKind.TEXT
    media: Media | None = None
    reply_to: int | None = None
    outgoing: bool = False
    """Sent from the account: as an event by the operator's own phone, in a history by anyone who uses the account."""
    edited_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class MessageEdited:
    """A message is another one now; Telegram lets people exchange what it carries as well as its text."""

    chat_id: int
    message_id: int
    text: str
    edited_at: datetime
    kind: MessageKind | None = None
    """None where only the text is told: then the message carries what it carried before."""
    media: Media | None = None
    """What it carries now; it goes with the kind."""


@dataclass(frozen=True, slots=True)
class MessagesDeleted:
    """Messages are gone for both sides; Telegram does not name the chat for private ones."""

    message_ids: tuple[int, ...]
    chat_id: int | None


@dataclass(frozen=True, slots=True)
class TypingStarted:
    """The other side is writing; good for ``nadia.constants.TYPING_SIGNAL_SECONDS``."""

    chat_id: int
    user_id: int


@dataclass(frozen=True, slots=True)
class UpdatesLost:
    """Telegram will not tell what happened until now; only the chats' histories can."""

    reason: str
    """For the record, such as ``difference too long``."""


Event: TypeAlias = IncomingMessage | MessageEdited | MessagesDeleted | TypingStarted | UpdatesLost


@dataclass(frozen=True, slots=True)
class Update:
    """One event and how far the account has been read with it."""

    event: Event | None
    """None where only the state has moved, past what is nothing of NADIA's, such as groups' messages."""
    state: State | None
    """Store it once everything up to this update is committed; None where there is nothing to resume from (typing)."""


@dataclass(frozen=True, slots=True)
class SentMessage:
    """A message that Telegram accepted."""

    message_id: int
    sent_at: datetime


@dataclass(frozen=True, slots=True)
class Dialog:
    """A chat of the account and its newest message."""

    chat_id: int
    peer: Peer
    top_message_id: int
    top_sent_at: datetime


class Gateway(Protocol):
    """One Telegram account, connected.

    Every method but ``connect`` and ``close`` raises ``GatewayDisconnectedError`` while there is no link,
    ``FloodWaitError`` when Telegram asks for a pause, ``AccountRevokedError`` when the session is no longer valid, and
    ``TelegramTroubleError`` when the answer is of no use though the link is fine.
    When to connect again is the caller's decision.
    """

    @property
    def account_id(self) -> str:
        """Name of the account in NADIA."""

    @property
    def network(self) -> str:
        """``sandbox`` or ``telegram``."""

    async def connect(self, state: State | None) -> None:
        """Connect and go on reading after ``state``.

        Parameters
        ----------
        state : mapping or None
            The last stored ``Update.state``. None when there is none yet: the network delivers what it is willing to
            replay to a new session (the sandbox everything, Telegram nothing: there the history tells the rest).

        Raises
        ------
        GatewayDisconnectedError
            If Telegram cannot be reached.
        AccountRevokedError
            If the session is not valid.
        GatewayError
            If the network does not know this state, or answers with an error of its own.
        """

    async def close(self) -> None:
        """Give up the link; ``updates`` ends. Safe to call at any time and more than once."""

    def updates(self) -> AsyncIterator[Update]:
        """Deliver what happens, in sequence and without gaps, first what happened since the state of ``connect``.

        The next update is taken only when the consumer asks for it, so that one that is not yet committed holds up
        those behind it. An update may come more than once; consumers know them by account, chat and message id.
        There is one reader for each connection: after a failure, connect again with the stored state.

        Raises
        ------
        GatewayDisconnectedError
            When the link is lost or closed.
        AccountRevokedError
            When the session was taken away.
        GatewayError
            When reading cannot go on for another reason; the link is given up then.
        ConflictError
            When this connection is already being read, or was.
        """

    async def send(self, *, chat_id: int, text: str, random_id: int) -> SentMessage:
        """Send one message.

        Parameters
        ----------
        chat_id : int
            The chat.
        text : str
            At most ``nadia.constants.TELEGRAM_TEXT_LIMIT`` UTF-16 code units.
        random_id : int
            Signed 64-bit, not zero, the same for every attempt to send this message.

        Raises
        ------
        RandomIdDuplicateError
            If it was accepted before.
        SendUncertainError
            If the answer was lost.
        SendRefusedError
            If it can never be accepted.
        PeerFloodError
            If the account is limited.
        """

    async def set_typing(self, *, chat_id: int, active: bool = True) -> None:
        """Show, or stop showing, that the desk is writing."""

    async def history(
        self, *, chat_id: int, after_id: int | None = None, before_id: int | None = None, limit: int = 100
    ) -> list[IncomingMessage]:
        """Read a chat's messages, ascending by id.

        A page may be short, for what is no message, such as the notice of a call, is left out: only an empty page is
        the end.

        Parameters
        ----------
        chat_id : int
            The chat.
        after_id : int, optional
            Only messages with a greater id, the oldest of them first: page on with the last id of each page, from 0
            for the whole chat. Absent, the page holds the newest messages.
        before_id : int, optional
            Only messages with a smaller id.
        limit : int
            Size of the page, 1 to 100.
        """

    def dialogs(self) -> AsyncIterator[Dialog]:
        """Walk through all chats of the account, the one with the newest message first."""
