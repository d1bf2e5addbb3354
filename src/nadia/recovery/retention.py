"""How long recovery's records are kept; any process may end them, for no run reads them again."""

from datetime import timedelta
from typing import Final

from nadia.postgres.database import Database

SUMMARIES_KEPT: Final = timedelta(days=7)
"""They hold customers' words; drafting needs them while the gap is being answered."""

RUNS_KEPT: Final = timedelta(days=30)
"""Long enough to compare a run with those of the weeks before."""

# Whatever became of the gap: one that never closes holds no words longer either.
_FORGET_SUMMARIES = """
UPDATE recovery_chats SET summary = NULL, summarised_at = NULL WHERE summarised_at < now() - %(summaries_kept)s
"""

# Failed chats stay until a later gap takes them over: where nothing is looked for meanwhile, that is long.
_FORGET_CHATS = """
DELETE FROM recovery_chats c USING recovery_gaps g
WHERE g.id = c.gap_id AND g.closed_at < now() - %(summaries_kept)s AND c.state <> 'failed'
"""

# By the time they began, for which there is an index. Those of an open gap go too, but not what its chats refer to.
_FORGET_OPERATIONS = """
DELETE FROM recovery_operations o
WHERE o.started_at < now() - %(runs_kept)s AND o.state <> 'running'
  AND NOT EXISTS (SELECT 1 FROM recovery_chats c WHERE c.operation_id = o.id)
"""

_FORGET_GAPS = """
DELETE FROM recovery_gaps g
WHERE g.closed_at < now() - %(runs_kept)s
  AND NOT EXISTS (SELECT 1 FROM recovery_operations o WHERE o.gap_id = g.id)
  AND NOT EXISTS (SELECT 1 FROM recovery_chats c WHERE c.gap_id = g.id)
"""


async def enforce(database: Database) -> None:
    """Delete what is older than it is of use.

    Raises
    ------
    UnavailableError
        If PostgreSQL is away.
    """
    kept = {"summaries_kept": SUMMARIES_KEPT, "runs_kept": RUNS_KEPT}
    async with database.transaction() as conn:
        for statement in (_FORGET_SUMMARIES, _FORGET_CHATS, _FORGET_OPERATIONS, _FORGET_GAPS):
            await conn.execute(statement, kept)
