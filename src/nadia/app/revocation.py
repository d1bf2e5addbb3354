"""What becomes of an account whose session Telegram no longer accepts."""

import asyncio
from typing import Final, Protocol

import structlog

from nadia.app.session_opening import SESSION_UNREADABLE
from nadia.errors import UnavailableError
from nadia.notices import Notice, Severity, record_end
from nadia.notices import record as record_notice
from nadia.postgres.database import Connection, Database
from nadia.telegram import sessions
from nadia.telegram.errors import AccountRevokedError

log = structlog.get_logger(__name__)

_REVOKED: Final = "telegram.account_revoked"

_FIRST_SECONDS: Final = 600.0
_LONGEST_SECONDS: Final = 21_600.0
"""A revoked session is a person's to mend; trying again and again would only take it from whoever uses it."""

_ASK_AGAIN_SECONDS: Final = 1.0


class Revocation(Protocol):
    """Decides whether and when a revoked session is tried again; what is queued stays queued meanwhile."""

    @property
    def is_final(self) -> bool:
        """Whether this session is never to be tried again."""

    async def connected(self, account_id: str) -> None:
        """Take note that the session is accepted: what was told of the account's session is over."""

    async def met(self, account_id: str, problem: AccountRevokedError) -> float:
        """Say that a person has to act, once, and return the seconds until the next try."""


class PassingRevocation:
    """Of the sandbox, where nobody logs in: a session is tried again after a pause that grows.

    Parameters
    ----------
    database : Database
        Where notices are written.
    """

    is_final: Final = False

    def __init__(self, *, database: Database) -> None:
        self._database = database
        self._times = 0
        self._is_told = False

    async def connected(self, account_id: str) -> None:
        """Begin anew: the next revocation is another one."""
        self._times, self._is_told = 0, False
        await _accepted(self._database, account_id)

    async def met(self, account_id: str, problem: AccountRevokedError) -> float:
        """Write a notice, unless that was done since the session was last accepted."""
        pause = revoked_pause(self._times)
        self._times += 1
        log.error("account.revoked", account=account_id, reason=problem.reason, retry_seconds=pause)
        if not self._is_told:
            try:
                async with self._database.connection() as conn:
                    await _tell(conn, account_id, problem)
                self._is_told = True
            except UnavailableError as exc:
                log.warning("notice.lost", topic=_REVOKED, reason=exc.message)
        return pause


class FinalRevocation:
    """Of the real network: the session is marked in PostgreSQL, and nobody tries it until someone logs in again.

    Parameters
    ----------
    database : Database
        Where sessions are.
    version : int
        Of the session that this process acts with.
    """

    def __init__(self, *, database: Database, version: int) -> None:
        self._database = database
        self._version = version
        self._is_final = False

    @property
    def is_final(self) -> bool:
        """True once it is on record that Telegram has refused the session."""
        return self._is_final

    async def connected(self, account_id: str) -> None:
        """Say that it is well; a session that is refused stays so."""
        await _accepted(self._database, account_id)

    async def met(self, account_id: str, problem: AccountRevokedError) -> float:
        """Mark the session with Telegram's reason, and write the notice with it; however long PostgreSQL is away."""
        log.error("account.revoked", account=account_id, reason=problem.reason)
        while True:
            try:
                async with self._database.transaction() as conn:
                    if await sessions.revoke(conn, account_id=account_id, version=self._version, reason=problem.reason):
                        await _tell(conn, account_id, problem)
            except UnavailableError as exc:
                log.warning("account.revocation_unrecorded", account=account_id, reason=exc.message)
                await asyncio.sleep(_ASK_AGAIN_SECONDS)
            else:
                self._is_final = True  # only now: whoever takes the account up again would leave it so
                return 0.0


def revoked_pause(times: int) -> float:
    """Return the seconds until a session is tried again that was revoked, and then so many times more."""
    return min(_LONGEST_SECONDS, _FIRST_SECONDS * 2.0 ** min(times, 10))


async def record_well(conn: Connection, account_id: str, *, summary: str) -> None:
    """Say that whatever was wrong with an account's session is over, if something was."""
    for topic in (_REVOKED, SESSION_UNREADABLE):
        await record_end(conn, topic, {"account": account_id}, summary=summary)


async def _accepted(database: Database, account_id: str) -> None:
    try:
        async with database.transaction() as conn:
            await record_well(conn, account_id, summary=f"Telegram accepts the session of account {account_id}.")
    except UnavailableError as exc:  # the next connection says it
        log.warning("notice.lost", topic=_REVOKED, reason=exc.message)


async def _tell(conn: Connection, account_id: str, problem: AccountRevokedError) -> None:
    await record_notice(
        conn,
        Notice(
            topic=_REVOKED,
            summary=f"Telegram no longer accepts the session of account {account_id} ({problem.reason}): "
            f"log it in again: nadia telegram login --account {account_id}",
            severity=Severity.CRITICAL,
            labels={"account": account_id},
        ),
    )
