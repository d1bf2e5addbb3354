"""What is known of each Telegram account: whose it is, who acts for it, and how far it was read."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from nadia.postgres.failures import Connection

LOGGED_OUT: Final = "LOGGED_OUT"
"""The reason of a session that was ended here."""

_OVERVIEW = """
SELECT account.id, account.network, session.user_id, coalesce(session.is_bot, false) AS is_bot, session.logged_in_at,
       session.revoked_reason, session.telegram_account_id IS NOT NULL AS has_session,
       CASE WHEN account.expires_at > clock_timestamp() THEN account.holder END AS owner,
       CASE WHEN account.expires_at > clock_timestamp() THEN account.expires_at END AS owned_until,
       CASE WHEN account.expires_at > clock_timestamp() THEN clock_timestamp() - account.owned_since END AS owned_for,
       clock_timestamp() - account.update_state_at AS position_age
FROM telegram_accounts AS account
LEFT JOIN telegram_sessions AS session ON session.telegram_account_id = account.id
ORDER BY account.id
"""


@dataclass(frozen=True, slots=True)
class AccountStatus:
    """One Telegram account.

    Parameters
    ----------
    id : str
        Its name in NADIA.
    network : str
        ``sandbox`` or ``telegram``.
    user_id : int or None
        Telegram's number of it; None while nobody has logged in.
    is_bot : bool
        Whether it was logged in with a bot token.
    logged_in_at : datetime or None
        When, last.
    revoked_reason : str or None
        Why Telegram no longer accepts the session.
    has_session : bool
        Whether anybody ever logged in.
    owner : str or None
        The process that acts for it.
    owned_until : datetime or None
        When that process's right runs out, unless it prolongs it.
    owned_for : timedelta or None
        How long it has acted for the account.
    position_age : timedelta or None
        How long ago the place up to which its updates were read was last stored; while nothing happens, nothing is.
    """

    id: str
    network: str
    user_id: int | None
    is_bot: bool
    logged_in_at: datetime | None
    revoked_reason: str | None
    has_session: bool
    owner: str | None
    owned_until: datetime | None
    owned_for: timedelta | None
    position_age: timedelta | None

    @property
    def session(self) -> str:
        """``accepted`` as far as is known, ``revoked``, ``logged out`` or ``none``; the sandbox needs none."""
        if not self.has_session:
            return "none"
        if self.revoked_reason is None:
            return "accepted"
        return "logged out" if self.revoked_reason == LOGGED_OUT else "revoked"


async def overview(conn: Connection) -> Sequence[AccountStatus]:
    """Return every account there is, by name."""
    return [AccountStatus(**row) for row in await (await conn.execute(_OVERVIEW)).fetchall()]
