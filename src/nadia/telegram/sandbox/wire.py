"""What the sandbox answers and tells: the same models on both ends of the connection."""

from datetime import datetime
from typing import Annotated, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from nadia.telegram.gateway import Media, MessageKind


class Wire(BaseModel):
    """Anything that crosses the connection towards a client."""

    model_config = ConfigDict(frozen=True)


class Customer(Wire):
    """Someone who writes to the desk."""

    user_id: int
    name: str
    username: str | None = None
    is_person: bool = True


class ChatMessage(Wire):
    """A message of the chat between an account and a customer; the chat's id is the customer's."""

    account: str
    message_id: int
    peer: Customer
    text: str
    kind: MessageKind
    reply_to: int | None
    outgoing: bool
    """Sent by the account's side: the desk or the operator's phone."""
    sent_at: datetime
    edited_at: datetime | None
    media: Media | None = None


class Written(Wire):
    """There is a new message."""

    type: Literal["message"] = "message"
    message: ChatMessage


class Edited(Wire):
    """A message has a new text."""

    type: Literal["edited"] = "edited"
    account: str
    chat_id: int
    message_id: int
    text: str
    edited_at: datetime


class Deleted(Wire):
    """Messages are gone for both sides. The account is not told the chat, as with the real one."""

    type: Literal["deleted"] = "deleted"
    account: str
    chat_id: int | None
    message_ids: tuple[int, ...]


class DeskTyping(Wire):
    """The desk writes, or stopped writing."""

    type: Literal["typing"] = "typing"
    account: str
    chat_id: int
    active: bool


class Read(Wire):
    """The desk has read the chat up to a message; answering implies it."""

    type: Literal["read"] = "read"
    account: str
    chat_id: int
    up_to: int


class CustomerTyping(Wire):
    """A customer writes. Carries no pts of its own, only the one it came after, so that order is kept."""

    type: Literal["typing"] = "typing"
    chat_id: int
    after: int


class News(Wire):
    """There are updates up to this pts."""

    type: Literal["news"] = "news"
    pts: int


class SessionClosed(Wire):
    """The account's session is over."""

    type: Literal["session_closed"] = "session_closed"
    code: str


UpdateEvent: TypeAlias = Annotated[Written | Edited | Deleted, Field(discriminator="type")]
AccountEvent: TypeAlias = Annotated[News | CustomerTyping | SessionClosed, Field(discriminator="type")]
ChatEvent: TypeAlias = Annotated[Written | Edited | Deleted | DeskTyping | Read, Field(discriminator="type")]

UPDATE_EVENT: TypeAdapter[Written | Edited | Deleted] = TypeAdapter(UpdateEvent)
ACCOUNT_EVENT: TypeAdapter[News | CustomerTyping | SessionClosed] = TypeAdapter(AccountEvent)
CHAT_EVENT: TypeAdapter[Written | Edited | Deleted | DeskTyping | Read] = TypeAdapter(ChatEvent)


class NumberedUpdate(Wire):
    """An update and its place in the account's sequence."""

    pts: int
    event: UpdateEvent


class Difference(Wire):
    """A page of the updates after a pts, ascending and without gaps; none where some of them are forgotten."""

    updates: tuple[NumberedUpdate, ...]
    forgotten_up_to: int | None = None
    """Go on after this one: what happened until then only the histories tell."""


class SignedIn(Wire):
    """An account is logged in; its sequence has come to ``pts``."""

    account: str
    pts: int


class Accepted(Wire):
    """A message is stored."""

    message_id: int
    sent_at: datetime


class Messages(Wire):
    """A page of a chat, ascending by id."""

    messages: tuple[ChatMessage, ...]


class DialogEntry(Wire):
    """A chat of an account."""

    peer: Customer
    top_message_id: int
    top_sent_at: datetime


class Dialogs(Wire):
    """A page of chats, the newest first."""

    dialogs: tuple[DialogEntry, ...]


class Customers(Wire):
    """A page of customers, ascending by id."""

    customers: tuple[Customer, ...]


class Accounts(Wire):
    """Names of the accounts that customers can write to."""

    accounts: tuple[str, ...]


class Statistics(Wire):
    """Counts since the start of the server."""

    connections: int
    requests: int
    refusals: int
    frames_refused: int
    sessions_displaced: int
    """Connections that lost their account to a second one: more than a reconnect explains means an ownership bug."""


class Done(Wire):
    """Nothing more to say."""
