"""What the probes of the queues know: one statement, which those that ask at the same moment share."""

from dataclasses import dataclass

from nadia.delivery.catching_up import BEHIND
from nadia.health.postgres_reading import Connect, asking
from nadia.shared_calls import SharedCalls

# A pause is a person's decision, and so is that nothing is sent before a chat was read again; what waits for these is
# counted and not judged. A reply that can still be taken back is not due.
_QUEUES = """
WITH open AS (
    SELECT b.id, b.state, b.sealed_at, b.changed_at,
           EXISTS (
               SELECT 1 FROM pauses p WHERE p.activity = 'drafting'
                 AND (p.telegram_account_id IS NULL OR p.telegram_account_id = c.telegram_account_id)
           ) AS drafting_paused
    FROM batches b JOIN conversations c ON c.id = b.conversation_id
    WHERE b.state IN ('sealed', 'drafted', 'in_review', 'parked')
), first AS (
    SELECT DISTINCT ON (o.batch_id)
           o.batch_id, o.telegram_account_id, r.decided_at, coalesce(o.last_error = %(behind)s, false) AS is_behind,
           o.attempts = 0 AND o.last_error IS NULL AND o.send_after > clock_timestamp() AS can_be_undone
    FROM outbox o
    JOIN batches b ON b.id = o.batch_id AND b.state IN ('approved', 'sending')
    JOIN review_decisions r ON r.id = o.decision_id
    WHERE o.state IN ('queued', 'sending')
    ORDER BY o.batch_id, o.decision_id, o.position
), unsent AS (
    SELECT first.*, EXISTS (
        SELECT 1 FROM pauses p WHERE p.activity = 'sending'
          AND (p.telegram_account_id IS NULL OR p.telegram_account_id = first.telegram_account_id)
    ) AS is_paused
    FROM first
)
SELECT
    count(*) FILTER (WHERE state = 'sealed')::int AS undrafted,
    count(*) FILTER (WHERE state = 'sealed' AND drafting_paused)::int AS undrafted_paused,
    extract(epoch FROM clock_timestamp() - min(changed_at) FILTER (WHERE state = 'sealed' AND NOT drafting_paused)
        )::float8 AS undrafted_seconds,
    count(*) FILTER (WHERE state <> 'parked')::int AS review,
    count(*) FILTER (WHERE state IN ('drafted', 'in_review'))::int AS review_ready,
    extract(epoch FROM clock_timestamp() - min(sealed_at) FILTER (WHERE state <> 'parked'))::float8 AS review_seconds,
    count(*) FILTER (WHERE state = 'parked')::int AS parked,
    extract(epoch FROM clock_timestamp() - min(changed_at) FILTER (WHERE state = 'parked'))::float8 AS parked_seconds,
    (SELECT count(*)::int FROM unsent) AS unsent,
    (SELECT count(*)::int FROM unsent WHERE is_paused) AS unsent_paused,
    (SELECT count(*)::int FROM unsent WHERE is_behind AND NOT is_paused) AS unsent_behind,
    (SELECT extract(epoch FROM clock_timestamp() - min(decided_at))::float8 FROM unsent
     WHERE NOT (is_paused OR is_behind OR can_be_undone)) AS unsent_seconds
FROM open
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueReading:
    """What waits, by PostgreSQL.

    Parameters
    ----------
    undrafted, undrafted_paused : int
        Batches without a draft; those of them whose account has drafting paused.
    undrafted_seconds : float or None
        How long the oldest of the others has waited.
    review, review_ready : int
        Items that wait for a person, drafted or not; those of them that need not wait for a draft.
    review_seconds : float or None
        How long the oldest has waited.
    parked : int
        Items that were taken out of the way, for a person to take up.
    parked_seconds : float or None
        How long the oldest has been there.
    unsent, unsent_paused, unsent_behind : int
        Approved replies that are not out; those of accounts with sending paused; those whose chat has to be read first.
    unsent_seconds : float or None
        How long ago the oldest of the others was approved that can no longer be taken back.
    """

    undrafted: int
    undrafted_paused: int
    undrafted_seconds: float | None
    review: int
    review_ready: int
    review_seconds: float | None
    parked: int
    parked_seconds: float | None
    unsent: int
    unsent_paused: int
    unsent_behind: int
    unsent_seconds: float | None


class QueueReader:
    """Reads what waits.

    Parameters
    ----------
    connect : callable
        Yields a connection.
    """

    def __init__(self, *, connect: Connect) -> None:
        self._connect = connect
        self._calls: SharedCalls[str, QueueReading] = SharedCalls()

    async def read(self) -> QueueReading:
        """Return what waits; those who ask at the same moment get the same reading.

        Raises
        ------
        UnavailableError
            If PostgreSQL is away.
        """
        return await self._calls.run("queues", self._read)

    async def _read(self) -> QueueReading:
        async with asking(self._connect) as conn:
            row = await (await conn.execute(_QUEUES, {"behind": BEHIND})).fetchone()
        assert row is not None, "an aggregate without GROUP BY always has a row"
        return QueueReading(**row)
