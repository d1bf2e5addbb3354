"""Opening the session that an account is acted for with; a process that cannot open it says so to a person, once."""

from typing import Final

import structlog

from nadia.errors import UnavailableError
from nadia.notices import FIRES_FOR, Notice, Severity
from nadia.notices import record as record_notice
from nadia.postgres.database import Database
from nadia.telegram.session_key import SessionKeyError, SessionKeySource
from nadia.telegram.session_material import SessionMaterial
from nadia.telegram.sessions import StoredSession

log = structlog.get_logger(__name__)

SESSION_UNREADABLE: Final = "telegram.session_unreadable"
"""Topic of an account that nobody can act for; label ``account``."""

# Nobody needs to know of a session that another log-in has replaced, or with which another process acts; and of several
# processes only one is to tell.
_LOCK = """
SELECT 1 FROM telegram_sessions
WHERE telegram_account_id = %(account)s AND version = %(version)s AND revoked_at IS NULL
  AND NOT EXISTS (SELECT FROM telegram_accounts WHERE id = %(account)s AND expires_at > clock_timestamp())
FOR UPDATE
"""

# Told of, not over since, and still an alert.
_IS_TOLD = """
SELECT 1 FROM notices
WHERE id = (SELECT max(id) FROM notices WHERE fingerprint = %(fingerprint)s)
  AND NOT resolves AND at > clock_timestamp() - %(fires_for)s
"""


async def open_session(database: Database, session: StoredSession, keys: SessionKeySource) -> SessionMaterial:
    """Return the session, or write a notice unless there is one: tried again, it fails again and again.

    What is told of it is over when Telegram accepts a session of the account (`nadia.app.revocation`).

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
            log.warning("notice.lost", topic=SESSION_UNREADABLE, reason=away.message)
        raise


async def _tell_once(database: Database, session: StoredSession, problem: SessionKeyError) -> None:
    remedy = f": {problem.hint}" if problem.hint else ""
    notice = Notice(
        topic=SESSION_UNREADABLE,
        summary=f"Nobody acts for account {session.telegram_account_id}, whose session cannot be opened: "
        f"{problem.message}{remedy}",
        severity=Severity.CRITICAL,
        labels={"account": session.telegram_account_id},
    )
    async with database.transaction() as conn:
        values = {"account": session.telegram_account_id, "version": session.version}
        if await (await conn.execute(_LOCK, values)).fetchone() is None:
            return
        told = {"fingerprint": notice.fingerprint, "fires_for": FIRES_FOR}
        if await (await conn.execute(_IS_TOLD, told)).fetchone() is None:
            await record_notice(conn, notice)
