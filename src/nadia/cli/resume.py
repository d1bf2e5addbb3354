"""`nadia resume`: start sending or drafting again."""

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from nadia.cli.groups import command_group
from nadia.cli.process_config import load_config, operator
from nadia.conversations.pauses import Activity

if TYPE_CHECKING:
    from nadia.settings import Config

app = command_group("Start sending or drafting again.")


@app.command()
def resume(
    what: Annotated[Activity, typer.Argument(help="What to start.")],
    account: Annotated[str | None, typer.Option("--account", help="Telegram account; all when left out.")] = None,
) -> None:
    """Start sending or drafting again; what waited goes on."""
    changed = asyncio.run(_resume(load_config(), what, account))
    print(f"{what} {'goes on' if changed else 'was not paused'} for {account or 'all accounts'}")


async def _resume(config: "Config", what: Activity, account: str | None) -> bool:
    from nadia.app.factory import open_pauses

    async with open_pauses(config) as pauses:
        return await pauses.resume(what, account_id=account, actor=operator())
