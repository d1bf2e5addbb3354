"""`nadia pause`: stop sending or drafting, at once."""

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from nadia.cli.groups import command_group
from nadia.cli.process_config import load_config, operator
from nadia.conversations.pauses import Activity
from nadia.errors import InvalidInputError

if TYPE_CHECKING:
    from nadia.settings import Config

app = command_group("Stop sending or drafting, for all or one Telegram account.")


@app.command()
def pause(
    what: Annotated[Activity, typer.Argument(help="What to stop.")],
    account: Annotated[str | None, typer.Option("--account", help="Telegram account; all when left out.")] = None,
    reason: Annotated[str, typer.Option(help="Why; people at the desk see it.")] = "paused from the command line",
) -> None:
    """Stop sending or drafting at once; nothing is lost, it waits."""
    if not reason.isprintable():  # among them what PostgreSQL cannot hold: NUL and lone surrogates
        raise InvalidInputError("holds characters that cannot be printed", field="--reason")
    changed = asyncio.run(_pause(load_config(), what, account, reason))
    print(f"{what} {'is' if changed else 'was already'} paused for {account or 'all accounts'}")


async def _pause(config: "Config", what: Activity, account: str | None, reason: str) -> bool:
    from nadia.app.factory import open_pauses

    async with open_pauses(config) as pauses:
        return await pauses.pause(what, account_id=account, reason=reason, actor=operator())
