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
from typing import TYPE_CHECKING

import psycopg
import structlog

from nadia.errors import ConfigurationError, InvalidInputError, UnavailableError
from nadia.postgres.database import Database
from nadia.postgres.revisions import (
    MAIN,
    MIGRATIONS,
    applied_on,
    heads,
    is_ahead,
    lacking,
    revisions,
    stored,
)
from nadia.redaction import redact_text

if TYPE_CHECKING:
    from alembic.config import Config as AlembicConfig

log = structlog.get_logger(__name__)

# One migration runs at a time per database, whoever starts it.
_LOCK = "SELECT pg_advisory_lock(7319843)"


class SchemaBehindError(ConfigurationError):
    """The database's schema is not the one that this version of NADIA works with."""


def require_revision(revision: str, *, besides: Sequence[str]) -> None:
    """Check that a revision is one of those on disk, or another word that is accepted.

    Raises
    ------
    InvalidInputError
        If it is not.
    """
    known = (*revisions(), *besides)
    if revision not in known:
        raise InvalidInputError(
            f"there is no revision {revision!r}", field="revision", hint=f"there are {', '.join(known)}"
        )


async def applied(database: Database) -> tuple[str, ...]:
    """Return the revisions that the database is at, one for each branch; nothing for an empty one."""
    async with database.connection() as conn:
        return await applied_on(conn)


def steps_below(found: Sequence[str], steps: int) -> str:
    """Return the revision of the main line that is so many steps below where a database is; ``base`` below the first.

    Raises
    ------
    InvalidInputError
        If it is not that far up.
    """
    line = revisions(MAIN)
    at = next((revision for revision in found if revision in line), None)
    left = (line.index(at) + 1 if at else 0) - steps
    if left < 0:
        raise InvalidInputError(f"the schema is at {said(found)}, not {steps} steps up", field="--steps")
    return line[left - 1] if left else "base"


def said(at: Sequence[str]) -> str:
    """Return revisions as people read them."""
    return ", ".join(at) or "nothing"


async def require_current(database: Database) -> None:
    """Check that the schema has everything that this version needs; migrations only expand, so more does no harm.

    Raises
    ------
    SchemaBehindError
        If it has not.
    """
    found = await applied(database)
    if missing := lacking(found):
        raise SchemaBehindError(
            f"the database's schema is at {said(found)}, this version needs {said(missing)}",
            hint="run `nadia db upgrade`",
        )
    if is_ahead(found):
        log.info("schema.ahead", revisions=found, needed=heads())


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


def upgrade(dsn: str, revision: str = "heads") -> None:
    """Apply migrations up to a revision, each in its transaction; ``quarantine@head`` is a branch with what it needs.

    Raises
    ------
    UnavailableError
        If PostgreSQL cannot be reached.
    """
    from alembic import command

    with _connected(dsn) as config:
        command.upgrade(config, revision)


def downgrade(dsn: str, revision: str) -> None:
    """Take migrations back down to a revision: ``base`` for all, ``quarantine@base`` for one branch alone.

    What stands on a revision that goes is taken back as well.
    """
    from alembic import command

    with _connected(dsn) as config:
        command.downgrade(config, revision)


def upgrade_script(found: Sequence[str] = (), revision: str = "heads") -> str:
    """Return the SQL that takes a database from where it is up to a revision, for review and for linters."""
    from alembic import command

    with _on_paper(found) as (config, text):
        command.upgrade(config, revision, sql=True)
        return _tidy(text.getvalue())


def downgrade_script(found: Sequence[str], revision: str) -> str:
    """Return the SQL that takes a database from where it is down to a revision, as `downgrade` takes it."""
    from alembic import command

    with _on_paper(found) as (config, text):
        command.downgrade(config, f"base:{revision}", sql=True)  # where it really starts is an attribute
        return _tidy(text.getvalue())


@contextmanager
def _on_paper(found: Sequence[str]) -> Iterator[tuple["AlembicConfig", io.StringIO]]:
    config = _config()
    config.output_buffer = text = io.StringIO()
    config.attributes["found"] = stored(found)
    yield config, text


def _tidy(sql: str) -> str:
    return re.sub(r"\n{3,}", "\n\n", sql)


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
