"""`nadia account`: the people who log in."""

import asyncio
import difflib
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from nadia.accounts.models import Role
from nadia.cli.groups import command_group
from nadia.cli.output import JsonOption, print_json, print_table
from nadia.cli.process_config import load_config, operator
from nadia.errors import NotFoundError

if TYPE_CHECKING:
    from nadia.accounts.models import Account
    from nadia.accounts.service import AccountService
    from nadia.settings import Config

app = command_group("Invite, disable and reset the people who log in.")

T = TypeVar("T")

Name = Annotated[str, typer.Argument(help="Name of the account.")]


@app.command("list")
def list_accounts(as_json: JsonOption = False) -> None:
    """Print who has an account."""
    overview = _run(lambda accounts: accounts.overview())
    rows = [
        {
            "name": line.account.name,
            "role": line.account.role.value,
            "active": line.account.active,
            "sessions": line.sessions,
            "second_factor": line.account.has_second_factor,
        }
        for line in overview
    ]
    if as_json:
        print_json(rows)
    else:
        print_table(tuple(rows[0]) if rows else ("name",), [[str(value) for value in row.values()] for row in rows])


@app.command()
def invite(name: Name, role: Annotated[Role, typer.Option(help="What they may do.")] = Role.REVIEWER) -> None:
    """Make an account and print the one-time link with which its owner sets a password."""
    config = load_config()

    async def issue(accounts: "AccountService") -> str:
        return (await accounts.invite(name=name, role=role, actor=operator())).path

    print(_link(issue, config))


@app.command()
def reset(name: Name) -> None:
    """Print a one-time link with which the owner sets a new password."""
    config = load_config()

    async def issue(accounts: "AccountService") -> str:
        return (await accounts.reset(await existing_account(accounts, name), actor=operator())).path

    print(_link(issue, config))


@app.command()
def role(name: Name, new: Annotated[Role, typer.Argument(help="The new role.")]) -> None:
    """Change what an account may do."""

    async def change(accounts: "AccountService") -> None:
        await accounts.change_role(await existing_account(accounts, name), new, actor=operator())

    _run(change)
    print(f"{name} is {new} now")


@app.command()
def disable(name: Name) -> None:
    """Keep an account from logging in; its sessions end and its tokens are void."""

    async def change(accounts: "AccountService") -> None:
        await accounts.disable(await existing_account(accounts, name), actor=operator())

    _run(change)
    print(f"{name} is disabled; its sessions have ended and its tokens are void")


@app.command()
def enable(name: Name) -> None:
    """Let an account log in again."""

    async def change(accounts: "AccountService") -> None:
        await accounts.enable(await existing_account(accounts, name), actor=operator())

    _run(change)
    print(f"{name} may log in again")


@app.command()
def revoke(name: Name) -> None:
    """End all sessions of an account, and void its tokens."""

    async def change(accounts: "AccountService") -> int:
        return await accounts.sessions.revoke_all(await existing_account(accounts, name), actor=operator())

    print(f"{_run(change)} sessions of {name} have ended")


@app.command()
def token(
    name: Name,
    label: Annotated[str, typer.Argument(help="What it is for.")],
    role: Annotated[Role, typer.Option(help="What it may do, at most what its owner may.")] = Role.VIEWER,
) -> None:
    """Make an API token of an account and print it; it is shown only now."""

    async def create(accounts: "AccountService") -> str:
        secret, _ = await accounts.tokens.create(
            await existing_account(accounts, name), name=label, role=role, actor=operator()
        )
        return secret

    print(_run(create))


async def existing_account(accounts: "AccountService", name: str) -> "Account":
    """Return an account by its name.

    Raises
    ------
    NotFoundError
        If there is none; the hint says which there are.
    """
    try:
        return await accounts.by_name(name)
    except NotFoundError as exc:
        names = [line.account.name for line in await accounts.overview()]
        near = difflib.get_close_matches(name, names, n=1)
        hint = (
            f"did you mean {near[0]}?" if near else "`nadia account list` says who has one, `account invite` adds one"
        )
        raise NotFoundError(exc.message, hint=hint) from exc


def _link(issue: "Callable[[AccountService], Awaitable[str]]", config: "Config") -> str:
    from nadia.app.address import address_of

    async def at_its_address(accounts: "AccountService") -> str:
        address = address_of(config)  # before there is a link that nobody could open
        return address + await issue(accounts)

    return _run(at_its_address, config)


def _run(work: "Callable[[AccountService], Awaitable[T]]", config: "Config | None" = None) -> T:
    from nadia.app.factory import account_service, open_database

    settings = config or load_config()

    async def connected() -> T:
        async with open_database(settings, name="cli") as database:
            return await work(account_service(settings, database))

    return asyncio.run(connected())
