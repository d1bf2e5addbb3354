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
    revision: Annotated[str, typer.Argument(help="Revision to go up to.")] = "heads", dry_run: DryRun = False
) -> None:
    """Apply migrations; embedded servers that are not running are started for it."""
    from nadia.postgres import schema

    config = load_config()
    schema.require_revision(revision, besides=["heads"])

    async def work() -> str:
        from nadia.app import migrations

        async with schema_owner(config) as (database, dsn):
            if dry_run:
                return schema.upgrade_script(await schema.applied(database), revision)
            await migrations.upgrade(database, dsn=dsn, revision=revision, actor=operator())
            return f"the schema is at {schema.said(await schema.applied(database))}"

    print(asyncio.run(work()))


@app.command()
def downgrade(
    revision: Annotated[
        str | None, typer.Argument(help="Revision to go down to; `base` for nothing, `quarantine@base` for one branch.")
    ] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="How many revisions of the main line, instead.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do it; without this, only say what may be lost.")] = False,
    dry_run: DryRun = False,
) -> None:
    """Take migrations back, and what stands on them. This drops tables and what is in them."""
    from nadia.errors import InvalidInputError
    from nadia.postgres import revisions, schema

    config = load_config()
    if (revision is None) == (steps is None):
        raise InvalidInputError("say how far: a revision or --steps, one of them", field="revision")
    if revision is not None:
        bases = [f"{branch}@base" for branch in revisions.branches() if branch]
        schema.require_revision(revision, besides=["base", *bases])
    elif steps is not None and steps > len(revisions.revisions(revisions.MAIN)):
        most = len(revisions.revisions(revisions.MAIN))
        raise InvalidInputError(f"the main line has only {most} revisions", field="--steps")

    async def work() -> str:
        async with schema_owner(config) as (database, dsn):
            target = revision or schema.steps_below(await schema.applied(database), steps or 0)
            return await take_back(database, dsn, target=target, yes=yes, dry_run=dry_run)

    print(asyncio.run(work()))


async def take_back(database: "Database", dsn: str, *, target: str, yes: bool, dry_run: bool) -> str:
    """Go down to a revision, or say what would be lost; returns what to print.

    Raises
    ------
    RefusedError
        Without ``yes``, or while a NADIA works on the database.
    """
    from nadia.app import migrations
    from nadia.errors import RefusedError
    from nadia.postgres import schema

    if dry_run:
        return schema.downgrade_script(await schema.applied(database), target)
    if not yes:
        held = ", ".join(f"{name} {rows}" for name, rows in await migrations.rows_by_table(database))
        raise RefusedError(
            f"going down to {target} drops tables with what is in them; rows now, about: {held or 'none'}",
            hint="take a backup, then add --yes; --dry-run prints the SQL",
        )
    await migrations.downgrade(database, dsn=dsn, revision=target, actor=operator())
    return f"the schema is at {schema.said(await schema.applied(database))}"


@app.command()
def current(as_json: JsonOption = False) -> None:
    """Print the revisions that the database is at, one for each branch."""
    from nadia.postgres import revisions, schema

    found = asyncio.run(applied_revisions(load_config()))
    if as_json:
        print_json({"current": found, "heads": revisions.heads()})
    else:
        print(schema.said(found))


@app.command()
def check(as_json: JsonOption = False) -> None:
    """Tell whether the schema is this version's; exit code 1 if it is not."""
    from nadia.postgres import revisions, schema

    found = asyncio.run(applied_revisions(load_config()))
    missing = revisions.lacking(found)
    if as_json:
        print_json({"ok": not missing, "current": found, "heads": revisions.heads()})
    else:
        print(f"the schema is at {schema.said(found)}; this version needs {schema.said(revisions.heads())}")
    if missing:
        raise typer.Exit(1)


@app.command()
def sql(down: Annotated[bool, typer.Option("--down", help="The way back instead.")] = False) -> None:
    """Print the migrations as SQL, for review and linters; needs no database."""
    from nadia.postgres import revisions, schema

    print(schema.downgrade_script(revisions.heads(), "base") if down else schema.upgrade_script())


@asynccontextmanager
async def schema_owner(config: "Config") -> "AsyncIterator[tuple[Database, str]]":
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


async def applied_revisions(config: "Config") -> tuple[str, ...]:
    """Return what a running database is at; raises what `require_running` does."""
    from nadia.app.endpoints import Endpoints, require_running
    from nadia.postgres import schema
    from nadia.postgres.database import Database

    require_running(config)
    database = Database(dsn=Endpoints.of(config).postgres_owner, application_name="nadia-db", pool_size=2)
    try:
        await database.open(at_once=True)
        return await schema.applied(database)
    finally:
        await database.close()
