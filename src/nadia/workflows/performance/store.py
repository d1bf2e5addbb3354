"""Baselines on record."""

import json
from typing import Final

import psycopg

from nadia.conversations import audit
from nadia.errors import ConflictError
from nadia.postgres.database import Connection, Row
from nadia.workflows.performance.figures import FIGURES, Baseline, Machine

KEPT: Final = 30
"""Baselines that the schedule made; those that a person named stay until a person removes them."""

_ADD = """
INSERT INTO performance_baselines (name, measured_at, measured_by, automatic, machine, figures)
VALUES (%(name)s, %(measured_at)s, %(measured_by)s, %(automatic)s, %(machine)s::jsonb, %(figures)s::jsonb)
"""

# All but the newest of those that the schedule made.
_PRUNE = """
DELETE FROM performance_baselines WHERE automatic AND id NOT IN (
    SELECT id FROM performance_baselines WHERE automatic ORDER BY id DESC LIMIT %(kept)s)
"""

_COLUMNS = "name, measured_at, measured_by, automatic, machine, figures"

_LIST = f"SELECT {_COLUMNS} FROM performance_baselines ORDER BY id DESC LIMIT %(limit)s"  # noqa: S608 - constants only

_BY_NAME = f"SELECT {_COLUMNS} FROM performance_baselines WHERE name = %(name)s"  # noqa: S608 - constants only

_NEWEST = f"""
SELECT {_COLUMNS} FROM performance_baselines WHERE automatic OR NOT %(automatic_only)s ORDER BY id DESC LIMIT 1
"""  # noqa: S608 - constants only


async def add(conn: Connection, baseline: Baseline) -> None:
    """Put a baseline on record, with an audit row, and drop the oldest automatic ones beyond `KEPT`.

    Raises
    ------
    ConflictError
        If there is one of this name.
    """
    async with conn.transaction():
        try:
            await conn.execute(
                _ADD,
                {
                    "name": baseline.name,
                    "measured_at": baseline.measured_at,
                    "measured_by": baseline.measured_by,
                    "automatic": baseline.automatic,
                    "machine": baseline.machine.model_dump_json(),
                    "figures": json.dumps(FIGURES.dump_python(baseline.figures, mode="json")),
                },
            )
        except psycopg.errors.UniqueViolation as exc:
            raise name_is_taken(baseline.name) from exc
        await conn.execute(_PRUNE, {"kept": KEPT})
        await audit.record(
            conn,
            actor=baseline.measured_by,
            action="performance_baseline.created",
            subject=f"performance_baseline:{baseline.name}",
            after={"automatic": baseline.automatic},
        )


async def newest(conn: Connection, *, automatic_only: bool = False) -> Baseline | None:
    """Return the last one; None where there is none."""
    row = await (await conn.execute(_NEWEST, {"automatic_only": automatic_only})).fetchone()
    return _read(row) if row else None


async def by_name(conn: Connection, name: str) -> Baseline | None:
    """Return the one of a name; None where there is none."""
    row = await (await conn.execute(_BY_NAME, {"name": name})).fetchone()
    return _read(row) if row else None


async def listed(conn: Connection, *, limit: int) -> list[Baseline]:
    """Return the last ones, newest first."""
    return [_read(row) for row in await (await conn.execute(_LIST, {"limit": limit})).fetchall()]


def name_is_taken(name: str) -> ConflictError:
    """Return the error of a second baseline of one name."""
    return ConflictError(f"there is a baseline named {name!r} already", hint="choose another name, or none")


def _read(row: Row) -> Baseline:
    return Baseline(
        name=row["name"],
        measured_at=row["measured_at"],
        measured_by=row["measured_by"],
        automatic=row["automatic"],
        machine=Machine.model_validate(row["machine"]),
        figures=FIGURES.validate_python(row["figures"]),
    )
