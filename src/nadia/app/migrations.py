"""Changing the schema as an operator does: plan, guard, change, and an audit row of it."""

import asyncio
from collections.abc import Sequence

from nadia.conversations import audit
from nadia.errors import RefusedError
from nadia.postgres import schema
from nadia.postgres.database import Database

# What the server's statistics say: near enough to see what is at stake, and quick on large tables.
_ROWS = """
SELECT relname AS name, n_live_tup AS rows FROM pg_stat_user_tables
WHERE schemaname = current_schema() AND n_live_tup > 0 AND relname <> 'alembic_version' ORDER BY relname
"""

_HAS = "SELECT to_regclass(%(table)s) IS NOT NULL AS there"

_ACTING = "SELECT id FROM telegram_accounts WHERE expires_at > clock_timestamp() ORDER BY id"


async def rows_by_table(database: Database) -> Sequence[tuple[str, int]]:
    """Return the tables that hold rows, with about how many."""
    async with database.connection() as conn:
        return [(row["name"], row["rows"]) for row in await (await conn.execute(_ROWS)).fetchall()]


async def downgrade(database: Database, *, dsn: str, revision: str, actor: str) -> None:
    """Take migrations back, unless a NADIA works on this database.

    Raises
    ------
    RefusedError
        If some process acts for a Telegram account.
    """
    await _require_nobody_acts(database)
    before = await schema.applied(database)
    await _record(database, actor=actor, action="schema.downgraded", before=before, after=revision)
    await asyncio.to_thread(schema.downgrade, dsn, revision)


async def upgrade(database: Database, *, dsn: str, revision: str, actor: str) -> None:
    """Apply migrations."""
    before = await schema.applied(database)
    await asyncio.to_thread(schema.upgrade, dsn, revision)
    after = await schema.applied(database)
    if after != before:
        await _record(database, actor=actor, action="schema.upgraded", before=before, after=schema.said(after))


async def _require_nobody_acts(database: Database) -> None:
    if not await _has(database, "telegram_accounts"):
        return
    async with database.connection() as conn:
        acting = [row["id"] for row in await (await conn.execute(_ACTING)).fetchall()]
    if acting:
        raise RefusedError(
            f"a NADIA acts for the Telegram account {acting[0]} on this database",
            hint="stop every NADIA first; an owner that died is gone after its lease",
        )


async def _record(database: Database, *, actor: str, action: str, before: Sequence[str], after: str) -> None:
    if await _has(database, "audit_log"):
        async with database.transaction() as conn:
            await audit.record(
                conn,
                actor=actor,
                action=action,
                subject="schema",
                before={"revision": schema.said(before)},
                after={"revision": after},
            )


async def _has(database: Database, table: str) -> bool:
    async with database.connection() as conn:
        row = await (await conn.execute(_HAS, {"table": table})).fetchone()
    return bool(row and row["there"])
