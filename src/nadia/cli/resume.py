"""`nadia resume`: start sending or drafting again."""

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from nadia.cli.groups import command_group
from nadia.cli.output import point_out
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
    changed, remaining = asyncio.run(_resume(load_config(), what, account))
    scope = account or "all accounts"
    if account is not None and None in remaining:
        print(f"{what} {'is no longer' if changed else 'was not'} paused for {scope} alone")
    else:
        print(f"{what} {'goes on' if changed else 'was not paused'} for {scope}")
    for other in remaining:
        print(f"{what} still stands still for {other or 'all accounts'}")
        point_out(f"nadia resume {what}{f' --account {other}' if other else ''}")


async def _resume(config: "Config", what: Activity, account: str | None) -> tuple[bool, list[str | None]]:
    """Return whether a pause was lifted, and what is still paused and concerns the same accounts."""
    from nadia.app.factory import open_pauses

    async with open_pauses(config) as pauses:
        changed = await pauses.resume(what, account_id=account, actor=operator())
        paused = [pause.telegram_account_id for pause in await pauses.list() if pause.activity is what]
    return changed, [other for other in paused if account is None or other is None]
