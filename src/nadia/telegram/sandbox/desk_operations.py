"""What the account's side does to the store: the desk's requests, the operator's phone, the account itself."""

import sqlite3
from collections.abc import Iterable
from datetime import datetime

from nadia.telegram.gateway import MessageKind
from nadia.telegram.sandbox import requests
from nadia.telegram.sandbox.protocol import RequestRefusedError
from nadia.telegram.sandbox.store import (
    ID_MAX,
    Outcome,
    ToAccount,
    ToWindows,
    announce,
    check_reachable,
    find_account,
    insert_message,
    mark_read,
    to_customer,
)
from nadia.telegram.sandbox.wire import (
    UPDATE_EVENT,
    Accepted,
    DeskTyping,
    DialogEntry,
    Dialogs,
    Difference,
    Done,
    NumberedUpdate,
    SessionClosed,
    SignedIn,
    Written,
)


def open_accounts(db: sqlite3.Connection, names: Iterable[str]) -> Outcome:
    """Make the accounts that do not exist yet."""
    db.executemany("INSERT INTO accounts (id) VALUES (?) ON CONFLICT DO NOTHING", [(name,) for name in names])
    return Outcome(Done())


def log_in(db: sqlite3.Connection, request: requests.LogIn) -> Outcome:
    """Open an account; its first log-in makes it."""
    open_accounts(db, [request.account])
    pts = find_account(db, request.account).pts
    if request.pts is not None and request.pts > pts:
        raise RequestRefusedError(
            "PERSISTENT_TIMESTAMP_INVALID", f"the account's updates end at {pts}, before {request.pts}", field="pts"
        )
    return Outcome(SignedIn(account=request.account, pts=pts))


def difference(db: sqlite3.Connection, account: str, request: requests.GetDifference) -> Outcome:
    """Read a page of updates."""
    find_account(db, account)
    rows = db.execute(
        "SELECT pts, event FROM updates WHERE account = ? AND pts > ? AND pts <= ? ORDER BY pts LIMIT ?",
        (account, request.after, request.up_to, request.limit),
    )
    updates = tuple(NumberedUpdate(pts=pts, event=UPDATE_EVENT.validate_json(event)) for pts, event in rows)
    told_from = updates[0].pts if updates else request.up_to + 1
    if told_from > request.after + 1:
        return Outcome(Difference(updates=(), forgotten_up_to=told_from - 1))
    return Outcome(Difference(updates=updates))


def forget_updates(db: sqlite3.Connection, account: str) -> Outcome:
    """Forget what an account was not told yet; its messages stay."""
    find_account(db, account, even_revoked=True)
    db.execute("DELETE FROM updates WHERE account = ?", (account,))
    return Outcome(Done())


def send(db: sqlite3.Connection, account: str, request: requests.Send, now: datetime, memory: int) -> Outcome:
    """Store the desk's message unless its random id is among the last ``memory`` ones."""
    known = db.execute(
        "SELECT 1 FROM send_memory WHERE account = ? AND random_id = ?", (account, request.random_id)
    ).fetchone()
    if known:
        raise RequestRefusedError("RANDOM_ID_DUPLICATE", "this random id was used before", field="random_id")
    place = find_account(db, account)
    check_reachable(db, account, request.chat_id)
    message = insert_message(
        db, place, request.chat_id, text=request.text, kind=MessageKind.TEXT, reply_to=None, outgoing=True, now=now
    )
    number = place.last_send + 1
    db.execute("UPDATE accounts SET last_send = ? WHERE id = ?", (number, account))
    db.execute("DELETE FROM send_memory WHERE account = ? AND send <= ?", (account, number - memory))
    db.execute(
        "INSERT INTO send_memory (account, random_id, send) VALUES (?, ?, ?)", (account, request.random_id, number)
    )
    told = (ToWindows(request.chat_id, Written(message=message)), *mark_read(db, account, request.chat_id))
    return Outcome(Accepted(message_id=message.message_id, sent_at=message.sent_at), told)


def show_typing(db: sqlite3.Connection, account: str, request: requests.SetTyping) -> Outcome:
    """Let the customer see whether the desk writes."""
    find_account(db, account)
    check_reachable(db, account, request.chat_id)
    event = DeskTyping(account=account, chat_id=request.chat_id, active=request.active)
    return Outcome(Done(), (ToWindows(request.chat_id, event),))


def dialogs(db: sqlite3.Connection, account: str, request: requests.GetDialogs) -> Outcome:
    """Read a page of chats that hold messages."""
    find_account(db, account)
    rows = db.execute(
        """SELECT h.top_message_id, m.sent_at, c.user_id, c.name, c.username, c.is_person
        FROM chats h JOIN customers c ON c.user_id = h.user_id
        JOIN messages m ON m.account = h.account AND m.message_id = h.top_message_id
        WHERE h.account = ? AND h.top_message_id > 0 AND h.top_message_id < ?
        ORDER BY h.top_message_id DESC LIMIT ?""",
        (account, ID_MAX if request.below is None else request.below, request.limit),
    )
    return Outcome(
        Dialogs(
            dialogs=tuple(
                DialogEntry(top_message_id=row[0], top_sent_at=row[1], peer=to_customer(row[2:])) for row in rows
            )
        )
    )


def post_from_phone(db: sqlite3.Connection, request: requests.PostFromPhone, now: datetime) -> Outcome:
    """Store a message that the operator sent past the desk; the desk learns of it by an update."""
    place = find_account(db, request.account, even_revoked=True)
    check_reachable(db, request.account, request.user_id)
    message = insert_message(
        db,
        place,
        request.user_id,
        text=request.text,
        kind=MessageKind.TEXT,
        reply_to=request.reply_to,
        outgoing=True,
        now=now,
    )
    outcome = announce(db, place, request.user_id, Written(message=message), message)
    return Outcome(outcome.answer, (*outcome.notices, *mark_read(db, request.account, request.user_id)))


def revoke(db: sqlite3.Connection, account: str, code: str | None) -> Outcome:
    """End an account's session with a code, or allow it again with None."""
    find_account(db, account, even_revoked=True)
    db.execute("UPDATE accounts SET revoked = ? WHERE id = ?", (code, account))
    return Outcome(Done(), () if code is None else (ToAccount(account, SessionClosed(code=code)),))
