"""`nadia up`: everything on one machine, in one process."""

import asyncio
import errno
import socket
import sys
from typing import TYPE_CHECKING

from nadia.cli.groups import command_group
from nadia.cli.output import FAINT, paint
from nadia.cli.process_config import load_config

if TYPE_CHECKING:
    from nadia.app.context import ProcessContext
    from nadia.app.installation import Installation
    from nadia.settings import Config

app = command_group("Run everything on this machine, with its own PostgreSQL and Redis.")


@app.command()
def up() -> None:
    """Run everything on this machine: servers, web, Telegram accounts, drafting. Ctrl-C stops it."""
    config = load_config(role="up")
    config.require_startable()
    asyncio.run(_up(config))


async def _up(config: "Config") -> None:
    from nadia.app.address import published_address
    from nadia.app.bot import bot_parts
    from nadia.app.factory import open_context
    from nadia.app.installation import first_login_path, running_installation
    from nadia.app.lifecycle import stop_on_signals
    from nadia.app.observation import observed
    from nadia.app.supervision import run_parts
    from nadia.app.worker import worker_parts
    from nadia.daemon.role import daemon_of_home
    from nadia.web.role import serving

    _require_free_port(config)
    with stop_on_signals() as stop:
        async with (
            running_installation(config) as installation,
            open_context(config, role="up", owns_home=True) as context,
            observed(context, role="up"),
            serving(context) as web,
        ):
            with published_address(config, web.url):
                running = {**worker_parts(context), **bot_parts(context)}
                if config.daemon.enabled:
                    running["daemon"] = daemon_of_home(config, database=context.database, redis=context.redis).start
                parts = asyncio.create_task(run_parts(running, until=stop))
                try:
                    login = await first_login_path(context.accounts, context.database)
                    await _print_welcome(context, installation, url=web.url, login=login)
                    await stop.wait()
                finally:
                    stop.set()
                    await parts
    print("NADIA has stopped.", flush=True)


def _require_free_port(config: "Config") -> None:
    """Find out before servers are started for nothing; whoever runs on the same home is told of that instead.

    Raises
    ------
    PortInUseError
        If another program listens where the pages are to be.
    """
    from nadia.embedded.home import Home
    from nadia.web.server import PortInUseError

    host, port = config.web.host, config.web.port
    if not port or Home(path=config.home).owner_pid() is not None:
        return
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as exc:  # other troubles are the web server's to explain
        if exc.errno == errno.EADDRINUSE:
            raise PortInUseError(
                f"port {port} on {host} is in use by another program",
                hint="stop it, or choose another port: NADIA_WEB_PORT=8421 (0 takes any free one)",
            ) from exc


async def _print_welcome(
    context: "ProcessContext", installation: "Installation", *, url: str, login: str | None
) -> None:
    """Say where to go, and what runs."""
    from nadia import __version__
    from nadia.app import state as part
    from nadia.app import texts

    config, endpoints = context.config, context.endpoints
    once = "works once, for 10 minutes; another one: nadia login-link"
    places = [("Review desk", f"{url}/desk", "")]
    if login is not None:
        places.append(("Log in", f"{url}{login}", once))
    else:
        places.append(("Log in", f"{url}/login", "or with a link from: nadia login-link"))
    if installation.sandbox:
        places.append(("Sandbox chat", f"{url}/sandbox", "where you write as a customer"))
    embedded, configured = f"embedded, in {config.home}", "configured"
    postgres, redis, telegram = await asyncio.gather(
        part.postgres_state(context), part.redis_state(context), part.telegram_state(context)
    )
    state = [
        ("PostgreSQL", f"{embedded if 'postgres' in endpoints.embedded else configured}, {postgres}", ""),
        ("Redis", f"{embedded if 'redis' in endpoints.embedded else configured}, {redis}", ""),
        ("Telegram", telegram, ""),
        ("Models", _models(config), f"profile {config.llm.profile}"),
        ("Your texts", str(texts.folder(config)), "persona, disclosure, saved replies: edit them any time"),
    ]
    print(f"NADIA {__version__} is up, after {installation.seconds:.1f} s.\n")
    for name, value, remark in places:
        print(f"  {name:<13} {value}" + (f"   {paint(remark, FAINT, stream=sys.stdout)}" if remark else ""))
    print()
    for name, value, remark in state:
        print(f"  {name:<13} {value}" + (f"   {paint(remark, FAINT, stream=sys.stdout)}" if remark else ""))
    print("\nCtrl-C stops it.", flush=True)


def _models(config: "Config") -> str:
    links = config.model_registry().chain(config.llm.profile)
    return ", then ".join(f"{link.name} (skipped: {link.skipped})" if link.skipped else link.name for link in links)
