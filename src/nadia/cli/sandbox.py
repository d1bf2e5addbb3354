"""`nadia sandbox`: the Telegram of this machine's own, as a process of its own."""

import asyncio
from typing import TYPE_CHECKING

from nadia.cli.groups import command_group
from nadia.cli.process_config import load_config

if TYPE_CHECKING:
    from nadia.settings import Config

app = command_group("Run the sandbox Telegram apart, for roles that run apart.")


@app.callback()
def sandbox() -> None:
    """Keep `serve` a command of its own."""


@app.command()
def serve() -> None:
    """Play Telegram at NADIA_TELEGRAM_ADDRESS until SIGINT or SIGTERM; `nadia up` does so by itself."""
    asyncio.run(_serve(load_config()))


async def _serve(config: "Config") -> None:
    from nadia.app.endpoints import Endpoints
    from nadia.app.installation import sandbox_server
    from nadia.app.lifecycle import stop_on_signals

    with stop_on_signals() as stop:
        async with sandbox_server(config, Endpoints.of(config)) as server:
            print(f"the sandbox is ready at {server.address}", flush=True)
            await stop.wait()
