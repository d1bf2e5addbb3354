"""`nadia login-link`: a one-time link for somebody who has an account."""

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from nadia.cli.account import existing_account
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
    from nadia.app.address import address_of
    from nadia.app.factory import account_service, open_database

    async with open_database(config, name="cli") as database:
        address = address_of(config)  # before there is a link that nobody could open
        accounts = account_service(config, database)
        link = await accounts.login_link(await existing_account(accounts, name), actor=operator())
    return address + link.path
