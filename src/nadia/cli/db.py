"""`nadia db`: the schema of PostgreSQL."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from nadia.cli.groups import command_group
from nadia.cli.output import JsonOption, print_json
from nadia.cli.process_config import load_config, operator

if TYPE_CHECKING:
    from nadia.postgres.database import Database
    from nadia.settings import Config

app = command_group("Migrate and check the schema of PostgreSQL.")


DryRun = Annotated[bool, typer.Option("--dry-run", help="Print the SQL, and do nothing.")]


@app.command()
def upgrade(
    revision: Annotated[str, typer.Argument(help="Revision to go up to.")] = "head", dry_run: DryRun = False
) -> None:
    """Apply migrations; embedded servers that are not running are started for it."""
    from nadia.postgres import schema

    config = load_config()
    schema.require_revision(revision, besides=["head"])

    async def work() -> str:
        from nadia.app import migrations

        async with _schema_owner(config) as (database, dsn):
            found = await schema.applied(database)
            if dry_run:
                return schema.script(f"{found or 'base'}:{revision}")
            await migrations.upgrade(database, dsn=dsn, revision=revision, actor=operator())
            return f"the schema is at {await schema.applied(database)}"

    print(asyncio.run(work()))


@app.command()
def downgrade(
    revision: Annotated[str | None, typer.Argument(help="Revision to go down to; `base` for nothing.")] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="How many revisions to go down, instead.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do it; without this, only say what may be lost.")] = False,
    dry_run: DryRun = False,
) -> None:
    """Take migrations back. This drops tables and what is in them."""
    from nadia.errors import InvalidInputError, RefusedError
    from nadia.postgres import schema

    config = load_config()
    if (revision is None) == (steps is None):
        raise InvalidInputError("say how far: a revision or --steps, one of them", field="revision")
    if revision is not None:
        schema.require_revision(revision, besides=["base"])
    elif steps is not None and steps > len(schema.revisions()):
        raise InvalidInputError(f"there are only {len(schema.revisions())} revisions", field="--steps")
    target = revision or f"-{steps}"

    async def work() -> str:
        from nadia.app import migrations

        async with _schema_owner(config) as (database, dsn):
            found = await schema.applied(database)
            if dry_run:
                return schema.script(f"{found or 'base'}:{target}", down=True)
            if not yes:
                held = ", ".join(f"{name} {rows}" for name, rows in await migrations.rows_by_table(database))
                raise RefusedError(
                    f"going down to {target} drops tables with what is in them; rows now, about: {held or 'none'}",
                    hint="take a backup, then add --yes; --dry-run prints the SQL",
                )
            await migrations.downgrade(database, dsn=dsn, revision=target, actor=operator())
            return f"the schema is at {await schema.applied(database) or 'nothing'}"

    print(asyncio.run(work()))


@app.command()
def current(as_json: JsonOption = False) -> None:
    """Print the revision that the database is at."""
    from nadia.postgres import schema

    found = asyncio.run(_applied(load_config()))
    if as_json:
        print_json({"current": found, "head": schema.head()})
    else:
        print(found or "nothing")


@app.command()
def check(as_json: JsonOption = False) -> None:
    """Tell whether the schema is this version's; exit code 1 if it is not."""
    from nadia.postgres import schema

    found, head = asyncio.run(_applied(load_config())), schema.head()
    is_fine = found == head or schema.is_ahead(found)
    if as_json:
        print_json({"ok": is_fine, "current": found, "head": head})
    else:
        print(f"the schema is at {found or 'nothing'}; this version needs {head}")
    if not is_fine:
        raise typer.Exit(1)


@app.command()
def sql(down: Annotated[bool, typer.Option("--down", help="The way back instead.")] = False) -> None:
    """Print the migrations as SQL, for review and linters; needs no database."""
    from nadia.postgres import schema

    print(schema.script(f"{schema.head()}:base" if down else "head", down=down))


@asynccontextmanager
async def _schema_owner(config: "Config") -> "AsyncIterator[tuple[Database, str]]":
    """Connect as the role that owns the schema; embedded servers that are not running are started for it."""
    from nadia.app.installation import reachable_servers
    from nadia.postgres.database import Database

    async with reachable_servers(config) as endpoints:
        database = Database(dsn=endpoints.postgres_owner, application_name="nadia-db", pool_size=2)
        await database.open(at_once=True)
        try:
            yield database, endpoints.postgres_owner
        finally:
            await database.close()


async def _applied(config: "Config") -> str | None:
    from nadia.app.endpoints import Endpoints
    from nadia.app.factory import require_running
    from nadia.postgres import schema
    from nadia.postgres.database import Database

    require_running(config)
    database = Database(dsn=Endpoints.of(config).postgres_owner, application_name="nadia-db", pool_size=2)
    try:
        await database.open(at_once=True)
        return await schema.applied(database)
    finally:
        await database.close()
