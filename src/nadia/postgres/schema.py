"""The schema: which migrations there are, which are applied, and applying them.

Alembic and SQLAlchemy are loaded only here, and `upgrade_apart` runs them in a process of their own, so that the
process that serves keeps neither.
"""

import asyncio
import io
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import structlog

from nadia.errors import ConfigurationError, InvalidInputError, UnavailableError
from nadia.postgres.database import Database
from nadia.redaction import redact_text

if TYPE_CHECKING:
    from alembic.config import Config as AlembicConfig

log = structlog.get_logger(__name__)

MIGRATIONS = Path(__file__).with_name("migrations")

# One migration runs at a time per database, whoever starts it.
_LOCK = "SELECT pg_advisory_lock(7319843)"
_APPLIED = "SELECT version_num FROM alembic_version"
_IS_THERE = "SELECT to_regclass('alembic_version') IS NOT NULL AS there"


class SchemaBehindError(ConfigurationError):
    """The database's schema is not the one that this version of NADIA works with."""


def head() -> str:
    """Return the newest revision on disk, read from the files' names without loading Alembic."""
    return max(path.name.split("_", 1)[0] for path in (MIGRATIONS / "versions").glob("[0-9]*_*.py"))


def revisions() -> list[str]:
    """Return every revision on disk, oldest first."""
    return sorted(path.name.split("_", 1)[0] for path in (MIGRATIONS / "versions").glob("[0-9]*_*.py"))


def require_revision(revision: str, *, besides: Sequence[str]) -> None:
    """Check that a revision is one of those on disk, or another word that is accepted.

    Raises
    ------
    InvalidInputError
        If it is not.
    """
    if revision not in (*revisions(), *besides):
        raise InvalidInputError(
            f"there is no revision {revision!r}",
            field="revision",
            hint=f"there are {', '.join((*revisions(), *besides))}",
        )


async def applied(database: Database) -> str | None:
    """Return the revision that the database is at; None for an empty one."""
    async with database.connection() as conn:
        there = await (await conn.execute(_IS_THERE)).fetchone()
        if not there or not there["there"]:
            return None
        row = await (await conn.execute(_APPLIED)).fetchone()
    return row["version_num"] if row else None


def is_ahead(revision: str | None) -> bool:
    """Tell whether a database was migrated by a newer version than this one."""
    return revision is not None and revision.isdecimal() and int(revision) > int(head())


async def require_current(database: Database) -> None:
    """Check that the schema has everything that this version needs; migrations only expand, so more does no harm.

    Raises
    ------
    SchemaBehindError
        If it has not.
    """
    found, wanted = await applied(database), head()
    if is_ahead(found):
        log.info("schema.ahead", revision=found, needed=wanted)
    elif found != wanted:
        raise SchemaBehindError(
            f"the database's schema is at {found or 'nothing'}, this version needs {wanted}",
            hint="run `nadia db upgrade`",
        )


async def upgrade_apart(dsn: str) -> None:
    """Upgrade to the newest revision in a child process.

    Raises
    ------
    SchemaBehindError
        If that failed; the schema is as far as the last migration that went through.
    """
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "nadia.postgres.upgrade",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        _, said = await child.communicate(dsn.encode())
    except asyncio.CancelledError:
        child.terminate()  # the migration that runs is rolled back
        await child.wait()
        raise
    if child.returncode != 0:
        last = said.decode(errors="replace").strip().splitlines()[-1:] or ["no reason given"]
        raise SchemaBehindError(
            f"the schema could not be brought up to date: {redact_text(last[0])}",
            hint="run `nadia db upgrade` to see where it stops",
        )


def upgrade(dsn: str, revision: str = "head") -> None:
    """Apply migrations up to a revision, each in its transaction.

    Raises
    ------
    UnavailableError
        If PostgreSQL cannot be reached.
    """
    from alembic import command

    with _connected(dsn) as config:
        command.upgrade(config, revision)


def downgrade(dsn: str, revision: str) -> None:
    """Take migrations back down to a revision (``base`` for all, ``-1`` for one)."""
    from alembic import command

    with _connected(dsn) as config:
        command.downgrade(config, revision)


def script(revisions: str = "head", *, down: bool = False) -> str:
    """Return the SQL of the migrations, for review and for linters."""
    from alembic import command

    config = _config()
    config.output_buffer = io.StringIO()
    (command.downgrade if down else command.upgrade)(config, revisions, sql=True)
    return re.sub(r"\n{3,}", "\n\n", config.output_buffer.getvalue())


def _config() -> "AlembicConfig":
    from alembic.config import Config as AlembicConfig

    config = AlembicConfig()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


@contextmanager
def _connected(dsn: str) -> Iterator["AlembicConfig"]:
    from sqlalchemy import create_engine, pool

    try:
        raw = psycopg.connect(dsn, connect_timeout=5)
    except psycopg.OperationalError as exc:
        raise UnavailableError(
            "PostgreSQL cannot be reached", hint="is the server up? DATABASE_URL says where it is looked for"
        ) from exc
    engine = create_engine("postgresql+psycopg://", creator=lambda: raw, poolclass=pool.StaticPool)
    config = _config()
    with raw, engine.connect() as connection:
        connection.exec_driver_sql(_LOCK)
        connection.commit()
        config.attributes["connection"] = connection
        yield config
        connection.commit()
