"""People and programs that may log in, and should perhaps not, or not so easily."""

from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from typing import Final

from nadia.postgres.database import Connection, Row
from nadia.workflows.report import WorkflowFinding
from nadia.workflows.security.scan import Scan, critical, warning

UNUSED: Final = timedelta(days=90)
"""A token that nobody used for so long is most likely forgotten."""

OLD: Final = timedelta(days=365)
"""A token that is so old was seen by many."""

NEVER_USED: Final = timedelta(days=7)
"""A token that was never used although there was time enough."""

# Each account with what of it can still be used; by the database's clock.
_ACCOUNTS = """
SELECT a.name, a.role, a.disabled_at IS NOT NULL AS disabled, a.totp_confirmed_at IS NOT NULL AS second_factor,
    (SELECT count(*) FROM account_sessions s
     WHERE s.account_id = a.id AND s.revoked_at IS NULL AND s.expires_at > clock_timestamp()) AS sessions,
    (SELECT count(*) FROM account_tokens t WHERE t.account_id = a.id AND t.revoked_at IS NULL) AS tokens
FROM accounts a ORDER BY lower(a.name)
"""

# Tokens in use that are old, unused or forgotten, by the database's clock.
_TOKENS = """
SELECT a.name AS account, t.name, t.role,
    extract(day FROM clock_timestamp() - t.created_at)::int AS age_days,
    extract(day FROM clock_timestamp() - t.last_used_at)::int AS unused_days
FROM account_tokens t JOIN accounts a ON a.id = t.account_id
WHERE t.revoked_at IS NULL AND a.disabled_at IS NULL AND (
    t.created_at < clock_timestamp() - %(old)s
    OR t.last_used_at < clock_timestamp() - %(unused)s
    OR (t.last_used_at IS NULL AND t.created_at < clock_timestamp() - %(never_used)s))
ORDER BY lower(a.name), t.id
"""


class AccountScanner:
    """Looks at accounts, sessions and tokens.

    Parameters
    ----------
    connect : callable
        Yields a connection, such as `Database.connection`; raises UnavailableError where there is none.
    """

    title = "people and tokens"

    def __init__(self, *, connect: Callable[[], AbstractAsyncContextManager[Connection]]) -> None:
        self._connect = connect

    async def scan(self) -> Scan:
        """Look."""
        async with self._connect() as conn:
            accounts = await (await conn.execute(_ACCOUNTS)).fetchall()
            ages = {"old": OLD, "unused": UNUSED, "never_used": NEVER_USED}
            tokens = await (await conn.execute(_TOKENS, ages)).fetchall()
        findings = [finding for row in accounts for finding in _judge_account(row)]
        findings += map(_judge_token, tokens)
        in_use = sum(row["tokens"] for row in accounts if not row["disabled"])
        return Scan(looked_at=f"{len(accounts)} accounts, {in_use} tokens", findings=tuple(findings))


def _judge_account(row: Row) -> Iterator[WorkflowFinding]:
    name, subject = row["name"], f"account {row['name']}"
    if row["disabled"]:
        if row["sessions"] or row["tokens"]:
            yield critical(
                subject,
                f"is disabled, and has {row['sessions']} sessions and {row['tokens']} tokens that are not revoked",
                f"nadia account revoke {name}",
            )
    elif row["role"] == "admin" and not row["second_factor"]:
        yield warning(
            subject, "is an admin with nothing but a password or a link", f"{name} turns the second factor on, under Me"
        )


def _judge_token(row: Row) -> WorkflowFinding:
    subject = f"token {row['name']!r} of {row['account']} ({row['role']})"
    if row["unused_days"] is None and row["age_days"] >= NEVER_USED.days:
        why = f"was never used in {row['age_days']} days"
    elif row["unused_days"] is not None and row["unused_days"] >= UNUSED.days:
        why = f"was not used for {row['unused_days']} days"
    else:
        why = f"is {row['age_days']} days old"
    return warning(subject, why, "revoke it, under Me or Accounts, and make a new one where it is needed")
