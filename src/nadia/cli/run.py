"""`nadia run`: one role against configured servers, any number of each."""

import asyncio
from contextlib import AsyncExitStack
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from nadia.cli.daemon import run_daemon
from nadia.cli.groups import command_group
from nadia.cli.process_config import load_config

if TYPE_CHECKING:
    from nadia.settings import Config

app = command_group("Run one role; start as many of each as you need.")


class Role(StrEnum):
    """What a process does."""

    API = "api"
    BOT = "bot"
    WORKER = "worker"
    DAEMON = "daemon"


@app.command()
def run(
    role: Annotated[
        Role,
        typer.Argument(help="api: pages, JSON API. bot: Telegram accounts. worker: drafting. daemon: health checks."),
    ],
    metrics_port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, help="Serve this process's metrics here rather than at NADIA_METRICS_PORT."),
    ] = None,
) -> None:
    """Run one role against the servers that the settings name, until SIGINT or SIGTERM."""
    config = load_config(role=role.value)
    config.require_startable()
    asyncio.run(run_daemon(config, metrics_port) if role is Role.DAEMON else _run(config, role, metrics_port))


async def _run(config: "Config", role: Role, metrics_port: int | None) -> None:
    from nadia.app.address import published_address
    from nadia.app.bot import bot_parts
    from nadia.app.factory import open_context
    from nadia.app.lifecycle import stop_on_signals
    from nadia.app.observation import observed
    from nadia.app.supervision import run_parts
    from nadia.app.worker import worker_parts

    with stop_on_signals() as stop:
        async with AsyncExitStack() as stack:
            context = await stack.enter_async_context(open_context(config, role=role.value))
            if metrics_port is None:
                metrics_port = 0 if role is Role.API else config.metrics.port  # pages show them as well
            await stack.enter_async_context(observed(context, role=role.value, metrics_port=metrics_port))
            if role is Role.API:
                from nadia.web.role import serving

                web = await stack.enter_async_context(serving(context))
                stack.enter_context(published_address(config, web.url))
                print(f"{role.value} is ready at {web.url}", flush=True)
                await stop.wait()
            else:
                parts = bot_parts(context) if role is Role.BOT else worker_parts(context)
                print(f"{role.value} is ready", flush=True)
                await run_parts(parts, until=stop)
