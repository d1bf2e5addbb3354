"""`nadia login-link`: a one-time link for somebody who has an account."""

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from nadia.cli.groups import command_group
from nadia.cli.process_config import load_config, operator

if TYPE_CHECKING:
    from nadia.settings import Config

app = command_group("Print a one-time link to log in with.")


@app.command()
def login_link(name: Annotated[str, typer.Argument(help="Name of the account.")] = "admin") -> None:
    """Print a link that logs an account in: once, within 10 minutes. Only to this terminal."""
    print(asyncio.run(_issue(load_config(), name)))


async def _issue(config: "Config", name: str) -> str:
    from nadia.app.factory import account_service, open_database
    from nadia.settings.web import base_url

    async with open_database(config, name="cli") as database:
        accounts = account_service(config, database)
        link = await accounts.login_link(await accounts.by_name(name), actor=operator())
    return base_url(config.web) + link.path
