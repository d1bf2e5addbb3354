"""`nadia mcp`: what assistants that speak the Model Context Protocol may ask of this installation."""

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from nadia.cli.groups import command_group
from nadia.cli.output import JsonOption, print_json, print_table
from nadia.cli.process_config import load_config, operator

if TYPE_CHECKING:
    from nadia.settings import Config

app = command_group("Let assistants investigate: the Model Context Protocol.")

AllowActions = Annotated[
    bool,
    typer.Option(
        "--allow-actions",
        help="Assistants may also acknowledge and silence alerts, run checks and start recovery, each by role.",
    ),
]


@app.command()
def serve(
    http: Annotated[
        bool, typer.Option("--http", help="Listen for assistants with a token, instead of serving this one.")
    ] = False,
    allow_actions: AllowActions = False,
) -> None:
    """Serve an assistant over standard input and output, until it goes; or many over HTTP, until Ctrl-C."""
    config = load_config()
    allowed = allow_actions or config.mcp.allow_actions
    if http:
        asyncio.run(_serve_http(config, allow_actions=allowed))
    else:
        from nadia.mcp_server.serving import serve_stdio

        asyncio.run(serve_stdio(config, allow_actions=allowed, actor=operator()))


@app.command()
def tools(allow_actions: AllowActions = False, as_json: JsonOption = False) -> None:
    """Print what assistants can ask for, and which role each tool needs."""
    from nadia.mcp_server.serving import Assistance

    config = load_config()
    offered = Assistance(config, allow_actions=allow_actions or config.mcp.allow_actions).tools
    if as_json:
        print_json(
            [
                {
                    "name": tool.name,
                    "description": tool.description,
                    "role": tool.role.value,
                    "reads_only": tool.reads_only,
                    "arguments": tool.input_schema,
                }
                for tool in offered
            ]
        )
        return
    rows = [(tool.name, tool.role.value, "" if tool.reads_only else "acts", tool.description) for tool in offered]
    print_table(("tool", "role", "", "what for"), rows)


async def _serve_http(config: "Config", *, allow_actions: bool) -> None:
    from nadia.app.lifecycle import stop_on_signals
    from nadia.mcp_server.serving import serving_http

    with stop_on_signals() as stop:
        async with serving_http(config, allow_actions=allow_actions) as url:
            print(f"assistants are served at {url}", flush=True)
            await stop.wait()
