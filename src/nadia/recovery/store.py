"""Gaps, runs and chats on record; only the account's owner writes."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

from nadia.clock import Clock, utc_now
from nadia.conversations.messages import NotOwnerError
from nadia.notices import Notice, Severity, record_end
from nadia.notices import record as record_notice
from nadia.postgres.database import Database, Row
from nadia.recovery.config import RecoveryConfig, RecoveryTier
from nadia.recovery.models import Chat, Gap, OperationState, Reason, Tally
from nadia.telegram.history import Recorded
from nadia.telegram.ownership import Ownership

STOPPED: Final = "recovery.stopped"
"""Topic of a run that stopped itself; label ``account``."""

_CHAT_UNREADABLE: Final = "recovery.chat_unreadable"

_ONLY_LOOKED_AGAIN: Final = (Reason.REQUEST, Reason.SCHEDULE)
"""Nothing is known to be missing: that updates told everything is doubted from what was last made sure of."""

# Every statement that writes begins with this: the account's row, if it is still ours. The share lock holds up a
# take-over until the statement is committed.
_OWNED = """
owned AS (
    SELECT id FROM telegram_accounts
    WHERE id = %(account_id)s AND fencing_token = %(fencing_token)s AND expires_at > clock_timestamp()
    FOR SHARE
)
"""

# Where nothing is open, the low mark is the greatest message that came live: those come in sequence, so that all before
# it are on record. What recovery put on record is beyond that sequence and says nothing. Where a gap is open, its low
# mark stays. A person's request and the regular look go back to what was last made sure of. With no low mark at all
# it is the first look, however often it was taken: years of chats are not for the desk.
#
# Chats that could not be read are tried again with every new gap, from where they were left; what was once asked of an
# open gap, comparing or holding replies, is not taken back by another reason.
_OPEN_GAP = f"""
WITH {_OWNED}, verified AS (
    SELECT message_id FROM recovery_cursors WHERE telegram_account_id = %(account_id)s
), live AS (
    SELECT telegram_message_id AS message_id FROM messages
    WHERE telegram_account_id = %(account_id)s AND direction = 'in' AND recovered_by IS NULL
      AND telegram_message_id > coalesce((SELECT message_id FROM verified), 0)
    ORDER BY telegram_message_id DESC LIMIT 1
), low AS (
    SELECT owned.id,
           CASE WHEN %(looked_again)s AND verified.message_id IS NOT NULL THEN verified.message_id
                ELSE coalesce(greatest(verified.message_id, live.message_id), 0) END AS message_id
    FROM owned LEFT JOIN verified ON true LEFT JOIN live ON true
), gap AS (
    INSERT INTO recovery_gaps (telegram_account_id, after_message_id, not_before, reason, updates_lost_at,
                               compare_since, holds_replies)
    SELECT low.id, low.message_id, CASE WHEN low.message_id = 0 THEN %(not_before)s::timestamptz END, %(reason)s,
           CASE WHEN %(updates_lost)s THEN clock_timestamp() END,
           CASE WHEN %(updates_lost)s OR %(looked_again)s THEN clock_timestamp() END,
           NOT %(looked_again)s
    FROM low
    ON CONFLICT (telegram_account_id) WHERE closed_at IS NULL DO UPDATE SET
        generation = recovery_gaps.generation + 1,
        reason = excluded.reason,
        updates_lost_at = coalesce(excluded.updates_lost_at, recovery_gaps.updates_lost_at),
        compare_since = coalesce(excluded.compare_since, recovery_gaps.compare_since),
        holds_replies = recovery_gaps.holds_replies OR excluded.holds_replies
    RETURNING *
), carried AS (
    UPDATE recovery_chats c SET state = 'carried' FROM gap
    WHERE c.telegram_account_id = gap.telegram_account_id AND c.state = 'failed' AND c.gap_id <> gap.id
    RETURNING c.*
), added AS (
    INSERT INTO recovery_chats (gap_id, chat_id, telegram_account_id, tier, top_message_id, top_sent_at,
                                through_message_id, not_before, attempts, error)
    SELECT gap.id, c.chat_id, c.telegram_account_id, c.tier, c.top_message_id, c.top_sent_at,
           c.through_message_id, c.not_before, least(c.attempts, 30000), c.error
    FROM gap, carried c
)
SELECT * FROM gap
"""  # noqa: S608 - constants only

_FIND_GAP = "SELECT * FROM recovery_gaps WHERE telegram_account_id = %(account_id)s AND closed_at IS NULL"

# The regular look is due when nothing was made sure of for so long; what is open is being looked at anyway.
_IS_DUE = """
SELECT EXISTS (
    SELECT 1 FROM recovery_cursors WHERE telegram_account_id = %(account_id)s
      AND verified_at < clock_timestamp() - %(after)s
) AS due
"""

# A run that its process could not end. Only one process acts for an account, and that is the caller's.
_END_ABANDONED = f"""
WITH {_OWNED}
UPDATE recovery_operations o SET state = 'interrupted', ended_at = clock_timestamp(),
    error = 'the process ended or lost the account'
FROM owned WHERE o.telegram_account_id = owned.id AND o.state = 'running'
"""  # noqa: S608 - constants only

_BEGIN_OPERATION = f"""
WITH {_OWNED}
INSERT INTO recovery_operations (telegram_account_id, gap_id, reason, fencing_token)
SELECT owned.id, %(gap_id)s, %(reason)s, %(fencing_token)s FROM owned
RETURNING id
"""  # noqa: S608 - constants only

# What the run is about to read, counted anew after each look at the list of chats.
_LISTED = f"""
WITH {_OWNED}, gap AS (
    UPDATE recovery_gaps g SET listed_generation = %(generation)s FROM owned WHERE g.id = %(gap_id)s
), chats AS (
    SELECT count(*) FILTER (WHERE tier = 1) AS tier_1, count(*) FILTER (WHERE tier = 2) AS tier_2,
           count(*) FILTER (WHERE tier = 3) AS tier_3
    FROM recovery_chats
    WHERE gap_id = %(gap_id)s AND (state = 'pending' OR state = 'done' AND operation_id = %(operation_id)s)
)
UPDATE recovery_operations o SET
    chats_tier_1 = chats.tier_1, chats_tier_2 = chats.tier_2, chats_tier_3 = chats.tier_3,
    dialogs_seen = o.dialogs_seen + %(dialogs)s, progressed_at = clock_timestamp()
FROM owned, chats WHERE o.id = %(operation_id)s
RETURNING o.id
"""  # noqa: S608 - constants only

# A chat that was read already is read again if it has something newer, or if edits may have been missed since.
_ADD_CHATS = f"""
WITH {_OWNED}
INSERT INTO recovery_chats (gap_id, chat_id, telegram_account_id, tier, top_message_id, top_sent_at, through_message_id,
                            not_before)
SELECT %(gap_id)s, seen.chat_id, owned.id, seen.tier, seen.top_message_id, seen.top_sent_at, seen.through_message_id,
       seen.not_before
FROM owned, unnest(
    %(chat_ids)s::bigint[], %(tiers)s::smallint[], %(tops)s::bigint[], %(times)s::timestamptz[], %(throughs)s::bigint[],
    %(not_befores)s::timestamptz[]
) AS seen (chat_id, tier, top_message_id, top_sent_at, through_message_id, not_before)
ON CONFLICT (gap_id, chat_id) DO UPDATE SET
    tier = least(recovery_chats.tier, excluded.tier),
    top_message_id = greatest(recovery_chats.top_message_id, excluded.top_message_id),
    top_sent_at = greatest(recovery_chats.top_sent_at, excluded.top_sent_at),
    (state, operation_id) = (
        SELECT CASE WHEN again.wanted THEN 'pending' ELSE recovery_chats.state END,
               CASE WHEN again.wanted THEN NULL ELSE recovery_chats.operation_id END
        FROM (SELECT coalesce(recovery_chats.state = 'done' AND (
            recovery_chats.through_message_id < excluded.top_message_id OR recovery_chats.done_at < %(compare_since)s
        ), false) AS wanted) again
    )
RETURNING chat_id
"""  # noqa: S608 - constants only

# Chats with something that waits for an answer, and their newest message on record.
_WITH_OPEN_ITEMS = """
SELECT c.chat_id, newest.telegram_message_id, newest.sent_at
FROM conversations c CROSS JOIN LATERAL (
    SELECT telegram_message_id, sent_at FROM messages
    WHERE conversation_id = c.id AND direction = 'in' ORDER BY telegram_message_id DESC LIMIT 1
) newest
WHERE c.telegram_account_id = %(account_id)s AND (
    EXISTS (SELECT 1 FROM batches b WHERE b.conversation_id = c.id
            AND b.state IN ('sealed', 'drafted', 'in_review', 'approved', 'sending', 'parked'))
    OR EXISTS (SELECT 1 FROM messages m WHERE m.conversation_id = c.id AND m.batch_id IS NULL AND m.direction = 'in')
)
"""

# Newest first; of those that failed before, the one that was not tried for longest: none of them is in the others' way.
_PENDING = """
SELECT chat_id, tier, top_message_id, top_sent_at, through_message_id, not_before FROM recovery_chats
WHERE gap_id = %(gap_id)s AND state = 'pending' AND tier = %(tier)s AND operation_id IS DISTINCT FROM %(operation_id)s
  AND (error IS NOT NULL) = %(failed_before)s
ORDER BY CASE WHEN %(failed_before)s THEN operation_id END, top_message_id DESC LIMIT %(limit)s
"""

# How far a chat was read and what the run has met, together: a run that goes on later counts nothing twice.
_ADVANCE = f"""
WITH {_OWNED}, chat AS (
    UPDATE recovery_chats c SET
        through_message_id = greatest(c.through_message_id, %(through)s),
        state = CASE WHEN %(took)s::interval IS NULL THEN c.state ELSE 'done' END,
        done_at = clock_timestamp() - %(took)s::interval,
        error = NULL, operation_id = %(operation_id)s, summary = coalesce(%(summary)s, c.summary),
        summarised_at = CASE WHEN %(summary)s::text IS NULL THEN c.summarised_at ELSE clock_timestamp() END
    FROM owned WHERE c.gap_id = %(gap_id)s AND c.chat_id = %(chat_id)s
    RETURNING c.attempts
)
UPDATE recovery_operations o SET
    chats_done = o.chats_done + CASE WHEN %(took)s::interval IS NULL THEN 0 ELSE 1 END,
    messages_found = o.messages_found + %(found)s, messages_recorded = o.messages_recorded + %(recorded)s,
    messages_duplicate = o.messages_duplicate + %(duplicate)s, messages_too_old = o.messages_too_old + %(too_old)s,
    edits = o.edits + %(edits)s, deletions = o.deletions + %(deletions)s, progressed_at = clock_timestamp()
FROM chat WHERE o.id = %(operation_id)s
RETURNING chat.attempts
"""  # noqa: S608 - constants only

# A link that broke counts for nothing: it says little about the chat that was being read.
_FAIL_CHAT = f"""
WITH {_OWNED}, chat AS (
    UPDATE recovery_chats c SET
        attempts = c.attempts + %(counted)s, error = %(error)s, operation_id = %(operation_id)s,
        state = CASE WHEN %(counted)s > 0 AND c.attempts + %(counted)s >= %(most_attempts)s
                     THEN 'failed' ELSE 'pending' END
    FROM owned WHERE c.gap_id = %(gap_id)s AND c.chat_id = %(chat_id)s
    RETURNING c.state, c.attempts
), counted AS (
    UPDATE recovery_operations o SET errors = o.errors + %(counted)s, progressed_at = clock_timestamp()
    FROM owned WHERE o.id = %(operation_id)s
)
SELECT state, attempts FROM chat
"""  # noqa: S608 - constants only

# Closed only if nothing was missed again since the chats were listed, and none is left to read.
_CLOSE_GAP = f"""
WITH {_OWNED}, closed AS (
    UPDATE recovery_gaps g SET closed_at = clock_timestamp(), unreadable = coalesce(%(unreadable)s, (
        SELECT count(*) || ' chats could not be read' FROM recovery_chats
        WHERE gap_id = %(gap_id)s AND state = 'failed' HAVING count(*) > 0
    ))
    FROM owned
    WHERE g.id = %(gap_id)s AND g.closed_at IS NULL AND g.generation = %(generation)s
      AND NOT EXISTS (SELECT 1 FROM recovery_chats c WHERE c.gap_id = g.id AND c.state = 'pending')
    RETURNING g.telegram_account_id, g.after_message_id
)
INSERT INTO recovery_cursors (telegram_account_id, message_id)
SELECT telegram_account_id, greatest(after_message_id, %(through)s) FROM closed
ON CONFLICT (telegram_account_id) DO UPDATE SET
    message_id = greatest(recovery_cursors.message_id, excluded.message_id), verified_at = clock_timestamp()
RETURNING message_id
"""  # noqa: S608 - constants only

_END_OPERATION = f"""
WITH {_OWNED}
UPDATE recovery_operations o SET state = %(state)s, ended_at = clock_timestamp(), progressed_at = clock_timestamp(),
    error = %(error)s, errors = o.errors + %(errors)s, flood_wait_seconds = %(flood_wait_seconds)s
FROM owned WHERE o.id = %(operation_id)s AND o.state = 'running'
RETURNING o.id
"""  # noqa: S608 - constants only

# What is compared with Telegram's history: from the oldest message on that waits for an answer or is not long ago.
_RECORDED = """
WITH oldest AS (
    SELECT min(m.telegram_message_id) AS message_id FROM messages m
    WHERE m.telegram_account_id = %(account_id)s AND m.chat_id = %(chat_id)s AND m.telegram_message_id > 0
      AND m.deleted_at IS NULL AND (
        m.sent_at >= %(since)s
        OR m.direction = 'in' AND (m.batch_id IS NULL OR EXISTS (
            SELECT 1 FROM batches b WHERE b.id = m.batch_id
              AND b.state IN ('sealed', 'drafted', 'in_review', 'approved', 'sending', 'parked')
        ))
      )
)
SELECT m.telegram_message_id AS message_id, m.edited_at FROM messages m, oldest
WHERE m.telegram_account_id = %(account_id)s AND m.chat_id = %(chat_id)s AND m.deleted_at IS NULL
  AND m.telegram_message_id BETWEEN oldest.message_id AND %(through)s
ORDER BY m.telegram_message_id
"""

# Where a run that a person asks for would begin; both NULL where nothing is known of the account.
_LOW_MARK = """
SELECT coalesce(g.after_message_id, c.message_id) AS after_message_id, g.not_before
FROM telegram_accounts a
LEFT JOIN recovery_gaps g ON g.telegram_account_id = a.id AND g.closed_at IS NULL
LEFT JOIN recovery_cursors c ON c.telegram_account_id = a.id
WHERE a.id = %(account_id)s
"""


class RecoveryStore:
    """Writes what one owner does about one account's gaps.

    Parameters
    ----------
    database : Database
        Where the rows are.
    settings : RecoveryConfig
        Ages and limits.
    clock : callable
        The present, for the ages of messages.
    """

    def __init__(self, *, database: Database, settings: RecoveryConfig, clock: Clock = utc_now) -> None:
        self._database = database
        self._settings = settings
        self._clock = clock

    async def updates_lost(self, ownership: Ownership) -> None:
        """Remember that Telegram will not tell everything; intake calls it (``NotesLosses``)."""
        await self.open_gap(ownership, Reason.UPDATES_LOST)

    async def open_gap(self, ownership: Ownership, reason: Reason) -> Gap:
        """Put on record that something may be missing, before anything that came later is read.

        Raises
        ------
        NotOwnerError
            If this process no longer owns the account.
        UnavailableError
            If PostgreSQL is away.
        """
        row = await self._write(
            _OPEN_GAP,
            ownership,
            {
                "reason": reason.value,
                "looked_again": reason in _ONLY_LOOKED_AGAIN,
                "updates_lost": reason is Reason.UPDATES_LOST,
                "not_before": self._clock() - self._settings.maximum_age,
            },
        )
        return gap_from_row(row)

    async def find_gap(self, account_id: str) -> Gap | None:
        """Return the account's open gap, if there is one."""
        async with self._database.connection() as conn:
            row = await (await conn.execute(_FIND_GAP, {"account_id": account_id})).fetchone()
        return None if row is None else gap_from_row(row)

    async def is_due(self, account_id: str) -> bool:
        """Tell whether the account was not made sure of for longer than it should."""
        values = {"account_id": account_id, "after": timedelta(hours=self._settings.verify_hours)}
        async with self._database.connection() as conn:
            row = await (await conn.execute(_IS_DUE, values)).fetchone()
        return row is not None and bool(row["due"])

    async def begin_operation(self, ownership: Ownership, gap: Gap) -> int:
        """Begin a run; one that nobody ended is ended."""
        values = _owner(ownership) | {"gap_id": gap.id, "reason": gap.reason.value}
        async with self._database.transaction() as conn:
            await conn.execute(_END_ABANDONED, values)
            row = await (await conn.execute(_BEGIN_OPERATION, values)).fetchone()
        return int(_required(row)["id"])

    async def add_chats(self, ownership: Ownership, gap: Gap, chats: Sequence[Chat]) -> None:
        """Remember chats to read; those that were read already only if there is more."""
        if not chats:
            return
        await self._write(
            _ADD_CHATS,
            ownership,
            {
                "gap_id": gap.id,
                "compare_since": gap.compare_since,
                "chat_ids": [chat.chat_id for chat in chats],
                "tiers": [chat.tier.value for chat in chats],
                "tops": [chat.top_message_id for chat in chats],
                "times": [chat.top_sent_at for chat in chats],
                "throughs": [chat.through_message_id for chat in chats],
                "not_befores": [chat.not_before for chat in chats],
            },
        )

    async def chats_with_open_items(self, account_id: str) -> list[tuple[int, int, datetime]]:
        """Return the chats that wait for an answer, each with its customer's newest message and that one's time."""
        async with self._database.connection() as conn:
            rows = await (await conn.execute(_WITH_OPEN_ITEMS, {"account_id": account_id})).fetchall()
        return [(row["chat_id"], row["telegram_message_id"], row["sent_at"]) for row in rows]

    async def listed(self, ownership: Ownership, gap: Gap, operation_id: int, *, dialogs: int) -> None:
        """Put on record that every chat with something newer is known, and how many were looked at for that."""
        values = {
            "gap_id": gap.id,
            "generation": gap.generation,
            "operation_id": operation_id,
            "dialogs": dialogs,
        }
        await self._write(_LISTED, ownership, values)

    async def pending(
        self, gap: Gap, operation_id: int, tier: RecoveryTier, *, failed_before: bool, limit: int
    ) -> list[Chat]:
        """Return chats of a tier that this run has not taken up yet.

        Parameters
        ----------
        gap, operation_id, tier
            Which gap, which run, how urgent.
        failed_before : bool
            Those that failed when they were last tried, the longest ago first; else the others, newest first.
        limit : int
            How many at most.
        """
        values = {
            "gap_id": gap.id,
            "operation_id": operation_id,
            "tier": tier.value,
            "failed_before": failed_before,
            "limit": limit,
        }
        async with self._database.connection() as conn:
            rows = await (await conn.execute(_PENDING, values)).fetchall()
        return [Chat(**row | {"tier": RecoveryTier(row["tier"])}) for row in rows]

    async def advance(
        self,
        ownership: Ownership,
        gap: Gap,
        operation_id: int,
        chat: Chat,
        *,
        through: int,
        tally: Tally,
        took: timedelta | None = None,
        summary: str | None = None,
    ) -> None:
        """Put on record how far a chat was read, and what was met since the last time.

        Parameters
        ----------
        ownership, gap, operation_id, chat
            Whose, which, and by which run.
        through : int
            Everything of the chat up to this message is on record.
        tally : Tally
            What was met.
        took : timedelta, optional
            Given when the chat is done: how long that took, for what was edited since it began is not known.
        summary : str, optional
            What drafting is told about the chat.
        """
        values = _owner(ownership) | {
            "gap_id": gap.id,
            "operation_id": operation_id,
            "chat_id": chat.chat_id,
            "through": through,
            "took": took,
            "summary": summary,
            "found": tally.found,
            "recorded": tally.recorded,
            "duplicate": tally.duplicate,
            "too_old": tally.too_old,
            "edits": tally.edits,
            "deletions": tally.deletions,
        }
        async with self._database.transaction() as conn:
            row = _required(await (await conn.execute(_ADVANCE, values)).fetchone())
            if took is not None and row["attempts"]:  # it may have been told of
                labels = _labels(ownership.account_id, chat)
                await record_end(conn, _CHAT_UNREADABLE, labels, summary="The chat was read after all.")

    async def fail_chat(
        self, ownership: Ownership, gap: Gap, operation_id: int, chat: Chat, *, error: str, counts: bool
    ) -> None:
        """Put on record that a chat could not be read; from now on it is tried after the others.

        Parameters
        ----------
        ownership, gap, operation_id, chat
            Whose, which, and by which run.
        error : str
            Why.
        counts : bool
            Whether the chat is to blame; after too many such failures it is left to a person.
        """
        values = _owner(ownership) | {
            "gap_id": gap.id,
            "operation_id": operation_id,
            "chat_id": chat.chat_id,
            "error": error[:1_000],
            "counted": int(counts),
            "most_attempts": self._settings.most_attempts,
        }
        async with self._database.transaction() as conn:
            row = _required(await (await conn.execute(_FAIL_CHAT, values)).fetchone())
            if row["state"] == "failed" and row["attempts"] == self._settings.most_attempts:  # told once
                await record_notice(conn, _unreadable_chat(ownership.account_id, chat))

    async def close_gap(
        self, ownership: Ownership, gap: Gap, *, through: int, unreadable: str | None = None
    ) -> int | None:
        """Close a gap and raise the cursor.

        Parameters
        ----------
        ownership, gap
            Whose, and which in which generation.
        through : int
            Everything up to this message is on record now.
        unreadable : str, optional
            Why part of it can never be read; a person is told.

        Returns
        -------
        int or None
            The cursor. None where the gap was opened wider meanwhile, or a chat is left.
        """
        values = _owner(ownership) | {
            "gap_id": gap.id,
            "generation": gap.generation,
            "through": through,
            "unreadable": unreadable,
        }
        async with self._database.transaction() as conn:
            row = await (await conn.execute(_CLOSE_GAP, values)).fetchone()
            if row is None:
                return None
            await record_end(
                conn, STOPPED, {"account": ownership.account_id}, summary="Everything that can be read was read."
            )
            if unreadable is not None:
                await record_notice(conn, _unreadable_gap(ownership.account_id, unreadable))
        return int(row["message_id"])

    async def end_operation(
        self,
        ownership: Ownership,
        operation_id: int,
        state: OperationState,
        *,
        error: str | None = None,
        errors: int = 0,
        flood_wait_seconds: float = 0.0,
        notice: Notice | None = None,
    ) -> None:
        """End a run, with what a person should know of it."""
        values = _owner(ownership) | {
            "operation_id": operation_id,
            "state": state.value,
            "error": error,
            "errors": errors,
            "flood_wait_seconds": flood_wait_seconds,
        }
        async with self._database.transaction() as conn:
            _required(await (await conn.execute(_END_OPERATION, values)).fetchone())
            if notice is not None:
                await record_notice(conn, notice)

    async def recorded(self, account_id: str, chat: Chat, *, through: int) -> list[Recorded]:
        """Return a chat's messages on record among which some may have been edited or deleted, ascending."""
        values = {
            "account_id": account_id,
            "chat_id": chat.chat_id,
            "through": through,
            "since": self._clock() - timedelta(hours=self._settings.reconcile_hours),
        }
        async with self._database.connection() as conn:
            rows = await (await conn.execute(_RECORDED, values)).fetchall()
        return [Recorded(**row) for row in rows]

    async def low_mark(self, account_id: str) -> tuple[int, datetime | None]:
        """Return after which message, and after which time, a run that a person asks for would look."""
        async with self._database.connection() as conn:
            row = await (await conn.execute(_LOW_MARK, {"account_id": account_id})).fetchone()
        if row is None or not row["after_message_id"]:
            not_before = None if row is None else row["not_before"]
            return 0, not_before or self._clock() - self._settings.maximum_age
        return row["after_message_id"], row["not_before"]

    async def _write(self, statement: str, ownership: Ownership, values: Mapping[str, object]) -> Row:
        async with self._database.connection() as conn:
            return _required(await (await conn.execute(statement, _owner(ownership) | dict(values))).fetchone())


def _owner(ownership: Ownership) -> dict[str, object]:
    return {"account_id": ownership.account_id, "fencing_token": ownership.fencing_token}


def _required(row: Row | None) -> Row:
    if row is None:
        raise NotOwnerError("this process no longer owns the Telegram account")
    return row


def gap_from_row(row: Row) -> Gap:
    """Build a gap from a row with its columns."""
    return Gap(
        id=row["id"],
        account_id=row["telegram_account_id"],
        after_message_id=row["after_message_id"],
        not_before=row["not_before"],
        reason=Reason(row["reason"]),
        updates_lost_at=row["updates_lost_at"],
        compare_since=row["compare_since"],
        generation=row["generation"],
        opened_at=row["opened_at"],
    )


def _unreadable_chat(account_id: str, chat: Chat) -> Notice:
    return Notice(
        topic=_CHAT_UNREADABLE,
        summary="A chat could not be read after an outage, however often it was tried. Open it in Telegram itself: "
        "the customer may have written there.",
        severity=Severity.CRITICAL,
        labels=_labels(account_id, chat),
    )


def _labels(account_id: str, chat: Chat) -> dict[str, str]:
    return {"account": account_id, "chat": str(chat.chat_id)}


def _unreadable_gap(account_id: str, why: str) -> Notice:
    return Notice(
        topic="recovery.gap_unreadable",
        summary=f"Some messages to account {account_id} are lost: {why}.",
        severity=Severity.CRITICAL,
        labels={"account": account_id},
    )
