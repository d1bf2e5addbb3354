"""What tests of quarantine ask for, on any world that runs statements."""

from collections.abc import Awaitable, Callable
from typing import Any

Execute = Callable[..., Awaitable[list[dict[str, Any]]]]

WHY = "threatened the staff"
ANN = "account:1"


async def person_of(execute: Execute, conversation_id: int) -> int:
    rows = await execute("SELECT person_id FROM conversations WHERE id = %s", conversation_id)
    return int(rows[0]["person_id"])


async def states(execute: Execute) -> list[str]:
    """What became of each message in quarantine, in their order."""
    rows = await execute("SELECT state FROM quarantine_messages ORDER BY message_id")
    return [row["state"] for row in rows]


async def steps(execute: Execute) -> list[tuple[str, str, str | None, int]]:
    """The protocol's log: event, actor, reason, messages."""
    rows = await execute("SELECT event, actor, reason, messages FROM protocol_audit_log ORDER BY id")
    return [(row["event"], row["actor"], row["reason"], row["messages"]) for row in rows]


async def audited(execute: Execute, person_id: int) -> list[tuple[str, str]]:
    """Who did what to a person's silence, by the general audit log."""
    rows = await execute("SELECT actor, action FROM audit_log WHERE subject = %s ORDER BY id", f"person:{person_id}")
    return [(row["actor"], row["action"]) for row in rows]


async def unaccounted(execute: Execute) -> int:
    """Inbound messages that are in no batch, not waiting for one and not held: there must never be any."""
    rows = await execute(
        "SELECT count(*) AS lost FROM messages m LEFT JOIN quarantine_messages q ON q.message_id = m.id "
        "WHERE m.direction = 'in' AND m.batch_id IS NULL AND m.held_at IS NOT NULL AND q.state IS DISTINCT FROM 'held'"
    )
    return int(rows[0]["lost"])
