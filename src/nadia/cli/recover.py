"""`nadia recover`: what customers wrote while NADIA was away."""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from nadia.cli.exit_codes import ExitCode
from nadia.cli.groups import command_group
from nadia.cli.output import JsonOption, point_out, print_json, print_table
from nadia.cli.process_config import load_config, operator
from nadia.cli.recover_health import health
from nadia.errors import UnavailableError

if TYPE_CHECKING:
    from nadia.recovery.asking import OwnerQuestions
    from nadia.recovery.models import AccountStatus, Operation, RequestKind
    from nadia.recovery.status import RecoveryStatus

app = command_group("Look for what customers wrote while NADIA was away.")
app.command()(health)

T = TypeVar("T")

AccountOption = Annotated[str | None, typer.Option("--account", help="Only this Telegram account.")]


@app.command()
def status(account: AccountOption = None, as_json: JsonOption = False) -> None:
    """Print what may be missing, and how far it has been found."""

    async def read(status: "RecoveryStatus", _: "OwnerQuestions") -> "list[AccountStatus]":
        return await status.accounts() if account is None else [await status.account(account)]

    accounts = _with_record(read)
    if as_json:
        print_json([_account_as_json(each) for each in accounts])
    else:
        print_table(("account", "owned", "complete as of", "missing since", "latest run"), map(_row, accounts))


@app.command()
def plan(
    account: AccountOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="A plan changes nothing, with or without this.")] = True,
    as_json: JsonOption = False,
) -> None:
    """Print what a run would read."""
    _print_plans(account, as_json)


@app.command()
def run(
    account: AccountOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print what would be read; change nothing.")] = False,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Wait for the end of the run.")] = True,
    as_json: JsonOption = False,
) -> None:
    """Look for missed messages now.

    What waits for an answer is compared with Telegram's own record too, for edits and deletions.
    """
    if dry_run:
        _print_plans(account, as_json)
        return

    async def look(status: "RecoveryStatus", owner: "OwnerQuestions") -> "dict[str, Operation]":
        from nadia.recovery.models import RequestKind

        begun: dict[str, int] = {}
        for name in await _names(status, account):
            answer = await _ask(owner, name, RequestKind.RUN)
            begun[name] = int(str(answer["operation"]))
        return {name: await _follow(owner, name, number, wait=wait) for name, number in begun.items()}

    runs = _with_record(look)
    if as_json:
        print_json([{"account": name} | _operation_as_json(each) for name, each in runs.items()])
    else:
        print_table(("account", "run", "how it went"), [[n, str(r.id), _how(r)] for n, r in runs.items()])
    if any(each.state in ("failed", "interrupted") for each in runs.values()):
        point_out("it is tried again by itself; `nadia recover status` shows how it goes")
        raise typer.Exit(ExitCode.NOT_FINE)


def _print_plans(account: str | None, as_json: bool) -> None:
    async def ask(status: "RecoveryStatus", owner: "OwnerQuestions") -> list[dict[str, object]]:
        from nadia.recovery.models import RequestKind

        return [
            {"account": name} | dict(await _ask(owner, name, RequestKind.PLAN))
            for name in await _names(status, account)
        ]

    plans = _with_record(ask)
    if as_json:
        print_json(plans)
        return
    header = ("account", "after message", "tier 1", "tier 2", "tier 3", "oldest", "about")
    tiers = ("chats_tier_1", "chats_tier_2", "chats_tier_3")
    rows = [
        [
            str(each["account"]),
            str(each["after_message_id"]),
            *(str(each[tier]) for tier in tiers),
            str(each["oldest"] or "-"),
            f"{float(str(each['seconds'])):.0f} s",
        ]
        for each in plans
    ]
    print_table(header, rows)


async def _names(status: "RecoveryStatus", account: str | None) -> list[str]:
    """Return the accounts that are meant: all that somebody acts for, unless one is named."""
    if account is not None:
        return [account]
    names = [each.account_id for each in await status.accounts() if each.owned]
    if not names:
        raise UnavailableError(
            "no running bot owns a Telegram account", hint="start one with `nadia up` or `nadia run bot`"
        )
    return names


async def _ask(owner: "OwnerQuestions", account: str, kind: "RequestKind") -> Mapping[str, object]:
    """Ask the owner of an account, and say so if that takes as long as the run it is at."""

    def wait(run: "Operation") -> None:
        print(f"{account}: waits for the present run to end ({_how(run)})", file=sys.stderr, flush=True)

    return await owner.ask(account, kind, actor=operator(), on_busy=wait)


async def _follow(owner: "OwnerQuestions", account: str, number: int, *, wait: bool) -> "Operation":
    """Show how a run goes, where somebody looks, and return how it ended."""
    shows = sys.stderr.isatty()
    async for operation in owner.follow(number):
        if shows:
            print(f"\r\x1b[2K{account}: {_how(operation)}", end="", file=sys.stderr, flush=True)
        if not wait:
            break
    if shows:
        print(file=sys.stderr)
    return operation


def _row(status: "AccountStatus") -> list[str]:
    return [
        status.account_id,
        "yes" if status.owned else "no",
        "never" if status.verified_at is None else f"{status.verified_at:%Y-%m-%d %H:%M:%S}Z",
        "nothing" if status.gap is None else f"{status.gap.opened_at:%Y-%m-%d %H:%M:%S}Z ({status.gap.reason})",
        "none yet" if status.operation is None else _how(status.operation),
    ]


def _how(operation: "Operation") -> str:
    """Say how a run goes, or went."""
    said = f"{operation.state}: {operation.chats_done} of {operation.chats} chats, "
    said += f"{operation.messages_recorded} of {operation.messages_found} messages were missing"
    if operation.messages_too_old:
        said += f", {operation.messages_too_old} too old to be answered"
    if operation.edits or operation.deletions:
        said += f", {operation.edits} edits, {operation.deletions} deletions"
    if operation.seconds_left is not None:
        said += f", about {operation.seconds_left:.0f} s left"
    return f"{said} ({operation.error})" if operation.error else said


def _account_as_json(status: "AccountStatus") -> dict[str, object]:
    operation = None if status.operation is None else _operation_as_json(status.operation)
    return asdict(status) | {"operation": operation}


def _operation_as_json(operation: "Operation") -> dict[str, object]:
    return asdict(operation) | {
        "chats": operation.chats,
        "seconds": operation.seconds,
        "seconds_left": operation.seconds_left,
    }


def _with_record(work: "Callable[[RecoveryStatus, OwnerQuestions], Awaitable[T]]") -> T:
    from nadia.app.factory import open_database
    from nadia.recovery.asking import OwnerQuestions
    from nadia.recovery.requests import RecoveryRequests
    from nadia.recovery.status import RecoveryStatus

    config = load_config()

    async def connected() -> T:
        async with open_database(config, name="cli") as database:
            status = RecoveryStatus(database=database)
            return await work(status, OwnerQuestions(requests=RecoveryRequests(database=database), status=status))

    return asyncio.run(connected())
