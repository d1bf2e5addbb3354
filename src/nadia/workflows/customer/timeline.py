"""What happened with a customer, from every table that knows of it, as one line of time."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from nadia.conversations.models import BatchState
from nadia.postgres.database import Connection, Row
from nadia.workflows.customer.people import Customer

# Every statement below returns the newest rows of the customer's first; %(limit)s bounds each. What can change late is
# as new as its last change: the time of an event is what decides whether it is told.

_BATCHES_OF = """
SELECT id FROM batches WHERE conversation_id = ANY(%(conversations)s) ORDER BY changed_at DESC LIMIT %(limit)s
"""

# What was said, by both sides.
_MESSAGES = """
SELECT id, conversation_id, author, kind, text, sent_at, received_at, edited_at, deleted_at, held_at, recovered_by
FROM messages WHERE conversation_id = ANY(%(conversations)s)
ORDER BY greatest(received_at, edited_at, deleted_at) DESC, id DESC LIMIT %(limit)s
"""

# Who did what to the customer's batches, and to the person; actors by the name that people know. One array of subjects,
# because a subquery after OR would have the whole log read.
_AUDIT = f"""
SELECT l.at, l.action, l.subject, l.before, l.after, coalesce(a.name, l.actor) AS actor
FROM audit_log l LEFT JOIN accounts a ON l.actor = 'account:' || a.id
WHERE l.subject = ANY (array_append(ARRAY(SELECT 'batch:' || b.id FROM ({_BATCHES_OF}) b), 'person:' || %(person)s))
ORDER BY l.id DESC LIMIT %(limit)s
"""  # noqa: S608 - constants only

# What models wrote.
_DRAFTS = f"""
SELECT d.batch_id, d.revision, d.bubbles, d.model, d.input_tokens, d.output_tokens, d.cost_usd, d.latency_ms,
    d.created_at
FROM drafts d WHERE d.batch_id IN ({_BATCHES_OF}) ORDER BY d.id DESC LIMIT %(limit)s
"""  # noqa: S608 - constants only

# What people decided.
_DECISIONS = f"""
SELECT r.batch_id, r.decision, r.edited, r.despite_newer, r.bubbles, r.reason, r.decided_at, a.name AS account
FROM review_decisions r JOIN accounts a ON a.id = r.account_id
WHERE r.batch_id IN ({_BATCHES_OF}) ORDER BY r.id DESC LIMIT %(limit)s
"""  # noqa: S608 - constants only

# What was to leave, with what kept it from leaving; what has left stands among the messages.
_OUTBOX = """
SELECT id, batch_id, position, state, text, attempts, last_error, coalesce(sending_since, send_after) AS at
FROM outbox WHERE conversation_id = ANY(%(conversations)s) AND state <> 'sent' ORDER BY at DESC, id DESC LIMIT %(limit)s
"""

# The silence protocol.
_SILENCES = """
SELECT p.at, p.event, p.messages, p.reason, coalesce(a.name, p.actor) AS actor
FROM protocol_audit_log p LEFT JOIN accounts a ON p.actor = 'account:' || a.id
WHERE p.person_id = %(person)s ORDER BY p.id DESC LIMIT %(limit)s
"""

# Chats that were read again after downtime.
_RECOVERY = """
SELECT r.gap_id, r.state, r.tier, r.attempts, r.error, c.id AS conversation_id, coalesce(r.done_at, o.started_at) AS at
FROM recovery_chats r
JOIN conversations c ON c.telegram_account_id = r.telegram_account_id AND c.chat_id = r.chat_id
LEFT JOIN recovery_operations o ON o.id = r.operation_id
WHERE c.id = ANY(%(conversations)s) AND coalesce(r.done_at, o.started_at) IS NOT NULL
ORDER BY at DESC, r.gap_id DESC LIMIT %(limit)s
"""

# What could not be put on record.
_PARKED_UPDATES = """
SELECT u.id, u.event, u.error, u.at, c.id AS conversation_id
FROM parked_updates u
JOIN conversations c ON c.telegram_account_id = u.telegram_account_id AND u.payload ->> 'chat_id' = c.chat_id::text
WHERE c.id = ANY(%(conversations)s) ORDER BY u.id DESC LIMIT %(limit)s
"""

# What people were told about it: about the person, a batch, a chat. Materialized: PostgreSQL cannot know how few they
# are, and would go through all notices from the newest on to find enough.
_NOTICES = f"""
WITH told AS MATERIALIZED (
    SELECT n.id, n.at, n.topic, n.severity, n.resolves FROM notices n
    WHERE n.labels @> ANY (ARRAY(
        SELECT jsonb_build_object('person', %(person)s::text)
        UNION ALL SELECT jsonb_build_object('batch', b.id::text) FROM ({_BATCHES_OF}) b
        UNION ALL SELECT jsonb_build_object('account', c.telegram_account_id, 'chat', c.chat_id::text)
        FROM conversations c WHERE c.id = ANY(%(conversations)s)
    ))
)
SELECT at, topic, severity, resolves FROM told ORDER BY id DESC LIMIT %(limit)s
"""  # noqa: S608 - constants only


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened.

    Parameters
    ----------
    at : datetime
        When it became known to us.
    source : str
        Which part knows of it.
    about : str
        Conversation, batch or person.
    what : str
        In NADIA's words.
    text : str or None
        In the customer's words, or in those of whoever wrote to or about them.
    """

    at: datetime
    source: str
    about: str
    what: str
    text: str | None = None


async def read(conn: Connection, customer: Customer, *, limit: int) -> tuple[list[Event], bool]:
    """Return the last events in the order of time, and whether there are older ones.

    Parameters
    ----------
    conn : Connection
        PostgreSQL.
    customer : Customer
        Whose.
    limit : int
        Most events.
    """
    values = {
        "person": customer.person_id,
        "conversations": list(customer.conversations),
        "limit": limit + 1,
    }
    events: list[Event] = []
    for statement, read_row in _SOURCES.items():
        rows = await (await conn.execute(statement, values)).fetchall()
        events += [event for row in reversed(rows) for event in read_row(row)]
    # What is known since the same moment stays in the order of the sources, which is that of a message's way.
    events.sort(key=lambda event: event.at)
    return events[-limit:], len(events) > limit


def _message(row: Row) -> Iterator[Event]:
    about, kind = f"conversation {row['conversation_id']}", row["kind"]
    late = (row["received_at"] - row["sent_at"]).total_seconds()
    notes = [] if kind == "text" else [kind]
    notes += [f"{late:.0f} s after it was sent"] if late > 5 and row["author"] != "desk" else []
    notes += ["read after downtime"] if row["recovered_by"] is not None else []
    notes += ["held in quarantine"] if row["held_at"] is not None else []
    verb = {"customer": "the customer wrote", "phone": "the operator wrote by phone"}.get(row["author"], "was sent")
    what = f"message {row['id']}: {verb}" + (f" ({', '.join(notes)})" if notes else "")
    yield Event(row["received_at"], "message", about, what, row["text"])
    if row["edited_at"] is not None:
        yield Event(row["edited_at"], "message", about, f"message {row['id']} was edited; this is how it reads now")
    if row["deleted_at"] is not None:
        yield Event(row["deleted_at"], "message", about, f"message {row['id']} was deleted")


def _audited(row: Row) -> Iterator[Event]:
    before, after = row["before"] or {}, row["after"] or {}
    what = row["action"]
    if row["action"] == "batch.moved":
        what = f"{before.get('state', BatchState.BUFFERING)} → {after.get('state', '?')}"
    yield Event(row["at"], "audit", row["subject"].replace(":", " "), f"{what}, by {row['actor']}", after.get("reason"))


def _draft(row: Row) -> Iterator[Event]:
    what = (
        f"draft {row['revision']} by {row['model']}: {row['input_tokens']} + {row['output_tokens']} tokens, "
        f"{row['cost_usd']:.5f} USD, {row['latency_ms']} ms"
    )
    yield Event(row["created_at"], "draft", f"batch {row['batch_id']}", what, _joined(row["bubbles"]))


def _decision(row: Row) -> Iterator[Event]:
    notes = ["edited"] if row["edited"] else []
    notes += ["although something newer had come"] if row["despite_newer"] else []
    what = f"{row['decision']}, by {row['account']}" + (f" ({', '.join(notes)})" if notes else "")
    yield Event(row["decided_at"], "desk", f"batch {row['batch_id']}", what, _joined(row["bubbles"]) or row["reason"])


def _bubble(row: Row) -> Iterator[Event]:
    what = f"bubble {row['position'] + 1} is {row['state']}, {row['attempts']} attempts"
    what += f"; the last failed: {row['last_error']}" if row["last_error"] else ""
    yield Event(row["at"], "outbox", f"batch {row['batch_id']}", what, row["text"])


def _silence(row: Row) -> Iterator[Event]:
    number = f", {row['messages']} messages" if row["messages"] else ""
    yield Event(
        row["at"], "quarantine", "person", f"{row['event'].replace('_', ' ')}{number}, by {row['actor']}", row["reason"]
    )


def _recovered(row: Row) -> Iterator[Event]:
    what = f"read again after downtime (gap {row['gap_id']}, tier {row['tier']}): {row['state']}"
    what += f" after {row['attempts']} attempts: {row['error']}" if row["error"] else ""
    yield Event(row["at"], "recovery", f"conversation {row['conversation_id']}", what)


def _parked_update(row: Row) -> Iterator[Event]:
    # Its error may repeat what the customer wrote.
    what = f"{row['event']} could not be put on record (parked update {row['id']})"
    yield Event(row["at"], "intake", f"conversation {row['conversation_id']}", what, row["error"])


def _notice(row: Row) -> Iterator[Event]:
    what = f"{row['topic']} ({'resolved' if row['resolves'] else row['severity']})"
    yield Event(row["at"], "notice", "people were told", what)


def _joined(bubbles: list[str] | None) -> str | None:
    return "\n".join(bubbles) if bubbles else None


_SOURCES: Final[Mapping[str, Callable[[Row], Iterator[Event]]]] = {
    _MESSAGES: _message,
    _PARKED_UPDATES: _parked_update,
    _RECOVERY: _recovered,
    _SILENCES: _silence,
    _DRAFTS: _draft,
    _DECISIONS: _decision,
    _AUDIT: _audited,
    _OUTBOX: _bubble,
    _NOTICES: _notice,
}
