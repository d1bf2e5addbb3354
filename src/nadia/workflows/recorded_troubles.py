"""What PostgreSQL has on record of things that went wrong: notices, and what was parked or failed."""

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from typing import Final

from nadia.postgres.database import Connection
from nadia.workflows.error_patterns import Trouble

MOST_ROWS: Final = 20_000
"""Of each kind of record; the newest."""

# Notices that tell of something wrong; those that say it is over do not.
_NOTICES = """
SELECT at, CASE severity WHEN 'critical' THEN 'critical' ELSE 'warning' END AS level,
    topic AS name, summary AS words, 'notices' AS source
FROM notices
WHERE at > now() - %(window)s AND severity <> 'info' AND NOT resolves
ORDER BY at DESC
LIMIT %(limit)s
"""

# Batches that wait for a person because of an error, at whatever time that began: they are still in trouble, and the
# window does not bound them.
_PARKED_BATCHES = """
SELECT changed_at AS at, 'error' AS level, 'batch parked' AS name, COALESCE(parked_reason, '') AS words,
    'batches' AS source, true AS ongoing
FROM batches
WHERE state = 'parked'
ORDER BY changed_at DESC
LIMIT %(limit)s
"""

# Updates of Telegram that could not be put on record.
_PARKED_UPDATES = """
SELECT at, 'error' AS level, 'update parked' AS name, concat_ws(': ', event, error) AS words,
    'parked_updates' AS source
FROM (SELECT * FROM parked_updates ORDER BY id DESC LIMIT %(limit)s) AS newest
WHERE at > now() - %(window)s
"""

# Replies that did not go out at the first try; when they last were tried.
_REPLIES = """
SELECT COALESCE(sending_since, send_after) AS at, CASE state WHEN 'parked' THEN 'error' ELSE 'warning' END AS level,
    'reply ' || state AS name, last_error AS words, 'outbox' AS source
FROM (SELECT * FROM outbox ORDER BY id DESC LIMIT %(limit)s) AS newest
WHERE last_error IS NOT NULL AND COALESCE(sending_since, send_after) > now() - %(window)s
"""

# Drafts that no model wrote.
_NO_DRAFTS = """
SELECT changed_at AS at, 'warning' AS level, 'no draft' AS name, no_draft_reason AS words, 'batches' AS source
FROM batches
WHERE no_draft_reason IS NOT NULL AND changed_at > now() - %(window)s
ORDER BY changed_at DESC
LIMIT %(limit)s
"""

# Runs of recovery, and chats in them, that failed.
_RECOVERIES = """
SELECT COALESCE(ended_at, progressed_at) AS at, 'error' AS level, 'recovery failed' AS name, error AS words,
    'recovery_operations' AS source
FROM recovery_operations
WHERE started_at > now() - %(window)s AND state = 'failed' AND error IS NOT NULL
ORDER BY id DESC
LIMIT %(limit)s
"""

_STATEMENTS: Final = (_NOTICES, _PARKED_BATCHES, _PARKED_UPDATES, _REPLIES, _NO_DRAFTS, _RECOVERIES)


async def recorded_troubles(
    connect: Callable[[], AbstractAsyncContextManager[Connection]], *, window: timedelta
) -> Sequence[Trouble]:
    """Return what is on record of a window; raises UnavailableError."""
    found = []
    async with connect() as conn:
        for statement in _STATEMENTS:
            rows = await (await conn.execute(statement, {"window": window, "limit": MOST_ROWS})).fetchall()
            found += [Trouble(**row) for row in rows]
    return found
