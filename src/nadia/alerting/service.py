"""`Alerts`: what is wrong now, who looks after it, and what need not bother anybody for a while."""

import unicodedata
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from nadia.alerting import store
from nadia.alerting.models import Alert, AlertEvent, Matcher, Silence
from nadia.conversations import audit
from nadia.errors import InvalidInputError, NotFoundError
from nadia.postgres.database import Connection, Database

LONGEST_TEXT: Final = 500
"""Characters of a note and of a reason."""
MOST_MATCHERS: Final = 10
_LONGEST_LABEL: Final = 200
_LARGEST_ID: Final = 2**63 - 1


class Alerts:
    """Alerts, made of the notices in PostgreSQL.

    Parameters
    ----------
    database : Database
        Where they are.
    """

    def __init__(self, *, database: Database) -> None:
        self._database = database

    async def current(self) -> list[Alert]:
        """Return what is wrong: fingerprints whose newest notice resolves nothing and is of the last 7 days.

        That of an event is of the last 24 hours (`nadia.notices`).

        The worst first, then the newest; at most `store.MOST_ALERTS`.
        """
        async with self._database.connection() as conn:
            return await store.firing(conn)

    async def get(self, fingerprint: str) -> Alert:
        """Return an alert that is firing.

        Raises
        ------
        NotFoundError
            If no such alert is firing.
        """
        fingerprint = _usable(fingerprint, field="fingerprint")
        async with self._database.connection() as conn:
            return await _firing(conn, fingerprint)

    async def history(self, limit: int = 100) -> list[AlertEvent]:
        """Return the last notices, newest first, at most `store.MOST_EVENTS`."""
        async with self._database.connection() as conn:
            return await store.history(conn, limit=max(0, min(limit, store.MOST_EVENTS)))

    async def acknowledge(self, fingerprint: str, *, actor: str, note: str = "") -> Alert:
        """Say that somebody looks after an alert; holds until that is over, for 7 days at most.

        Parameters
        ----------
        fingerprint : str
            Of an alert that is firing.
        actor : str
            Who says so, for the audit log.
        note : str
            What they want others to know.

        Raises
        ------
        NotFoundError
            If no such alert is firing.
        InvalidInputError
            If the note is too long or no text.
        """
        note = _one_line(note, field="note", needed=False)
        fingerprint = _usable(fingerprint, field="fingerprint")
        async with self._database.transaction() as conn:
            before = await _firing(conn, fingerprint)
            await store.acknowledge(conn, fingerprint, actor=actor, note=note)
            await audit.record(
                conn,
                actor=actor,
                action="alert.acknowledged",
                subject=f"alert:{fingerprint}",
                before={"acknowledged_by": before.acknowledged_by, "note": before.note},
                after={"acknowledged_by": actor, "note": note},
            )
            return await _firing(conn, fingerprint)

    async def silence(self, matchers: Sequence[Matcher], *, until: datetime, actor: str, reason: str) -> Silence:
        """Let alerts that have all of these labels bother nobody until then.

        Raises
        ------
        InvalidInputError
            If there is no matcher, one is no text or contradicts another, the reason is missing, or the end is not
            within the next 30 days by the database's clock.
        """
        chosen = _checked(matchers)
        reason = _one_line(reason, field="reason", needed=True)
        if until.tzinfo is None:
            raise InvalidInputError("has no time zone", field="until", hint="write it as 2026-03-01T12:00:00Z")
        async with self._database.transaction() as conn:
            silence = await store.create_silence(conn, chosen, until=until, actor=actor, reason=reason)
            if silence is None:
                raise InvalidInputError(
                    "is not within the next 30 days", field="until", hint="a silence ends; make another one then"
                )
            await audit.record(
                conn,
                actor=actor,
                action="alert.silenced",
                subject=f"silence:{silence.id}",
                after={
                    "matchers": {matcher.name: matcher.value for matcher in chosen},
                    "until": until.isoformat(),
                    "reason": reason,
                },
            )
        return silence

    async def unsilence(self, silence_id: int, *, actor: str) -> Silence:
        """End a silence now.

        Raises
        ------
        NotFoundError
            If there is none of that id in force.
        """
        async with self._database.transaction() as conn:
            silence = await store.end_silence(conn, silence_id) if 0 < silence_id <= _LARGEST_ID else None
            if silence is None:
                raise NotFoundError(f"no silence {silence_id} is in force", hint="it may have ended by itself")
            await audit.record(conn, actor=actor, action="alert.unsilenced", subject=f"silence:{silence_id}")
        return silence

    async def silences(self) -> list[Silence]:
        """Return those in force, the one that ends first in front."""
        async with self._database.connection() as conn:
            return await store.silences(conn)


async def _firing(conn: Connection, fingerprint: str) -> Alert:
    for alert in await store.firing(conn, fingerprint=fingerprint):
        return alert
    raise NotFoundError(
        f"no alert {fingerprint!r} is firing", hint="it may be over by now: `nadia alerts list` names those that do"
    )


def _checked(matchers: Sequence[Matcher]) -> list[Matcher]:
    if not 1 <= len(matchers) <= MOST_MATCHERS:
        raise InvalidInputError(
            f"must be 1 to {MOST_MATCHERS}", field="matchers", hint="topic=batch.parked silences one kind of alert"
        )
    values: dict[str, str] = {}
    for matcher in matchers:
        name = _usable(matcher.name, field="matchers")
        if values.setdefault(name, _usable(matcher.value, field="matchers")) != matcher.value:
            raise InvalidInputError(f"no alert has two values of {name!r}", field="matchers", hint="name one")
    return [Matcher(name, value) for name, value in values.items()]


def _usable(text: str, *, field: str) -> str:
    """Return a label's name or value, or a fingerprint, if it can be one."""
    if not 1 <= len(text) <= _LONGEST_LABEL or not text.isprintable():
        raise InvalidInputError(f"must be 1 to {_LONGEST_LABEL} printable characters", field=field)
    return text


def _one_line(text: str, *, field: str, needed: bool) -> str:
    """Return what a person said, as it goes on record."""
    words = " ".join(text.split())
    if needed and not words:
        raise InvalidInputError("is empty", field=field, hint="say why; it goes on record with your name")
    if len(words) > LONGEST_TEXT:
        raise InvalidInputError(f"has {len(words)} characters", field=field, hint=f"use at most {LONGEST_TEXT}")
    if any(unicodedata.category(character) in ("Cc", "Cf", "Cs") for character in words):
        raise InvalidInputError("holds characters that are no text", field=field, hint="remove them")
    return words
