"""The access hashes of the accounts' peers, in PostgreSQL."""

from collections.abc import Mapping

from nadia.postgres.database import Database

_GET = """
SELECT access_hash FROM telegram_entities WHERE telegram_account_id = %(account_id)s AND user_id = %(user_id)s
"""

# In order, so that two writers lock rows in the same one. What is on record already is not written again. There is no
# fencing: a hash is Telegram's, and the same whoever writes it down.
_PUT = """
INSERT INTO telegram_entities AS known (telegram_account_id, user_id, access_hash)
SELECT %(account_id)s, told.user_id, told.access_hash
FROM unnest(%(user_ids)s::bigint[], %(access_hashes)s::bigint[]) AS told (user_id, access_hash)
ORDER BY told.user_id
ON CONFLICT (telegram_account_id, user_id) DO UPDATE SET
    access_hash = excluded.access_hash, seen_at = clock_timestamp()
WHERE known.access_hash <> excluded.access_hash
"""

# Only the hash that Telegram refused: a newer one may have come meanwhile.
_DELETE = """
DELETE FROM telegram_entities
WHERE telegram_account_id = %(account_id)s AND user_id = %(user_id)s AND access_hash = %(access_hash)s
"""


class EntityStore:
    """Table ``telegram_entities``; every method raises ``UnavailableError`` while PostgreSQL is away.

    Parameters
    ----------
    database : Database
        Where the table is.
    """

    def __init__(self, *, database: Database) -> None:
        self._database = database

    async def get(self, account_id: str, user_id: int) -> int | None:
        """Return a peer's access hash, if it is on record."""
        async with self._database.connection() as conn:
            cursor = await conn.execute(_GET, {"account_id": account_id, "user_id": user_id})
            row = await cursor.fetchone()
        return None if row is None else int(row["access_hash"])

    async def put(self, account_id: str, access_hashes: Mapping[int, int]) -> None:
        """Put peers on record: access hashes by user id, in one statement."""
        values = {
            "account_id": account_id,
            "user_ids": list(access_hashes),
            "access_hashes": list(access_hashes.values()),
        }
        async with self._database.connection() as conn:
            await conn.execute(_PUT, values)

    async def delete(self, account_id: str, user_id: int, access_hash: int) -> None:
        """Forget a peer, if this is still its hash."""
        values = {"account_id": account_id, "user_id": user_id, "access_hash": access_hash}
        async with self._database.connection() as conn:
            await conn.execute(_DELETE, values)
