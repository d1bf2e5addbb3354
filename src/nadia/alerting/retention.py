"""How long what was told, and what people said about it, is kept; any process may end it."""

from datetime import timedelta
from typing import Final

from nadia.postgres.database import Database

KEPT: Final = timedelta(days=90)
"""Long enough to look back on a quarter; far longer than anything fires, is acknowledged or, once begun, is silent."""

_FORGET_NOTICES = "DELETE FROM notices WHERE at < clock_timestamp() - %(kept)s"

_FORGET_ACKNOWLEDGEMENTS = "DELETE FROM alert_acknowledgements WHERE at < clock_timestamp() - %(kept)s"

# By their end: one that is in force stays, however old it is.
_FORGET_SILENCES = "DELETE FROM alert_silences WHERE ends_at < clock_timestamp() - %(kept)s"


async def enforce(database: Database) -> None:
    """Delete what is older than it is of use; what people did stays in the audit log.

    Raises
    ------
    UnavailableError
        If PostgreSQL is away.
    """
    async with database.transaction() as conn:
        for statement in (_FORGET_NOTICES, _FORGET_ACKNOWLEDGEMENTS, _FORGET_SILENCES):
            await conn.execute(statement, {"kept": KEPT})
