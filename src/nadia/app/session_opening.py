"""Opening the session that an account is acted for with; a process that cannot open it says so to a person, once."""

from typing import Final

import structlog

from nadia.errors import UnavailableError
from nadia.notices import Notice, Severity
from nadia.notices import record as record_notice
from nadia.postgres.database import Database
from nadia.telegram.session_key import SessionKeyError, SessionKeySource
from nadia.telegram.session_material import SessionMaterial
from nadia.telegram.sessions import StoredSession

log = structlog.get_logger(__name__)

_TOPIC: Final = "telegram.session_unreadable"

# Nobody needs to know of a session that another log-in has replaced; and of several processes only one is to tell.
_LOCK = """
SELECT 1 FROM telegram_sessions
WHERE telegram_account_id = %(account)s AND version = %(version)s::integer AND revoked_at IS NULL FOR UPDATE
"""

_IS_TOLD = """
SELECT 1 FROM notices
WHERE topic = %(topic)s AND labels ->> 'account' = %(account)s AND labels ->> 'version' = %(version)s LIMIT 1
"""


async def open_session(database: Database, session: StoredSession, keys: SessionKeySource) -> SessionMaterial:
    """Return the session, or write a notice unless this log-in has one: tried again, it fails again and again.

    Raises
    ------
    SessionKeyError
        If this process has no key, or another one.
    """
    try:
        return session.open(keys.read())
    except SessionKeyError as exc:
        try:
            await _tell_once(database, session, exc)
        except UnavailableError as away:
            log.warning("notice.lost", topic=_TOPIC, reason=away.message)
        raise


async def _tell_once(database: Database, session: StoredSession, problem: SessionKeyError) -> None:
    labels = {"account": session.telegram_account_id, "version": str(session.version)}
    async with database.transaction() as conn:
        if await (await conn.execute(_LOCK, labels)).fetchone() is None:
            return
        if await (await conn.execute(_IS_TOLD, labels | {"topic": _TOPIC})).fetchone() is not None:
            return
        remedy = f": {problem.hint}" if problem.hint else ""
        await record_notice(
            conn,
            Notice(
                topic=_TOPIC,
                summary=f"Nobody acts for account {session.telegram_account_id}, whose session cannot be opened: "
                f"{problem.message}{remedy}",
                severity=Severity.CRITICAL,
                labels=labels,
            ),
        )
