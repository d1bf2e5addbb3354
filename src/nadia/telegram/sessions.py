"""Sessions of accounts that are logged in, as PostgreSQL has them: encrypted, with a version for each log-in.

A log-out leaves the row, without its session: a name belongs to one Telegram account for good, for message ids of two
would be taken for duplicates, and versions never begin again, so that whoever uses a session notices a new one.
"""

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from nadia.errors import ConflictError
from nadia.postgres.database import Connection
from nadia.telegram.session_key import SessionKey, SessionKeyError
from nadia.telegram.session_material import SessionMaterial

# A log-in, the first or another; one of somebody else's changes nothing.
_SAVE = """
INSERT INTO telegram_sessions (telegram_account_id, ciphertext, user_id, is_bot)
VALUES (%(account_id)s, %(ciphertext)s, %(user_id)s, %(is_bot)s)
ON CONFLICT (telegram_account_id) DO UPDATE SET
    ciphertext = excluded.ciphertext, version = telegram_sessions.version + 1, logged_in_at = clock_timestamp(),
    revoked_at = NULL, revoked_reason = NULL
WHERE telegram_sessions.user_id = excluded.user_id
RETURNING version
"""

_FIND = "SELECT * FROM telegram_sessions WHERE telegram_account_id = %(account_id)s"

# What bots act with.
_USABLE = "SELECT * FROM telegram_sessions WHERE revoked_at IS NULL ORDER BY telegram_account_id"

# By the version, for meanwhile somebody may have logged in again.
_REVOKE = """
UPDATE telegram_sessions SET revoked_at = clock_timestamp(), revoked_reason = %(reason)s
WHERE telegram_account_id = %(account_id)s AND version = %(version)s AND revoked_at IS NULL
RETURNING version
"""

_ERASE = """
UPDATE telegram_sessions SET ciphertext = '' WHERE telegram_account_id = %(account_id)s AND revoked_at IS NOT NULL
"""

# Whose sessions would be lost with the key.
_KEPT = """
SELECT telegram_account_id FROM telegram_sessions
WHERE ciphertext <> '' AND revoked_at IS NULL ORDER BY telegram_account_id
"""


@dataclass(frozen=True, slots=True)
class StoredSession:
    """One row: an account's session, sealed.

    Parameters
    ----------
    telegram_account_id : str
        The account.
    ciphertext : bytes
        Empty once it was logged out.
    user_id : int
        Whose account it is at Telegram.
    is_bot : bool
        Whether it was logged in with a bot token.
    version : int
        Rises with each log-in.
    logged_in_at : datetime
        When.
    revoked_at, revoked_reason : datetime and str, or None
        Since when Telegram no longer accepts it, and Telegram's word for why.
    """

    telegram_account_id: str
    ciphertext: bytes = field(repr=False)
    user_id: int
    is_bot: bool
    version: int
    logged_in_at: datetime
    revoked_at: datetime | None
    revoked_reason: str | None

    def open(self, key: SessionKey) -> SessionMaterial:
        """Return the session.

        Raises
        ------
        SessionKeyError
            If the key does not fit.
        """
        return unpack(key.decrypt(self.ciphertext))


def pack(material: SessionMaterial) -> bytes:
    """Return the plain bytes of a session, to be encrypted at once."""
    return json.dumps(
        {
            "dc_id": material.dc_id,
            "host": material.host,
            "port": material.port,
            "auth_key": base64.b64encode(material.auth_key).decode("ascii"),
            "user_id": material.user_id,
            "is_bot": material.is_bot,
        }
    ).encode("ascii")


def unpack(plain: bytes) -> SessionMaterial:
    """Return the session that `pack` made bytes of.

    Raises
    ------
    SessionKeyError
        If they are none.
    """
    try:
        values = json.loads(plain)
        return SessionMaterial(**values | {"auth_key": base64.b64decode(values["auth_key"], validate=True)})
    except (ValueError, TypeError, KeyError):
        # Not "from exc": the bytes are the session.
        raise SessionKeyError(
            "the stored session was written by another version of NADIA", hint="log the account in again"
        ) from None


async def save(conn: Connection, *, account_id: str, material: SessionMaterial, key: SessionKey) -> int:
    """Keep a session that was just made, and return its version.

    Raises
    ------
    ConflictError
        If the name belongs to another account of Telegram's.
    """
    values = {
        "account_id": account_id,
        "ciphertext": key.encrypt(pack(material)),
        "user_id": material.user_id,
        "is_bot": material.is_bot,
    }
    row = await (await conn.execute(_SAVE, values)).fetchone()
    if row is None:
        raise ConflictError(
            f"{account_id} is the name of another Telegram account: its conversations are on record under it",
            hint="log in with another name: nadia telegram login --account NAME",
        )
    return int(row["version"])


async def find(conn: Connection, account_id: str) -> StoredSession | None:
    """Return an account's session, also one that is no longer accepted."""
    row = await (await conn.execute(_FIND, {"account_id": account_id})).fetchone()
    return StoredSession(**row) if row else None


async def usable(conn: Connection) -> Sequence[StoredSession]:
    """Return every session that Telegram accepts, as far as is known."""
    return [StoredSession(**row) for row in await (await conn.execute(_USABLE)).fetchall()]


async def revoke(conn: Connection, *, account_id: str, version: int, reason: str) -> bool:
    """Record that a session is at its end; False if it was known, or somebody has logged in again."""
    values = {"account_id": account_id, "version": version, "reason": reason}
    return await (await conn.execute(_REVOKE, values)).fetchone() is not None


async def erase(conn: Connection, account_id: str) -> None:
    """Forget the session of an account whose session is at its end."""
    await conn.execute(_ERASE, {"account_id": account_id})


async def accounts_with_session(conn: Connection) -> Sequence[str]:
    """Return the accounts that could not go on without the key."""
    return [row["telegram_account_id"] for row in await (await conn.execute(_KEPT)).fetchall()]
