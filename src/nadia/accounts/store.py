"""Accounts in PostgreSQL: every statement, by name.

Functions take the caller's connection, so that a change and its audit row share a transaction. Times are passed in.
"""

# ruff: noqa: S105, S608  (statements are named for passwords and tokens, and put together from column names only)

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, TypedDict

from nadia.accounts.models import Account, AccountOverview, ApiToken, LinkPurpose, Principal, Role
from nadia.postgres.database import Connection, Row

_COLUMNS: Final = """
    accounts.id, accounts.name, accounts.role, accounts.created_at, accounts.disabled_at,
    accounts.password_hash IS NOT NULL AS has_password, accounts.totp_confirmed_at IS NOT NULL AS has_second_factor
"""

# One account creation at a time, so that there is one first admin.
LOCK_CREATION: Final = "SELECT pg_advisory_xact_lock(7319844)"

COUNT: Final = "SELECT count(*) AS count FROM accounts"

# ON CONFLICT rather than a look beforehand: two invitations of one name cannot both succeed.
CREATE: Final = f"""
INSERT INTO accounts (name, role, created_at) VALUES (%(name)s, %(role)s, %(now)s)
ON CONFLICT (lower(name)) DO NOTHING
RETURNING {_COLUMNS}
"""

BY_ID: Final = f"SELECT {_COLUMNS} FROM accounts WHERE id = %(id)s"
BY_ID_LOCKED: Final = BY_ID + " FOR NO KEY UPDATE"
BY_NAME: Final = f"SELECT {_COLUMNS} FROM accounts WHERE lower(name) = lower(%(name)s)"

# All accounts with what an admin looks for.
OVERVIEW: Final = f"""
SELECT {_COLUMNS}, accounts.locked_until, count(open.token_hash) AS sessions, max(every.last_seen_at) AS last_seen_at
FROM accounts
LEFT JOIN account_sessions AS every ON every.account_id = accounts.id
LEFT JOIN account_sessions AS open ON open.token_hash = every.token_hash
    AND open.revoked_at IS NULL AND open.expires_at > %(now)s AND open.last_seen_at > %(idle_since)s
GROUP BY accounts.id
ORDER BY accounts.disabled_at IS NOT NULL, lower(accounts.name)
"""

# Held while an admin loses the role or is disabled: two who remove each other wait here, and the second one sees it.
LOCK_ADMINS: Final = """
SELECT id FROM accounts WHERE role = 'admin' AND disabled_at IS NULL ORDER BY id FOR NO KEY UPDATE
"""

SET_ROLE: Final = "UPDATE accounts SET role = %(role)s WHERE id = %(id)s"
SET_DISABLED: Final = "UPDATE accounts SET disabled_at = %(disabled_at)s WHERE id = %(id)s"
# Guesses stay counted: a new password says nothing about who guesses codes.
SET_PASSWORD: Final = "UPDATE accounts SET password_hash = %(password_hash)s WHERE id = %(id)s"

# A guess is counted before it is looked at, so that a hundred at once are a hundred. Whoever is locked gets no row.
# The lock doubles with each guess past the fifth, up to a quarter of an hour.
RESERVE_GUESS: Final = """
UPDATE accounts SET
    failed_logins = failed_logins + 1,
    locked_until = CASE WHEN failed_logins + 1 >= %(free)s
        THEN %(now)s + least(%(longest)s, %(shortest)s * power(2, least(failed_logins + 1 - %(free)s, 10))) END
WHERE {key} AND (locked_until IS NULL OR locked_until <= %(now)s)
RETURNING {columns}, password_hash, totp_secret, totp_confirmed_at
"""
RESERVE_GUESS_BY_NAME: Final = RESERVE_GUESS.format(key="lower(name) = lower(%(name)s)", columns=_COLUMNS)
RESERVE_GUESS_BY_ID: Final = RESERVE_GUESS.format(key="id = %(id)s", columns=_COLUMNS)

# Neither right nor wrong: as if it had not been made.
RETURN_GUESS: Final = "UPDATE accounts SET failed_logins = failed_logins - 1, locked_until = NULL WHERE id = %(id)s"
FORGIVE_GUESSES: Final = "UPDATE accounts SET failed_logins = 0, locked_until = NULL WHERE id = %(id)s"

# Lets someone in whose proof was checked, unless the password was changed or the account disabled meanwhile.
ACCEPT: Final = """
UPDATE accounts SET failed_logins = 0, locked_until = NULL
WHERE id = %(id)s AND password_hash = %(password_hash)s AND disabled_at IS NULL
RETURNING id
"""

SET_TOTP: Final = """
UPDATE accounts SET totp_secret = %(secret)s, totp_confirmed_at = NULL, totp_last_step = NULL
WHERE id = %(id)s AND totp_confirmed_at IS NULL
"""
CONFIRM_TOTP: Final = """
UPDATE accounts SET totp_confirmed_at = %(now)s, totp_last_step = %(step)s
WHERE id = %(id)s AND totp_secret = %(secret)s AND totp_confirmed_at IS NULL
RETURNING id
"""
CLEAR_TOTP: Final = """
UPDATE accounts SET totp_secret = NULL, totp_confirmed_at = NULL, totp_last_step = NULL WHERE id = %(id)s
"""
TOTP_SECRET: Final = "SELECT totp_secret FROM accounts WHERE id = %(id)s AND totp_confirmed_at IS NULL"

# A code's step counts once, whoever comes second.
USE_TOTP_STEP: Final = """
UPDATE accounts SET totp_last_step = %(step)s
WHERE id = %(id)s AND (totp_last_step IS NULL OR totp_last_step < %(step)s)
RETURNING id
"""

CLEAR_RECOVERY_CODES: Final = "DELETE FROM recovery_codes WHERE account_id = %(id)s"
ADD_RECOVERY_CODES: Final = """
INSERT INTO recovery_codes (account_id, code_hash) SELECT %(id)s, unnest(%(hashes)s::bytea[])
"""
USE_RECOVERY_CODE: Final = """
UPDATE recovery_codes SET used_at = %(now)s WHERE account_id = %(id)s AND code_hash = %(hash)s AND used_at IS NULL
RETURNING account_id
"""
COUNT_RECOVERY_CODES: Final = """
SELECT count(*) AS count FROM recovery_codes WHERE account_id = %(id)s AND used_at IS NULL
"""

CREATE_SESSION: Final = """
INSERT INTO account_sessions (token_hash, account_id, created_at, last_seen_at, expires_at, user_agent)
VALUES (%(hash)s, %(id)s, %(now)s, %(now)s, %(expires_at)s, %(user_agent)s)
"""
# Sessions long over say nothing any more; cleared whenever their owner logs in.
CLEAR_OLD_SESSIONS: Final = """
DELETE FROM account_sessions WHERE account_id = %(id)s AND (expires_at < %(before)s OR revoked_at < %(before)s)
"""
RESOLVE_SESSION: Final = f"""
SELECT {_COLUMNS}, account_sessions.last_seen_at
FROM account_sessions JOIN accounts ON accounts.id = account_sessions.account_id
WHERE token_hash = %(hash)s AND revoked_at IS NULL AND accounts.disabled_at IS NULL
    AND expires_at > %(now)s AND last_seen_at > %(idle_since)s
"""
TOUCH_SESSION: Final = """
UPDATE account_sessions SET last_seen_at = %(now)s WHERE token_hash = %(hash)s AND last_seen_at < %(now)s
"""
SESSIONS: Final = """
SELECT token_hash, created_at, last_seen_at, expires_at, user_agent FROM account_sessions
WHERE account_id = %(id)s AND revoked_at IS NULL AND expires_at > %(now)s AND last_seen_at > %(idle_since)s
ORDER BY last_seen_at DESC
"""
REVOKE_SESSION: Final = """
UPDATE account_sessions SET revoked_at = %(now)s WHERE token_hash = %(hash)s AND revoked_at IS NULL
RETURNING account_id
"""
REVOKE_SESSIONS: Final = """
UPDATE account_sessions SET revoked_at = %(now)s
WHERE account_id = %(id)s AND revoked_at IS NULL AND token_hash IS DISTINCT FROM %(keep)s
"""

CREATE_TOKEN: Final = """
INSERT INTO account_tokens (account_id, name, token_hash, role, created_at)
VALUES (%(id)s, %(name)s, %(hash)s, %(role)s, %(now)s)
RETURNING id, name, role, created_at, last_used_at
"""
TOKENS: Final = """
SELECT id, name, role, created_at, last_used_at FROM account_tokens
WHERE account_id = %(id)s AND revoked_at IS NULL ORDER BY id
"""
REVOKE_TOKEN: Final = """
UPDATE account_tokens SET revoked_at = %(now)s
WHERE account_id = %(id)s AND id = %(token_id)s AND revoked_at IS NULL RETURNING name
"""
REVOKE_TOKENS: Final = """
UPDATE account_tokens SET revoked_at = %(now)s WHERE account_id = %(id)s AND revoked_at IS NULL
"""
RESOLVE_TOKEN: Final = f"""
SELECT {_COLUMNS}, account_tokens.id AS token_id, account_tokens.name AS token_name,
    account_tokens.role AS token_role, account_tokens.last_used_at
FROM account_tokens JOIN accounts ON accounts.id = account_tokens.account_id
WHERE token_hash = %(hash)s AND revoked_at IS NULL AND accounts.disabled_at IS NULL
"""
TOUCH_TOKEN: Final = "UPDATE account_tokens SET last_used_at = %(now)s WHERE id = %(token_id)s"

# A new link of a kind replaces the ones before it.
EXPIRE_LINKS: Final = """
UPDATE one_time_links SET used_at = %(now)s
WHERE account_id = %(id)s AND purpose = ANY(%(purposes)s) AND used_at IS NULL
"""
CREATE_LINK: Final = """
INSERT INTO one_time_links (token_hash, account_id, purpose, created_at, expires_at)
VALUES (%(hash)s, %(id)s, %(purpose)s, %(now)s, %(expires_at)s)
"""
FIND_LINK: Final = f"""
SELECT {_COLUMNS}, one_time_links.purpose
FROM one_time_links JOIN accounts ON accounts.id = one_time_links.account_id
WHERE token_hash = %(hash)s AND purpose = ANY(%(purposes)s) AND used_at IS NULL AND expires_at > %(now)s
    AND accounts.disabled_at IS NULL
"""
# Of two who use a link at once, one gets the row.
USE_LINK: Final = """
UPDATE one_time_links SET used_at = %(now)s
WHERE token_hash = %(hash)s AND used_at IS NULL AND expires_at > %(now)s RETURNING account_id
"""

AUDIT: Final = """
INSERT INTO audit_log (at, actor, action, subject, before, after)
VALUES (%(now)s, %(actor)s, %(action)s, %(subject)s, %(before)s::jsonb, %(after)s::jsonb)
"""

FREE_GUESSES: Final = 5
"""Wrong guesses at one account that cost nothing."""
_SHORTEST_LOCK: Final = timedelta(seconds=30)
_LONGEST_LOCK: Final = timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class Credentials:
    """What is compared when someone shows who they are; never leaves this package."""

    account: Account
    password_hash: str | None
    totp_secret: bytes | None


async def one(conn: Connection, query: str, **values: object) -> Row | None:
    """Run a statement and return its first row, if any."""
    return await (await conn.execute(query, values)).fetchone()


async def many(conn: Connection, query: str, **values: object) -> list[Row]:
    """Run a statement and return its rows."""
    return await (await conn.execute(query, values)).fetchall()


async def reserve_guess(
    conn: Connection, *, now: datetime, name: str | None = None, account_id: int | None = None
) -> Credentials | None:
    """Count one guess at an account and return what to compare it with; None if there is none or it is locked."""
    row = await one(
        conn,
        RESERVE_GUESS_BY_ID if name is None else RESERVE_GUESS_BY_NAME,
        name=name,
        id=account_id,
        now=now,
        free=FREE_GUESSES,
        shortest=_SHORTEST_LOCK,
        longest=_LONGEST_LOCK,
    )
    if row is None:
        return None
    confirmed = row["totp_confirmed_at"] is not None
    return Credentials(account_from(row), row["password_hash"], row["totp_secret"] if confirmed else None)


async def id_of(conn: Connection, name: str) -> int | None:
    """Return the id of the account of that name, if there is one."""
    row = await one(conn, BY_NAME, name=name)
    return None if row is None else row["id"]


class EndedAccess(TypedDict):
    """What was open to an account and is no more, as the audit log shows it."""

    sessions: int
    tokens: int


async def revoke_access(conn: Connection, account: Account, *, now: datetime, keep: bytes | None = None) -> EndedAccess:
    """End an account's sessions, all but the one whose digest is ``keep``, and revoke its tokens."""
    sessions = await conn.execute(REVOKE_SESSIONS, {"id": account.id, "now": now, "keep": keep})
    tokens = await conn.execute(REVOKE_TOKENS, {"id": account.id, "now": now})
    return EndedAccess(sessions=sessions.rowcount, tokens=tokens.rowcount)


async def audit(
    conn: Connection,
    *,
    now: datetime,
    actor: str,
    action: str,
    account: Account,
    before: Mapping[str, object] | None = None,
    after: Mapping[str, object] | None = None,
) -> None:
    """Write down who did what to which account, within the caller's transaction."""
    await conn.execute(
        AUDIT,
        {
            "now": now,
            "actor": actor,
            "action": action,
            "subject": account.reference,
            "before": None if before is None else json.dumps(before),
            "after": None if after is None else json.dumps(after),
        },
    )


def account_from(row: Row) -> Account:
    """Read an account's columns."""
    return Account(
        id=row["id"],
        name=row["name"],
        role=Role(row["role"]),
        created_at=row["created_at"],
        disabled_at=row["disabled_at"],
        has_password=row["has_password"],
        has_second_factor=row["has_second_factor"],
    )


def overview_from(row: Row, *, now: datetime) -> AccountOverview:
    """Read a row of the overview; a lock that is over is none."""
    locked = row["locked_until"] if row["locked_until"] and row["locked_until"] > now else None
    return AccountOverview(account_from(row), row["sessions"], row["last_seen_at"], locked)


def token_from(row: Row) -> ApiToken:
    """Read a token's columns."""
    return ApiToken(row["id"], row["name"], Role(row["role"]), row["created_at"], row["last_used_at"])


def token_principal(row: Row) -> Principal:
    """Read who a token stands for: no more than its owner may today."""
    account, role = account_from(row), Role(row["token_role"])
    return Principal(account, role if account.role.covers(role) else account.role, "token", row["token_name"])


LINK_LIFETIME: Final = {
    LinkPurpose.LOGIN: timedelta(minutes=10),
    LinkPurpose.INVITE: timedelta(days=3),
    LinkPurpose.RESET: timedelta(days=1),
}
"""How long each kind of link is good for (DESIGN section 1, promise 7, for logging in)."""
