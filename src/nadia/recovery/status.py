"""How every account stands: what may be missing, and how the latest run goes."""

from nadia.errors import NotFoundError
from nadia.postgres.database import Connection, Database, Row
from nadia.recovery.models import AccountStatus, Operation, OperationState, Reason
from nadia.recovery.store import gap_from_row

_ACCOUNTS = """
SELECT a.id AS account_id, coalesce(a.expires_at > clock_timestamp(), false) AS owned, c.message_id, c.verified_at
FROM telegram_accounts a LEFT JOIN recovery_cursors c ON c.telegram_account_id = a.id
WHERE %(account_id)s::text IS NULL OR a.id = %(account_id)s
ORDER BY a.id
"""

_OPEN_GAPS = """
SELECT * FROM recovery_gaps
WHERE closed_at IS NULL AND (%(account_id)s::text IS NULL OR telegram_account_id = %(account_id)s)
"""

_LATEST_OPERATIONS = """
SELECT latest.* FROM telegram_accounts a CROSS JOIN LATERAL (
    SELECT * FROM recovery_operations WHERE telegram_account_id = a.id ORDER BY id DESC LIMIT 1
) latest
WHERE %(account_id)s::text IS NULL OR a.id = %(account_id)s
"""

_OPERATION = "SELECT * FROM recovery_operations WHERE id = %(operation_id)s"


class RecoveryStatus:
    """Reads how accounts and runs stand.

    Parameters
    ----------
    database : Database
        Where it is on record.
    """

    def __init__(self, *, database: Database) -> None:
        self._database = database

    async def accounts(self) -> list[AccountStatus]:
        """Return every account's status, by name."""
        async with self._database.connection() as conn:
            return await _statuses(conn, None)

    async def account(self, account_id: str) -> AccountStatus:
        """Return one account's status.

        Raises
        ------
        NotFoundError
            If there is no such account.
        """
        async with self._database.connection() as conn:
            found = await _statuses(conn, account_id)
        if not found:
            raise NotFoundError(
                f"there is no Telegram account {account_id!r}", hint="`nadia recover status` lists them"
            )
        return found[0]

    async def operation(self, operation_id: int) -> Operation:
        """Return how a run stands.

        Raises
        ------
        NotFoundError
            If there is no such run.
        """
        async with self._database.connection() as conn:
            row = await (await conn.execute(_OPERATION, {"operation_id": operation_id})).fetchone()
        if row is None:
            raise NotFoundError(f"there is no recovery operation {operation_id}")
        return _operation_from_row(row)


async def _statuses(conn: Connection, account_id: str | None) -> list[AccountStatus]:
    values = {"account_id": account_id}
    rows = await (await conn.execute(_ACCOUNTS, values)).fetchall()
    gaps = await (await conn.execute(_OPEN_GAPS, values)).fetchall()
    operations = await (await conn.execute(_LATEST_OPERATIONS, values)).fetchall()
    open_gaps = {row["telegram_account_id"]: gap_from_row(row) for row in gaps}
    latest = {row["telegram_account_id"]: _operation_from_row(row) for row in operations}
    return [
        AccountStatus(**row, gap=open_gaps.get(row["account_id"]), operation=latest.get(row["account_id"]))
        for row in rows
    ]


def _operation_from_row(row: Row) -> Operation:
    return Operation(
        **{name: row[name] for name in Operation.__slots__ if name not in ("state", "reason")},
        state=OperationState(row["state"]),
        reason=Reason(row["reason"]),
    )
