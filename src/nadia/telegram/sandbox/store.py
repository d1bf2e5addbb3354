"""What the sandbox keeps, and the operations on it. All run inside a transaction on the ledger's thread."""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, TypeAlias

from pydantic import TypeAdapter

from nadia.telegram.gateway import Media, MessageKind
from nadia.telegram.sandbox import requests
from nadia.telegram.sandbox.protocol import RequestRefusedError
from nadia.telegram.sandbox.wire import (
    AccountEvent,
    ChatEvent,
    ChatMessage,
    Customer,
    Messages,
    News,
    Read,
    UpdateEvent,
    Wire,
)

SCHEMA_VERSION: Final = 2
FIRST_USER_ID: Final = 900_000_000_001
"""Customers' ids start here, far above those that Telegram has given to people, below what a double holds exactly."""

SCHEMA: Final = (
    # pts numbers the updates, last_message_id the messages over all chats, last_send what send_memory remembers
    """CREATE TABLE accounts (
        id TEXT PRIMARY KEY,
        pts INTEGER NOT NULL DEFAULT 0,
        last_message_id INTEGER NOT NULL DEFAULT 0,
        last_send INTEGER NOT NULL DEFAULT 0,
        revoked TEXT
    ) WITHOUT ROWID""",
    """CREATE TABLE customers (
        user_id INTEGER PRIMARY KEY,
        name TEXT NOT NULL,
        username TEXT UNIQUE COLLATE NOCASE,
        is_person INTEGER NOT NULL
    )""",
    """CREATE TABLE chats (
        account TEXT NOT NULL REFERENCES accounts,
        user_id INTEGER NOT NULL REFERENCES customers,
        top_message_id INTEGER NOT NULL DEFAULT 0,
        read_up_to INTEGER NOT NULL DEFAULT 0,
        blocked INTEGER NOT NULL DEFAULT 0,
        PRIMARY KEY (account, user_id)
    ) WITHOUT ROWID""",
    "CREATE INDEX chats_by_newest ON chats (account, top_message_id)",
    """CREATE TABLE messages (
        account TEXT NOT NULL REFERENCES accounts,
        message_id INTEGER NOT NULL,
        user_id INTEGER NOT NULL REFERENCES customers,
        outgoing INTEGER NOT NULL,
        text TEXT NOT NULL,
        kind TEXT NOT NULL,
        reply_to INTEGER,
        sent_at TEXT NOT NULL,
        edited_at TEXT,
        media TEXT,
        PRIMARY KEY (account, message_id)
    ) WITHOUT ROWID""",
    "CREATE INDEX messages_by_chat ON messages (account, user_id, message_id)",
    """CREATE TABLE updates (
        account TEXT NOT NULL REFERENCES accounts,
        pts INTEGER NOT NULL,
        event TEXT NOT NULL,
        PRIMARY KEY (account, pts)
    ) WITHOUT ROWID""",
    # the random ids of the newest sends of an account, first in first out
    """CREATE TABLE send_memory (
        account TEXT NOT NULL REFERENCES accounts,
        random_id INTEGER NOT NULL,
        send INTEGER NOT NULL,
        PRIMARY KEY (account, random_id)
    ) WITHOUT ROWID""",
    "CREATE UNIQUE INDEX send_memory_by_age ON send_memory (account, send)",
)

UPGRADES: Final = {1: ("ALTER TABLE messages ADD COLUMN media TEXT",)}
"""What brings a file of an older version to the next one."""

_MEDIA: Final = TypeAdapter(Media)

_MESSAGE = """SELECT m.account, m.message_id, m.text, m.kind, m.reply_to, m.outgoing, m.sent_at, m.edited_at, m.media,
    c.user_id, c.name, c.username, c.is_person FROM messages m JOIN customers c ON c.user_id = m.user_id"""
_IN_CHAT = f"{_MESSAGE} WHERE m.account = ? AND m.user_id = ? AND m.message_id > ? AND m.message_id < ? "
_PAGE_ASCENDING = f"{_IN_CHAT} ORDER BY m.message_id LIMIT ?"
_PAGE_DESCENDING = f"{_IN_CHAT} ORDER BY m.message_id DESC LIMIT ?"
ID_MAX = 2**63 - 1
_FILES: Final = (
    MessageKind.PHOTO,
    MessageKind.VOICE,
    MessageKind.VIDEO,
    MessageKind.STICKER,
    MessageKind.DOCUMENT,
)


@dataclass(frozen=True, slots=True)
class ToAccount:
    """Tell the connection that has the account."""

    account: str
    event: AccountEvent


@dataclass(frozen=True, slots=True)
class ToWindows:
    """Tell all windows that watch the customer."""

    user_id: int
    event: ChatEvent


Notice: TypeAlias = ToAccount | ToWindows


@dataclass(frozen=True, slots=True)
class Outcome:
    """The answer to a request, and whom to tell of it once it is committed."""

    answer: Wire
    notices: tuple[Notice, ...] = ()


@dataclass(frozen=True, slots=True)
class Place:
    """How far an account's numbers have come."""

    account: str
    pts: int
    last_message_id: int
    last_send: int


def find_account(db: sqlite3.Connection, account: str, *, even_revoked: bool = False) -> Place:
    """Read an account; a revoked one is refused with the code of its revocation, unless a customer asks."""
    row = db.execute(
        "SELECT pts, last_message_id, last_send, revoked FROM accounts WHERE id = ?", (account,)
    ).fetchone()
    if row is None:
        raise RequestRefusedError("PEER_ID_INVALID", f"there is no account {account!r}", field="account")
    pts, last_message_id, last_send, revoked = row
    if revoked is not None and not even_revoked:
        raise RequestRefusedError(revoked, f"the session of {account!r} is no longer valid", field="account")
    return Place(account, pts, last_message_id, last_send)


def find_customer(db: sqlite3.Connection, user_id: int) -> Customer:
    """Read a customer."""
    row = db.execute(
        "SELECT user_id, name, username, is_person FROM customers WHERE user_id = ?", (user_id,)
    ).fetchone()
    if row is None:
        raise RequestRefusedError("PEER_ID_INVALID", f"there is no customer {user_id}", field="user_id")
    return to_customer(row)


def check_reachable(db: sqlite3.Connection, account: str, user_id: int) -> None:
    """Refuse to reach a customer who is not there or has blocked the account."""
    find_customer(db, user_id)
    if db.execute("SELECT 1 FROM chats WHERE account = ? AND user_id = ? AND blocked", (account, user_id)).fetchone():
        raise RequestRefusedError("USER_IS_BLOCKED", "the customer has blocked this account", field="chat_id")


def insert_message(
    db: sqlite3.Connection,
    place: Place,
    user_id: int,
    *,
    text: str,
    kind: MessageKind,
    reply_to: int | None,
    outgoing: bool,
    now: datetime,
    attachment: requests.Attachment | None = None,
) -> ChatMessage:
    """Store a message under the account's next id."""
    peer = find_customer(db, user_id)
    account, message_id = place.account, place.last_message_id + 1
    if reply_to is not None and not _has_message(db, account, user_id, reply_to):
        raise RequestRefusedError("REPLY_MESSAGE_ID_INVALID", "this chat has no such message", field="reply_to")
    db.execute("UPDATE accounts SET last_message_id = ? WHERE id = ?", (message_id, account))
    db.execute(
        """INSERT INTO chats (account, user_id, top_message_id) VALUES (?, ?, ?)
        ON CONFLICT (account, user_id) DO UPDATE SET top_message_id = excluded.top_message_id""",
        (account, user_id, message_id),
    )
    media = _media(kind, message_id, attachment)
    db.execute(
        """INSERT INTO messages (account, message_id, user_id, outgoing, text, kind, reply_to, sent_at, media)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)""",
        (
            account,
            message_id,
            user_id,
            outgoing,
            text,
            kind.value,
            reply_to,
            now.isoformat(),
            None if media is None else _MEDIA.dump_json(media).decode(),
        ),
    )
    return ChatMessage(
        account=account,
        message_id=message_id,
        peer=peer,
        text=text,
        kind=kind,
        reply_to=reply_to,
        outgoing=outgoing,
        sent_at=now,
        edited_at=None,
        media=media,
    )


def _media(kind: MessageKind, message_id: int, attachment: requests.Attachment | None) -> Media | None:
    if attachment is None and kind not in _FILES:
        return None
    details = {} if attachment is None else attachment.model_dump()
    return Media(reference=f"{kind.value}:{message_id}" if kind in _FILES else "", **details)


def _has_message(db: sqlite3.Connection, account: str, user_id: int, message_id: int) -> bool:
    found = db.execute(
        "SELECT 1 FROM messages WHERE account = ? AND message_id = ? AND user_id = ?", (account, message_id, user_id)
    ).fetchone()
    return found is not None


def announce(db: sqlite3.Connection, place: Place, user_id: int, event: UpdateEvent, answer: Wire) -> Outcome:
    """Number an update, and tell the account of it and the windows what is in it."""
    pts = place.pts + 1
    db.execute("UPDATE accounts SET pts = ? WHERE id = ?", (pts, place.account))
    db.execute(
        "INSERT INTO updates (account, pts, event) VALUES (?, ?, ?)", (place.account, pts, event.model_dump_json())
    )
    return Outcome(answer, (ToAccount(place.account, News(pts=pts)), ToWindows(user_id, event)))


def mark_read(db: sqlite3.Connection, account: str, user_id: int) -> tuple[Notice, ...]:
    """Let the customer's messages count as read by the desk: it has answered."""
    newest = db.execute(
        """SELECT message_id FROM messages WHERE account = ? AND user_id = ? AND NOT outgoing
        ORDER BY message_id DESC LIMIT 1""",
        (account, user_id),
    ).fetchone()
    if newest is None:
        return ()
    (up_to,) = newest
    moved = db.execute(
        "UPDATE chats SET read_up_to = ? WHERE account = ? AND user_id = ? AND read_up_to < ?",
        (up_to, account, user_id, up_to),
    ).rowcount
    return (ToWindows(user_id, Read(account=account, chat_id=user_id, up_to=up_to)),) if moved else ()


def history(
    db: sqlite3.Connection, account: str, user_id: int, page: requests.AccountHistory | requests.CustomerHistory
) -> Outcome:
    """Read a page of a chat: the oldest after ``after_id``, or the newest where that is absent."""
    find_account(db, account, even_revoked=isinstance(page, requests.CustomerHistory))
    find_customer(db, user_id)
    before = ID_MAX if page.before_id is None else page.before_id
    if page.after_id is not None:
        rows = db.execute(_PAGE_ASCENDING, (account, user_id, page.after_id, before, page.limit)).fetchall()
    else:
        rows = db.execute(_PAGE_DESCENDING, (account, user_id, 0, before, page.limit)).fetchall()[::-1]
    return Outcome(Messages(messages=tuple(_to_message(row) for row in rows)))


def to_customer(row: Sequence[object]) -> Customer:
    """Read ``user_id, name, username, is_person``."""
    user_id, name, username, is_person = row
    return Customer.model_validate(
        {"user_id": user_id, "name": name, "username": username, "is_person": bool(is_person)}
    )


def _to_message(row: Sequence[object]) -> ChatMessage:
    account, message_id, text, kind, reply_to, outgoing, sent_at, edited_at, media, *peer = row
    return ChatMessage.model_validate(
        {
            "account": account,
            "message_id": message_id,
            "peer": to_customer(peer),
            "text": text,
            "kind": kind,
            "reply_to": reply_to,
            "outgoing": bool(outgoing),
            "sent_at": _to_time(sent_at),
            "edited_at": _to_time(edited_at),
            "media": None if media is None else _MEDIA.validate_json(str(media)),
        }
    )


def _to_time(text: object) -> datetime | None:
    return None if text is None else datetime.fromisoformat(str(text)).astimezone(UTC)
