"""`nadia quarantine`: customers who are not answered, and what they wrote."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Final, TypeVar

import typer

from nadia.cli.groups import command_group
from nadia.cli.output import JsonOption, print_json, print_table, warn
from nadia.cli.process_config import load_config, operator

if TYPE_CHECKING:
    from datetime import datetime

    from nadia.quarantine.models import Decision, Foreseen, HeldMessage, Outcome, Person
    from nadia.quarantine.service import Quarantine

app = command_group("Silence customers, and decide about what they write.")

_MOST_LISTED: Final = 500

T = TypeVar("T")
Decide = Callable[..., Awaitable["Outcome"]]

Customer = Annotated[str, typer.Argument(metavar="PERSON", help="The customer, by id or @username.")]
Reason = Annotated[str, typer.Option(help="Why; goes on record with your name.")]
Messages = Annotated[
    list[int] | None, typer.Option("--message", min=1, help="Only this held message; may be repeated.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what it would do, and do nothing.")]


@app.command("list")
def list_silences(as_json: JsonOption = False) -> None:
    """Print who is silenced, those first whose messages expire next."""
    found = _run(lambda quarantine: quarantine.silences(limit=_MOST_LISTED + 1))
    silences = found[:_MOST_LISTED]
    if len(found) > len(silences):
        warn(f"these are the first {len(silences)}; more are silenced")
    if as_json:
        print_json([asdict(silence) for silence in silences])
        return
    print_table(
        ("person", "name", "held", "first expires", "since", "by", "reason"),
        [
            (
                str(silence.person_id),
                _plain(silence.name),
                str(silence.held),
                _moment(silence.expires_at),
                _moment(silence.activated_at),
                silence.activated_by_name,
                silence.reason,
            )
            for silence in silences
        ],
    )


@app.command()
def show(customer: Customer, as_json: JsonOption = False) -> None:
    """Print a customer's silence, what is held of them, and every step; their words are shown at the desk only."""

    async def read(quarantine: "Quarantine") -> "Person":
        return await quarantine.person(await quarantine.find(customer))

    person = _run(read)
    messages = [_about(message) for message in person.messages]
    if as_json:
        print_json(asdict(person) | {"messages": messages})
        return
    silence = person.silence
    print(f"{_plain(person.name)} (person {person.person_id}) is {'silenced' if silence else 'not silenced'}")
    if silence is not None:
        print(f"since {_moment(silence.activated_at)} by {silence.activated_by_name}: {silence.reason}")
        if silence.pass_granted_at is not None:
            print("the next burst has a pass")
    if messages:
        print()
        print_table(tuple(messages[0]), [[_word(value) for value in message.values()] for message in messages])
        if silence is not None and silence.held > len(messages):
            print(f"and {silence.held - len(messages)} more")
    if person.log:
        print()
        print_table(
            ("at", "step", "by", "messages", "reason"),
            [
                (_moment(entry.at), entry.step.value, entry.actor_name, str(entry.messages), entry.reason or "")
                for entry in person.log
            ],
        )


@app.command()
def activate(customer: Customer, reason: Reason, dry_run: DryRun = False, as_json: JsonOption = False) -> None:
    """Silence a customer: nothing more is drafted, approved or sent; what they write is kept for a decision."""
    _decide(customer, "activate", reason, dry_run=dry_run, as_json=as_json)


@app.command()
def deactivate(customer: Customer, reason: Reason, dry_run: DryRun = False, as_json: JsonOption = False) -> None:
    """Lift a silence: what is held goes to drafting, parked items go on where they were."""
    _decide(customer, "deactivate", reason, dry_run=dry_run, as_json=as_json)


@app.command("pass")
def grant_pass(customer: Customer, reason: Reason, dry_run: DryRun = False, as_json: JsonOption = False) -> None:
    """Let through once what is held, or the next burst if nothing is; the silence goes on."""
    _decide(customer, "grant_pass", reason, dry_run=dry_run, as_json=as_json)


@app.command()
def release(
    customer: Customer,
    reason: Reason,
    message: Messages = None,
    dry_run: DryRun = False,
    as_json: JsonOption = False,
) -> None:
    """Let held messages through, all or some; the silence goes on."""
    _decide(customer, "release", reason, message_ids=message, dry_run=dry_run, as_json=as_json)


@app.command()
def discard(
    customer: Customer,
    reason: Reason,
    message: Messages = None,
    dry_run: DryRun = False,
    as_json: JsonOption = False,
) -> None:
    """End held messages without a reply, all or some. This cannot be taken back."""
    _decide(customer, "discard", reason, message_ids=message, dry_run=dry_run, as_json=as_json)


@app.command()
def schema(
    verify: Annotated[bool, typer.Option("--verify", help="Only tell if they are there; exit code 1 if not.")] = False,
    rollback: Annotated[bool, typer.Option("--rollback", help="Drop them, and nothing else.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="With --rollback: do it, what is in them is lost.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the SQL, and do nothing.")] = False,
) -> None:
    """Create the protocol's tables with what they stand on, verify them, or take them back, and nothing else."""
    from nadia.cli import db
    from nadia.errors import InvalidInputError
    from nadia.postgres import revisions, schema

    if verify and rollback:
        raise InvalidInputError("verify or roll back, one of them", field="--verify")
    config = load_config()

    async def create() -> str:
        from nadia.app import migrations

        async with db.schema_owner(config) as (database, dsn):
            if dry_run:
                return schema.upgrade_script(await schema.applied(database), "quarantine@head")
            await migrations.upgrade(database, dsn=dsn, revision="quarantine@head", actor=operator())
            return f"the schema is at {schema.said(await schema.applied(database))}"

    async def take_back() -> str:
        async with db.schema_owner(config) as (database, dsn):
            return await db.take_back(database, dsn, target="quarantine@base", yes=yes, dry_run=dry_run)

    if verify:
        found = asyncio.run(db.applied_revisions(config))
        missing = [head for head in revisions.lacking(found) if revisions.branch_of(head) == "quarantine"]
        print(f"the schema is at {schema.said(found)}; the protocol's tables are {'missing' if missing else 'there'}")
        if missing:
            raise typer.Exit(1)
    else:
        print(asyncio.run(take_back() if rollback else create()))


def _decide(
    customer: str,
    how: "Decision",
    reason: str,
    *,
    message_ids: list[int] | None = None,
    dry_run: bool,
    as_json: bool,
) -> None:
    from nadia.quarantine.reasons import checked_reason

    checked_reason(reason)
    some = {} if message_ids is None else {"message_ids": message_ids}

    async def act(quarantine: "Quarantine") -> "Outcome":
        decide: Decide = getattr(quarantine, how)
        return await decide(await quarantine.find(customer), reason=reason, actor=operator(), **some)

    async def foresee(quarantine: "Quarantine") -> "Foreseen":
        return await quarantine.foresee(await quarantine.find(customer), how, message_ids=message_ids)

    if dry_run:
        plan = _plan(how, _run(foresee))
        if as_json:
            print_json({"plan": plan})
        else:
            print("\n".join(plan))
        return
    outcome = _run(act)
    if as_json:
        print_json(asdict(outcome))
    elif outcome.changed:
        print(f"{_DONE[how]}; messages: {outcome.messages}, items of the desk: {outcome.items}")
    else:
        print(_UNCHANGED[how])


_DONE = {
    "activate": "silenced",
    "deactivate": "the silence is lifted",
    "grant_pass": "a pass is granted",
    "release": "released",
    "discard": "discarded",
}
_UNCHANGED = {
    "activate": "was silenced already",
    "deactivate": "was not silenced",
    "grant_pass": "the next burst has a pass already",
}


def _plan(how: "Decision", foreseen: "Foreseen") -> list[str]:
    """Say what a decision would do to the customer as they are now."""
    who = f"{_plain(foreseen.name)} (person {foreseen.person_id})"
    held = f"{foreseen.messages} held messages, {foreseen.parked_items} parked items among them"
    if not foreseen.changes:
        return [f"{who}: {_UNCHANGED[how]}; nothing would change"]
    match how:
        case "activate":
            return [f"silence {who}", "park what the desk has of them that is not leaving at the moment"]
        case "deactivate":
            return [f"lift the silence of {who}", f"send to drafting: {held}"]
        case "grant_pass" if not foreseen.messages:
            return [f"let the next burst of {who} through, once"]
        case "discard":
            return [f"end without a reply, of {who}: {held}"]
        case _:
            return [f"send to drafting, of {who}: {held}"]


def _about(message: "HeldMessage") -> dict[str, object]:
    """Return what a message is, without what it says."""
    return {
        "message": message.message_id,
        "account": message.telegram_account_id,
        "item": message.batch_id,
        "kind": message.kind,
        "characters": len(message.text),
        "sent_at": message.sent_at,
        "held_at": message.held_at,
        "expires_at": message.expires_at,
    }


def _word(value: object) -> str:
    from datetime import datetime

    return _moment(value) if isinstance(value, datetime) else "" if value is None else str(value)


def _plain(name: str) -> str:
    """Return a name that a customer chose as a terminal can show it."""
    return "".join(character if character.isprintable() else "\ufffd" for character in name)


def _moment(moment: "datetime | None") -> str:
    return "" if moment is None else moment.isoformat(timespec="seconds")


def _run(work: Callable[["Quarantine"], Awaitable[T]]) -> T:
    """Do something with the service on a running installation."""
    config = load_config()

    async def connected() -> T:
        from nadia.app.factory import open_quarantine

        async with open_quarantine(config) as quarantine:
            return await work(quarantine)

    return asyncio.run(connected())
