"""`nadia telegram`: log Telegram accounts in and out, and see how they are."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from nadia.cli.groups import command_group
from nadia.cli.output import JsonOption, point_out, print_json, print_table, warn
from nadia.cli.process_config import load_config, operator
from nadia.errors import InvalidInputError, NotFoundError

if TYPE_CHECKING:
    from pydantic import SecretStr

    from nadia.app.telegram import LoggedOut
    from nadia.conversations.pauses import Activity
    from nadia.settings import Config
    from nadia.telegram.account_status import AccountStatus
    from nadia.telegram.session_material import SessionMaterial
    from nadia.telegram.telethon.login import LogIn

app = command_group("Log Telegram accounts in and out, and see how they are.")

Account = Annotated[
    str | None, typer.Option("--account", help="Name of the account in NADIA; NADIA_TELEGRAM_ACCOUNT when left out.")
]

_LONGEST_TOKEN: Final = 1_024
"""Characters; a larger file is surely not a token but a mistake in the path."""


@app.command()
def login(
    account: Account = None,
    phone: Annotated[str | None, typer.Option(help="The account's number; asked for when left out.")] = None,
    qr: Annotated[bool, typer.Option("--qr", help="Show a code to scan with a phone that is logged in.")] = False,
    bot_token_file: Annotated[
        Path | None, typer.Option(help="Log a bot in, with the token of @BotFather's that this file holds.")
    ] = None,
) -> None:
    """Log an account in: by a code, by QR, or with a bot token. Running bots pick it up by themselves."""
    if sum((phone is not None, qr, bot_token_file is not None)) > 1:
        raise InvalidInputError("are three ways to log in: choose one", field="--phone, --qr and --bot-token-file")
    config = load_config()
    token = _read_token(bot_token_file) if bot_token_file else None

    async def way_in(attempt: "LogIn") -> "SessionMaterial":
        from nadia.cli.questions import Terminal

        if token is not None:
            return await attempt.by_bot_token(token)
        return await attempt.by_qr(Terminal()) if qr else await attempt.by_code(Terminal(), phone=phone)

    asyncio.run(_log_in(config, account or config.telegram.account, way_in))


@app.command()
def logout(
    account: Account = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be ended, and do nothing.")] = False,
) -> None:
    """End an account's session, here and at Telegram. What is queued stays queued until it is logged in again."""
    config = load_config()
    name = account or config.telegram.account
    if dry_run:
        found = next((each for each, _ in asyncio.run(_overview(config)) if each.id == name and each.has_session), None)
        if found is None:
            raise NotFoundError(f"nobody is logged in as {name}", hint="`nadia telegram status` lists the accounts")
        print(
            f"would end the session of {name} (user {found.user_id}), which is {found.session}; "
            f"acting for it: {found.owner or 'nobody'}"
        )
        return
    outcome = asyncio.run(_log_out(config, name))
    if outcome.at_telegram:
        print(f"{name} is logged out")
    else:
        print(f"{name} is logged out here")
        warn(f"Telegram was not told: {outcome.reason}")
        point_out("end the session in a Telegram app of the account: Settings, Devices")


@app.command()
def status(as_json: JsonOption = False) -> None:
    """Print every Telegram account: whose it is, who acts for it, how far it was read."""
    found = asyncio.run(_overview(load_config()))
    if as_json:
        print_json([_as_json(each, paused) for each, paused in found])
    elif found:
        print_table(
            ("account", "network", "user", "session", "acting for it", "position", "paused"),
            [_as_line(each, paused) for each, paused in found],
        )
    else:
        point_out("there is no Telegram account yet: nadia telegram login --account NAME")


def _as_json(status: "AccountStatus", paused: "Sequence[Activity]") -> dict[str, object]:
    return {
        "account": status.id,
        "network": status.network,
        "user_id": status.user_id,
        "is_bot": status.is_bot,
        "logged_in_at": status.logged_in_at and status.logged_in_at.isoformat(),
        "session": status.session,
        "revoked_reason": status.revoked_reason,
        "owner": status.owner,
        "owned_until": status.owned_until and status.owned_until.isoformat(),
        "update_state_age_seconds": status.position_age and round(status.position_age.total_seconds(), 1),
        "paused": [activity.value for activity in paused],
    }


def _as_line(status: "AccountStatus", paused: "Sequence[Activity]") -> list[str]:
    age = status.position_age
    return [
        status.id,
        status.network,
        "-" if status.user_id is None else f"{status.user_id}{' (bot)' if status.is_bot else ''}",
        f"revoked: {status.revoked_reason}" if status.session == "revoked" else status.session,
        status.owner or "nobody",
        "-" if age is None else f"{age.total_seconds():.0f} s old",
        ", ".join(activity.value for activity in paused) or "-",
    ]


async def _log_in(config: "Config", account: str, way_in: "Callable[[LogIn], Awaitable[SessionMaterial]]") -> None:
    from nadia.app.factory import open_database
    from nadia.app.session_keys import session_keys
    from nadia.app.telegram import telegram_logins
    from nadia.telegram.telethon.login import logging_in

    api = config.telegram.api_credentials()
    async with open_database(config, name="cli") as database:
        logins = telegram_logins(config, database)
        key = await logins.prepare(account)
        async with logging_in(
            api, config.telegram.data_centre, request_timeout=config.telegram.request_timeout
        ) as attempt:
            material = await way_in(attempt)
            await logins.keep(account, material, key=key, actor=operator())
            attempt.is_kept = True
    print(f"{account} is logged in as {'bot' if material.is_bot else 'user'} {material.user_id}")
    if config.telegram.session_key is None:
        point_out(f"{session_keys(config).path} opens the session: keep a copy apart from backups of the database")
    if config.telegram.gateway != "telethon":
        point_out("set NADIA_TELEGRAM_GATEWAY=telethon and start NADIA again: it still talks to its sandbox")


async def _log_out(config: "Config", account: str) -> "LoggedOut":
    from nadia.app.factory import open_database
    from nadia.app.process_name import process_name
    from nadia.app.telegram import log_out_patience, telegram_logins
    from nadia.telegram.ownership import Ownerships
    from nadia.telegram.telethon.login import log_out

    settings = config.telegram
    api = settings.api_credentials()

    async def end_at_telegram(material: "SessionMaterial") -> bool:
        return await log_out(material, api, settings.data_centre, request_timeout=settings.request_timeout)

    async with open_database(config, name="cli") as database:
        return await telegram_logins(config, database).log_out(
            account,
            actor=operator(),
            ownerships=Ownerships(
                database=database,
                holder=process_name(config, owns_home=False),
                lease_seconds=settings.lease_seconds,
                grace_seconds=settings.lease_grace_seconds,
            ),
            patience=log_out_patience(config),
            end_at_telegram=end_at_telegram,
        )


async def _overview(config: "Config") -> "Sequence[tuple[AccountStatus, Sequence[Activity]]]":
    from nadia.app.factory import open_database
    from nadia.app.telegram import overview

    async with open_database(config, name="cli") as database:
        return await overview(database)


def _read_token(path: Path) -> "SecretStr":
    from pydantic import SecretStr

    try:
        with path.open(encoding="ascii") as file:
            return SecretStr(file.read(_LONGEST_TOKEN).strip())
    except (OSError, ValueError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else "it is no plain text"
        raise InvalidInputError(f"{path} cannot be read: {reason}", field="--bot-token-file") from exc
