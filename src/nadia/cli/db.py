"""`nadia db`: the schema of PostgreSQL."""

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from nadia.cli.groups import command_group
from nadia.cli.output import JsonOption, print_json
from nadia.cli.process_config import load_config

if TYPE_CHECKING:
    from nadia.settings import Config

app = command_group("Migrate and check the schema of PostgreSQL.")


@app.command()
def upgrade(revision: Annotated[str, typer.Argument(help="Revision to go up to.")] = "head") -> None:
    """Apply migrations; embedded servers that are not running are started for it."""
    from nadia.postgres import schema

    config = load_config()

    async def work() -> str | None:
        from nadia.app.installation import reachable_servers

        async with reachable_servers(config) as endpoints:
            await asyncio.to_thread(schema.upgrade, endpoints.postgres_owner, revision)
            return await _applied(config)

    print(f"the schema is at {asyncio.run(work())}")


@app.command()
def downgrade(
    revision: Annotated[str, typer.Argument(help="Revision to go down to: `-1` for one step, `base` for nothing.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do it; without this, only say what would be lost.")] = False,
) -> None:
    """Take migrations back. This drops tables and what is in them."""
    from nadia.errors import RefusedError
    from nadia.postgres import schema

    config = load_config()
    if not yes:
        raise RefusedError(
            f"going down to {revision} drops tables and everything in them", hint="take a backup, then add --yes"
        )

    async def work() -> str | None:
        from nadia.app.installation import reachable_servers

        async with reachable_servers(config) as endpoints:
            await asyncio.to_thread(schema.downgrade, endpoints.postgres_owner, revision)
            return await _applied(config)

    print(f"the schema is at {asyncio.run(work()) or 'nothing'}")


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
    if as_json:
        print_json({"ok": found == head, "current": found, "head": head})
    else:
        print(f"the schema is at {found or 'nothing'}; this version needs {head}")
    if found != head:
        raise typer.Exit(1)


@app.command()
def sql(down: Annotated[bool, typer.Option("--down", help="The way back instead.")] = False) -> None:
    """Print the migrations as SQL, for review and linters; needs no database."""
    from nadia.postgres import schema

    print(schema.script(f"{schema.head()}:base" if down else "head", down=down))


async def _applied(config: "Config") -> str | None:
    from nadia.app.endpoints import Endpoints
    from nadia.errors import UnavailableError
    from nadia.postgres import Database, schema

    database = Database(dsn=Endpoints.of(config).postgres_owner, application_name="nadia-db", pool_size=2)
    try:
        await database.open()
    except UnavailableError as exc:
        raise UnavailableError(exc.message, hint="is NADIA running? start it with `nadia up`") from exc
    try:
        return await schema.applied(database)
    finally:
        await database.close()
