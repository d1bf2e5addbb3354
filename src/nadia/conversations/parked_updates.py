"""Updates that could not be put on record: kept whole, with a notice, so that reading goes on."""

import json
from collections.abc import Mapping

from nadia.notices import Notice, Severity
from nadia.notices import record as record_notice
from nadia.postgres.database import Connection

# Only the account's owner may pass over one of its updates.
_PARK = """
INSERT INTO parked_updates (telegram_account_id, event, payload, error)
SELECT id, %(event)s, %(payload)s::jsonb, %(error)s FROM telegram_accounts
WHERE id = %(account_id)s AND fencing_token = %(fencing_token)s AND expires_at > clock_timestamp()
FOR SHARE
RETURNING id
"""


async def park_update(
    conn: Connection, *, account_id: str, fencing_token: int, event: str, payload: Mapping[str, object], error: str
) -> bool:
    """Keep an update and tell a person, within the caller's transaction; False if the token is not the account's.

    Parameters
    ----------
    conn : Connection
        A transaction.
    account_id : str
        The Telegram account that the update came to.
    fencing_token : int
        Of its owner.
    event : str
        Kind of the event.
    payload : mapping
        All of it, as JSON can hold it and PostgreSQL can store it.
    error : str
        Why it could not be put on record.
    """
    values = {
        "account_id": account_id,
        "fencing_token": fencing_token,
        "event": event,
        "payload": json.dumps(payload),
        "error": error,
    }
    row = await (await conn.execute(_PARK, values)).fetchone()
    if row is None:
        return False
    await record_notice(
        conn,
        Notice(
            topic="update.parked",
            summary="Something that Telegram handed over could not be put on record and is not at the desk. It is kept "
            "in the table parked_updates, with the error; the chat in Telegram itself shows it too.",
            severity=Severity.CRITICAL,
            labels={"account": account_id, "kind": event, "parked_update": str(row["id"])},
        ),
    )
    return True
