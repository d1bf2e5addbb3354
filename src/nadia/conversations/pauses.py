"""Stopping and starting sending or drafting, for all or one Telegram account, at once."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from nadia.conversations import audit
from nadia.errors import NotFoundError
from nadia.notices import record_end
from nadia.postgres.database import Connection, Database
from nadia.redis.events import LiveEvents

PAUSES_CHANGED: Final = "pauses.changed"
"""The live event that open pages wait for."""


ACCOUNT_LIMITED: Final = "telegram.account_limited"
"""Topic of a Telegram account for which NADIA itself has paused sending; label ``account``."""


class Activity(StrEnum):
    """What can be paused."""

    SENDING = "sending"
    DRAFTING = "drafting"


# A second pause of the same scope changes nothing.
_PAUSE = """
INSERT INTO pauses (activity, telegram_account_id, reason, paused_by)
VALUES (%(activity)s, %(account_id)s, %(reason)s, %(actor)s)
ON CONFLICT (activity, coalesce(telegram_account_id, '')) DO NOTHING
RETURNING id
"""

_RESUME = """
DELETE FROM pauses WHERE activity = %(activity)s AND telegram_account_id IS NOT DISTINCT FROM %(account_id)s
RETURNING reason, paused_by
"""

_LIST = "SELECT activity, telegram_account_id, reason, paused_by, paused_at FROM pauses ORDER BY id"

_ACCOUNT_EXISTS = "SELECT 1 FROM telegram_accounts WHERE id = %(account_id)s"

# Asked within the transaction that acts, so that a pause holds from the moment it is committed.
_IS_PAUSED = """
SELECT EXISTS (
    SELECT 1 FROM pauses WHERE activity = %(activity)s
      AND (telegram_account_id IS NULL OR telegram_account_id = %(account_id)s)
) AS paused
"""


@dataclass(frozen=True, slots=True)
class Pause:
    """Something that stands still; ``telegram_account_id`` is None for all accounts."""

    activity: Activity
    telegram_account_id: str | None
    reason: str
    paused_by: str
    paused_at: datetime


class Pauses:
    """Sets, lifts and lists pauses.

    Parameters
    ----------
    database : Database
        Where they are.
    events : LiveEvents
        Tells pages.
    """

    def __init__(self, *, database: Database, events: LiveEvents) -> None:
        self._database = database
        self._events = events

    async def pause(self, activity: Activity, *, account_id: str | None = None, reason: str, actor: str) -> bool:
        """Stop an activity; returns False if it stood still already.

        Raises
        ------
        NotFoundError
            If there is no such Telegram account.
        """
        async with self._database.transaction() as conn:
            await _require_account(conn, account_id)
            values = {"activity": activity.value, "account_id": account_id, "reason": reason, "actor": actor}
            if await (await conn.execute(_PAUSE, values)).fetchone() is None:
                return False
            await audit.record(
                conn,
                actor=actor,
                action=f"{activity}.paused",
                subject=f"telegram_account:{account_id or 'all'}",
                after={"reason": reason},
            )
        await self._events.publish(PAUSES_CHANGED)
        return True

    async def resume(self, activity: Activity, *, account_id: str | None = None, actor: str) -> bool:
        """Start an activity again; returns False if it was not paused in this scope.

        Raises
        ------
        NotFoundError
            If there is no such Telegram account.
        """
        async with self._database.transaction() as conn:
            await _require_account(conn, account_id)
            values = {"activity": activity.value, "account_id": account_id}
            lifted = await (await conn.execute(_RESUME, values)).fetchone()
            if lifted is None:
                return False
            await audit.record(
                conn,
                actor=actor,
                action=f"{activity}.resumed",
                subject=f"telegram_account:{account_id or 'all'}",
                before=lifted,
            )
            if activity is Activity.SENDING and account_id is not None:
                await record_end(conn, ACCOUNT_LIMITED, {"account": account_id}, summary="Sending was resumed.")
        await self._events.publish(PAUSES_CHANGED)
        return True

    async def list(self) -> Sequence[Pause]:
        """Return what stands still, longest first."""
        async with self._database.connection() as conn:
            rows = await (await conn.execute(_LIST)).fetchall()
        return [Pause(**row | {"activity": Activity(row["activity"])}) for row in rows]


async def is_paused(conn: Connection, activity: Activity, account_id: str) -> bool:
    """Tell whether an activity stands still for an account, as seen by the caller's transaction."""
    row = await (await conn.execute(_IS_PAUSED, {"activity": activity.value, "account_id": account_id})).fetchone()
    return bool(row and row["paused"])


async def _require_account(conn: Connection, account_id: str | None) -> None:
    if account_id is None:
        return
    if await (await conn.execute(_ACCOUNT_EXISTS, {"account_id": account_id})).fetchone() is None:
        raise NotFoundError(f"there is no Telegram account {account_id!r}", hint="leave it out to mean all accounts")
