"""Alerts' rows in PostgreSQL. Every function works within the caller's transaction."""

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from nadia.alerting.models import Alert, AlertEvent, Matcher, Silence
from nadia.notices import EVENT_FIRES_FOR, EVENTS, FIRES_FOR, Severity
from nadia.postgres.database import Connection, Row

LONGEST_SILENCE: Final = timedelta(days=30)
MOST_ALERTS: Final = 500
MOST_EVENTS: Final = 1000
MOST_SILENCES: Final = 500

# The newest notice of each fingerprint says whether it fires. What a newer resolve ended, or is too old, does not
# count. An acknowledgement holds for as long as what it was given for: neither was that resolved, nor was it too old
# when the next notice came. A silence matches what has all of its labels.
_FIRING = """
WITH newest AS (
    SELECT DISTINCT ON (fingerprint) id, fingerprint, topic, severity, summary, labels, at, resolves,
           CASE WHEN topic = ANY(%(events)s) THEN %(event_fires_for)s ELSE %(fires_for)s END::interval AS fires_for
    FROM notices
    WHERE at > clock_timestamp() - %(fires_for)s AND fingerprint IS NOT NULL
      AND (%(fingerprint)s::text IS NULL OR fingerprint = %(fingerprint)s)
    ORDER BY fingerprint, id DESC
)
SELECT n.fingerprint, n.topic, n.severity, n.summary, n.labels, since.count, since.first_at, n.at AS last_at,
       a.acknowledged_by, coalesce(who.name, a.acknowledged_by) AS acknowledged_by_name, a.at AS acknowledged_at,
       coalesce(a.note, '') AS note,
       ARRAY(
           SELECT s.id FROM alert_silences s
           WHERE s.starts_at <= clock_timestamp() AND s.ends_at > clock_timestamp()
             AND NOT EXISTS (
                 SELECT FROM jsonb_to_recordset(s.matchers) AS m (name text, value text)
                 WHERE (n.labels || jsonb_build_object('topic', n.topic)) ->> m.name IS DISTINCT FROM m.value
             )
           ORDER BY s.id
       ) AS silenced_by
FROM newest n
CROSS JOIN LATERAL (
    SELECT count(*) AS count, min(o.at) AS first_at FROM notices o
    WHERE o.fingerprint = n.fingerprint AND o.at > clock_timestamp() - n.fires_for AND o.id > coalesce(
        (SELECT max(r.id) FROM notices r WHERE r.fingerprint = n.fingerprint AND r.resolves), 0
    )
) since
LEFT JOIN alert_acknowledgements a
    ON a.fingerprint = n.fingerprint AND a.at > clock_timestamp() - n.fires_for
   AND NOT EXISTS (
       SELECT FROM notices r WHERE r.fingerprint = n.fingerprint AND r.resolves AND r.id > a.notice_id
   )
   AND NOT EXISTS (
       SELECT FROM notices given
       WHERE given.id = a.notice_id AND given.at + n.fires_for < (
           SELECT o.at FROM notices o WHERE o.fingerprint = n.fingerprint AND o.id > given.id ORDER BY o.id LIMIT 1
       )
   )
LEFT JOIN accounts who ON a.acknowledged_by = 'account:' || who.id
WHERE NOT n.resolves AND n.at > clock_timestamp() - n.fires_for
ORDER BY array_position(ARRAY['critical', 'warning', 'info'], n.severity), n.id DESC
LIMIT %(limit)s
"""

_HISTORY = """
SELECT id, at, fingerprint, topic, severity, summary, labels, resolves FROM notices ORDER BY id DESC LIMIT %(limit)s
"""

_ACKNOWLEDGE = """
INSERT INTO alert_acknowledgements (fingerprint, notice_id, acknowledged_by, note)
SELECT %(fingerprint)s, max(id), %(actor)s, %(note)s FROM notices WHERE fingerprint = %(fingerprint)s
ON CONFLICT (fingerprint) DO UPDATE SET notice_id = excluded.notice_id, acknowledged_by = excluded.acknowledged_by,
    note = excluded.note, at = excluded.at
"""

_SILENCE_COLUMNS = """
s.id, s.matchers, s.starts_at, s.ends_at, s.created_by, coalesce(who.name, s.created_by) AS created_by_name, s.reason
"""

# The database's clock says whether the end is in the future, and not too far in it.
_CREATE_SILENCE = f"""
WITH s AS (
    INSERT INTO alert_silences (matchers, ends_at, created_by, reason)
    SELECT %(matchers)s::jsonb, %(until)s, %(actor)s, %(reason)s
    WHERE %(until)s > clock_timestamp() + interval '1 second' AND %(until)s <= clock_timestamp() + %(longest)s
    RETURNING *
)
SELECT {_SILENCE_COLUMNS} FROM s LEFT JOIN accounts who ON s.created_by = 'account:' || who.id
"""  # noqa: S608 - constants only

# It stays on record, over.
_END_SILENCE = f"""
WITH s AS (
    UPDATE alert_silences SET ends_at = clock_timestamp()
    WHERE id = %(silence_id)s AND ends_at > clock_timestamp() AND starts_at < clock_timestamp() RETURNING *
)
SELECT {_SILENCE_COLUMNS} FROM s LEFT JOIN accounts who ON s.created_by = 'account:' || who.id
"""  # noqa: S608 - constants only

_SILENCES = f"""
SELECT {_SILENCE_COLUMNS} FROM alert_silences s LEFT JOIN accounts who ON s.created_by = 'account:' || who.id
WHERE s.ends_at > clock_timestamp() ORDER BY s.ends_at, s.id LIMIT %(limit)s
"""  # noqa: S608 - constants only


async def firing(conn: Connection, *, fingerprint: str | None = None) -> list[Alert]:
    """Return the alerts that fire, or the one of this fingerprint if it does."""
    values = {
        "fires_for": FIRES_FOR,
        "events": list(EVENTS),
        "event_fires_for": EVENT_FIRES_FOR,
        "fingerprint": fingerprint,
        "limit": MOST_ALERTS,
    }
    return [_alert(row) for row in await (await conn.execute(_FIRING, values)).fetchall()]


async def history(conn: Connection, *, limit: int) -> list[AlertEvent]:
    """Return the last notices, newest first."""
    rows = await (await conn.execute(_HISTORY, {"limit": limit})).fetchall()
    return [AlertEvent(**row | {"severity": Severity(row["severity"])}) for row in rows]


async def acknowledge(conn: Connection, fingerprint: str, *, actor: str, note: str) -> None:
    """Put down who looks after an alert, up to its newest notice; replaces who did before."""
    await conn.execute(_ACKNOWLEDGE, {"fingerprint": fingerprint, "actor": actor, "note": note})


async def create_silence(
    conn: Connection, matchers: Sequence[Matcher], *, until: datetime, actor: str, reason: str
) -> Silence | None:
    """Put down a silence; None if its end is past or too far."""
    values = {
        "matchers": json.dumps([{"name": matcher.name, "value": matcher.value} for matcher in matchers]),
        "until": until,
        "actor": actor,
        "reason": reason,
        "longest": LONGEST_SILENCE,
    }
    row = await (await conn.execute(_CREATE_SILENCE, values)).fetchone()
    return None if row is None else _silence(row)


async def end_silence(conn: Connection, silence_id: int) -> Silence | None:
    """End a silence; None if it is not in force."""
    row = await (await conn.execute(_END_SILENCE, {"silence_id": silence_id})).fetchone()
    return None if row is None else _silence(row)


async def silences(conn: Connection) -> list[Silence]:
    """Return the silences in force, the one that ends first in front."""
    return [_silence(row) for row in await (await conn.execute(_SILENCES, {"limit": MOST_SILENCES})).fetchall()]


def _alert(row: Row) -> Alert:
    return Alert(**row | {"severity": Severity(row["severity"]), "silenced_by": tuple(row["silenced_by"])})


def _silence(row: Row) -> Silence:
    return Silence(**row | {"matchers": tuple(Matcher(**matcher) for matcher in row["matchers"])})
