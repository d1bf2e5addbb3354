"""The audit log: who changed what, from what, to what."""

import json
from collections.abc import Mapping
from typing import Final

from nadia.postgres.database import Connection

SYSTEM: Final = "system"
"""The actor of what no person asked for."""

# One line per change, in the transaction of the change.
_RECORD = """
INSERT INTO audit_log (actor, action, subject, before, after)
VALUES (%(actor)s, %(action)s, %(subject)s, %(before)s::jsonb, %(after)s::jsonb)
"""


async def record(
    conn: Connection,
    *,
    actor: str,
    action: str,
    subject: str,
    before: Mapping[str, object] | None = None,
    after: Mapping[str, object] | None = None,
) -> None:
    """Write an audit row within the caller's transaction.

    Parameters
    ----------
    conn : Connection
        Inside a transaction.
    actor : str
        ``system``, or ``account:<id>`` of the person.
    action : str
        Constant dotted name.
    subject : str
        ``<kind>:<id>`` of what was changed.
    before, after : mapping, optional
        The values that changed; never secrets.
    """
    await conn.execute(
        _RECORD,
        {
            "actor": actor,
            "action": action,
            "subject": subject,
            "before": None if before is None else json.dumps(before, default=str),
            "after": None if after is None else json.dumps(after, default=str),
        },
    )
