"""What recovery leaves on record, written by hand, and a health check that looks at it."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from typing import Any, LiteralString, TypeAlias

from nadia.postgres.database import Connection, Database
from nadia.recovery.config import RecoveryConfig
from nadia.recovery.health import RecoveryHealthChecker
from nadia.recovery.health_config import RecoveryHealthSettings

Connect: TypeAlias = Callable[[], AbstractAsyncContextManager[Connection]]

SAID = "+15550100"
"""Stands in the error of every run: something of a customer's that no report may repeat."""


class Records:
    """Writes what recovery leaves on record, so long ago by the database's clock as a test wants."""

    def __init__(self, connect: Connect) -> None:
        self._connect = connect

    async def account(self, name: str, *, network: str = "sandbox", session: str | None = None) -> None:
        """An account; ``session`` is why its session was revoked, "" for one that was not, None for no session."""
        await self._run(
            "INSERT INTO telegram_accounts (id, network) VALUES (%(name)s, %(network)s)", name=name, network=network
        )
        if session is not None:
            await self._run(
                "INSERT INTO telegram_sessions "
                "(telegram_account_id, ciphertext, user_id, is_bot, revoked_at, revoked_reason) "
                "VALUES (%(name)s, 'x', 1, false, CASE WHEN %(reason)s <> '' THEN now() END, NULLIF(%(reason)s, ''))",
                name=name,
                reason=session,
            )

    async def cursor(self, account: str, *, hours: float) -> None:
        """A cursor that was verified so many hours ago."""
        await self._run(
            "INSERT INTO recovery_cursors (telegram_account_id, message_id, verified_at) "
            "VALUES (%(account)s, 1, now() - %(ago)s)",
            account=account,
            ago=timedelta(hours=hours),
        )

    async def gap(self, account: str, *, hours: float, closed: bool = False) -> int:
        """A gap that was opened so many hours ago."""
        return await self._id(
            "INSERT INTO recovery_gaps (telegram_account_id, after_message_id, reason, opened_at, closed_at) "
            "VALUES (%(account)s, 1, 'start', now() - %(ago)s, CASE WHEN %(closed)s THEN now() END) RETURNING id",
            account=account,
            ago=timedelta(hours=hours),
            closed=closed,
        )

    async def run(
        self,
        account: str,
        *,
        hours: float = 1,
        seconds: float = 10,
        state: str = "done",
        quiet_minutes: float = 0,
        **more: Any,
    ) -> int:
        """A run that began so many hours ago and took so long."""
        values = {
            "gap": await self.gap(account, hours=hours, closed=True),
            "account": account,
            "state": state,
            "ago": timedelta(hours=hours),
            "duration": timedelta(seconds=seconds),
            "quiet": timedelta(minutes=quiet_minutes),
            "chats": 10,
            "messages": 20,
            "errors": 0,
            "waited": 0.0,
            "said": f"refused by {SAID}",
        }
        return await self._id(
            "INSERT INTO recovery_operations (telegram_account_id, gap_id, reason, state, fencing_token, started_at, "
            "progressed_at, ended_at, chats_done, messages_found, messages_recorded, errors, flood_wait_seconds, error)"
            " VALUES (%(account)s, %(gap)s, 'start', %(state)s, 1, now() - %(ago)s, now() - %(quiet)s, "
            "CASE WHEN %(state)s <> 'running' THEN now() - %(ago)s + %(duration)s END, %(chats)s, %(messages)s, "
            "%(messages)s, %(errors)s, %(waited)s, %(said)s) RETURNING id",
            **values | more,
        )

    async def _run(self, statement: LiteralString, **values: object) -> None:
        async with self._connect() as conn:
            await conn.execute(statement, values)

    async def _id(self, statement: LiteralString, **values: object) -> int:
        async with self._connect() as conn:
            row = await (await conn.execute(statement, values)).fetchone()
        assert row is not None
        found: int = row["id"]
        return found


def checker(connect: Connect, **more: Any) -> RecoveryHealthChecker:
    """A checker of these records, with a stopwatch that stands still: how busy this machine is decides nothing."""
    given: dict[str, Any] = {
        "connect": connect,
        "recovery": RecoveryConfig(),
        "settings": RecoveryHealthSettings(),
        "network": "sandbox",
        "stopwatch": lambda: 0.0,
    }
    return RecoveryHealthChecker(**given | more)


async def fill(owner: Database, *, accounts: int, runs: int, days: float = 400) -> None:
    """Accounts with the longest names there may be, all in the worst of states, with runs over so many days.

    As the role that owns the schema, which may have the tables analysed.
    """
    async with owner.connection() as conn:
        await conn.execute(
            "INSERT INTO telegram_accounts (id, network) "
            "SELECT rpad('account-' || n, 63, 'x'), 'sandbox' FROM generate_series(1, %s) AS n",
            (accounts,),
        )
        await conn.execute(
            "INSERT INTO recovery_cursors SELECT id, 1, now() - interval '1000 days' FROM telegram_accounts"
        )
        await conn.execute(
            "INSERT INTO recovery_gaps (telegram_account_id, after_message_id, reason, opened_at) "
            "SELECT id, 1, 'start', now() - interval '999 days' FROM telegram_accounts"
        )
        await conn.execute(
            "INSERT INTO recovery_operations (telegram_account_id, gap_id, reason, state, fencing_token, started_at, "
            "ended_at, chats_done, errors, messages_found, flood_wait_seconds) "
            "SELECT gap.telegram_account_id, gap.id, 'start', 'failed', 1, at, at + interval '100 s', 1, 2147483, "
            "1000000, 1.0 / 3 "
            "FROM recovery_gaps AS gap, generate_series(1, %(each)s) AS n, "
            "LATERAL (SELECT now() - interval '1 h' - (n - 1) * %(time)s / %(each)s AS at) AS time",
            {"each": runs // accounts, "time": timedelta(days=days)},
        )
        await conn.execute("ANALYZE recovery_operations, recovery_gaps, recovery_cursors, telegram_accounts")
