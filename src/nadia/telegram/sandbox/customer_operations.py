"""What customers do to the store."""

import sqlite3
from datetime import datetime

from nadia.telegram.gateway import MessageKind
from nadia.telegram.sandbox import requests
from nadia.telegram.sandbox.protocol import RequestRefusedError
from nadia.telegram.sandbox.store import (
    FIRST_USER_ID,
    Outcome,
    ToAccount,
    ToWindows,
    announce,
    find_account,
    find_customer,
    insert_message,
    to_customer,
)
from nadia.telegram.sandbox.wire import Accounts, Customer, Customers, CustomerTyping, Deleted, Done, Edited, Written


def create_customer(db: sqlite3.Connection, request: requests.CreateCustomer) -> Outcome:
    """Add a customer under the next id."""
    (last,) = db.execute("SELECT max(user_id) FROM customers").fetchone()
    customer = Customer(
        user_id=FIRST_USER_ID if last is None else last + 1,
        name=request.name,
        username=request.username,
        is_person=request.is_person,
    )
    try:
        db.execute(
            "INSERT INTO customers (user_id, name, username, is_person) VALUES (?, ?, ?, ?)",
            (customer.user_id, customer.name, customer.username, customer.is_person),
        )
    except sqlite3.IntegrityError as exc:
        raise RequestRefusedError("USERNAME_OCCUPIED", f"@{request.username} is taken", field="username") from exc
    return Outcome(customer)


def list_customers(db: sqlite3.Connection, request: requests.ListCustomers) -> Outcome:
    """Read a page of customers."""
    rows = db.execute(
        "SELECT user_id, name, username, is_person FROM customers WHERE user_id > ? ORDER BY user_id LIMIT ?",
        (request.after, request.limit),
    )
    return Outcome(Customers(customers=tuple(to_customer(row) for row in rows)))


def list_accounts(db: sqlite3.Connection) -> Outcome:
    """Name all accounts."""
    return Outcome(Accounts(accounts=tuple(name for (name,) in db.execute("SELECT id FROM accounts ORDER BY id"))))


def write(db: sqlite3.Connection, request: requests.Write, now: datetime) -> Outcome:
    """Store a customer's message and number the update about it."""
    place = find_account(db, request.account, even_revoked=True)
    message = insert_message(
        db,
        place,
        request.user_id,
        text=request.text,
        kind=request.kind,
        reply_to=request.reply_to,
        outgoing=False,
        now=now,
        attachment=request.attachment,
    )
    return announce(db, place, request.user_id, Written(message=message), message)


def customer_types(db: sqlite3.Connection, request: requests.CustomerTypes) -> Outcome:
    """Let the desk see that a customer writes. Nothing is kept: who is away does not learn of it later."""
    place = find_account(db, request.account, even_revoked=True)
    find_customer(db, request.user_id)
    event = CustomerTyping(chat_id=request.user_id, after=place.pts)
    return Outcome(Done(), (ToAccount(request.account, event),))


def edit(db: sqlite3.Connection, request: requests.Edit, now: datetime) -> Outcome:
    """Change the text of a customer's own message."""
    place = find_account(db, request.account, even_revoked=True)
    found = db.execute(
        "SELECT text, outgoing, kind FROM messages WHERE account = ? AND message_id = ? AND user_id = ?",
        (request.account, request.message_id, request.user_id),
    ).fetchone()
    if found is None:
        raise RequestRefusedError("MESSAGE_ID_INVALID", "this chat has no such message", field="message_id")
    text, outgoing, kind = found
    if outgoing:
        raise RequestRefusedError("MESSAGE_AUTHOR_REQUIRED", "only its author may edit a message", field="message_id")
    if kind == MessageKind.TEXT and not request.text.strip():
        raise RequestRefusedError("MESSAGE_EMPTY", "is empty", field="text")
    if text == request.text:
        raise RequestRefusedError("MESSAGE_NOT_MODIFIED", "the text is the same as before", field="text")
    db.execute(
        "UPDATE messages SET text = ?, edited_at = ? WHERE account = ? AND message_id = ?",
        (request.text, now.isoformat(), request.account, request.message_id),
    )
    event = Edited(
        account=request.account,
        chat_id=request.user_id,
        message_id=request.message_id,
        text=request.text,
        edited_at=now,
    )
    return announce(db, place, request.user_id, event, Done())


def delete(db: sqlite3.Connection, request: requests.Delete) -> Outcome:
    """Delete messages of a chat, of either side, for both sides; those that are gone already count for nothing."""
    place = find_account(db, request.account, even_revoked=True)
    gone = tuple(
        message_id
        for message_id in dict.fromkeys(request.message_ids)
        if db.execute(
            "DELETE FROM messages WHERE account = ? AND message_id = ? AND user_id = ?",
            (request.account, message_id, request.user_id),
        ).rowcount
    )
    if not gone:
        raise RequestRefusedError("MESSAGE_ID_INVALID", "this chat has none of these messages", field="message_ids")
    db.execute(
        """UPDATE chats SET top_message_id = (SELECT coalesce(max(message_id), 0) FROM messages m
        WHERE m.account = chats.account AND m.user_id = chats.user_id) WHERE account = ? AND user_id = ?""",
        (request.account, request.user_id),
    )
    for_account = Deleted(account=request.account, chat_id=None, message_ids=gone)
    for_windows = Deleted(account=request.account, chat_id=request.user_id, message_ids=gone)
    outcome = announce(db, place, request.user_id, for_account, Done())
    return Outcome(Done(), (outcome.notices[0], ToWindows(request.user_id, for_windows)))


def block(db: sqlite3.Connection, request: requests.Block) -> Outcome:
    """Block an account for a customer, or let it write again."""
    find_account(db, request.account, even_revoked=True)
    find_customer(db, request.user_id)
    db.execute(
        """INSERT INTO chats (account, user_id, blocked) VALUES (?, ?, ?)
        ON CONFLICT (account, user_id) DO UPDATE SET blocked = excluded.blocked""",
        (request.account, request.user_id, request.blocked),
    )
    return Outcome(Done())
