"""Somebody who answers what a log-in asks, and logging in against the tests' own Telegram."""

import base64
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from pydantic import SecretStr

from nadia.app.telegram import telegram_logins
from nadia.postgres.database import Database
from nadia.settings import Config
from nadia.telegram.session_material import ApiCredentials, DataCentre, SessionMaterial
from nadia.telegram.telethon.login import LogIn, logging_in
from support.mtproto.server import TelegramTestServer
from support.mtproto.world import Account


@dataclass
class Person:
    """Answers from what a test says; remembers what was asked and told."""

    number: str = ""
    codes: list[Callable[[], str]] = field(default_factory=list)
    passwords: list[str] = field(default_factory=list)
    on_link: Callable[[str], None] = lambda link: None
    asked: list[str] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    links: list[str] = field(default_factory=list)

    async def phone(self) -> str:
        self.asked.append("phone")
        return self.number

    async def code(self, *, where: str) -> str:
        self.asked.append(f"code {where}")
        return self.codes.pop(0)()

    async def password(self, *, hint: str | None) -> str:
        self.asked.append("password")
        return self.passwords.pop(0)

    async def tell(self, sentence: str) -> None:
        self.told.append(sentence)

    async def show_link(self, link: str) -> None:
        self.links.append(link)
        self.on_link(link)


def api_of(telegram: TelegramTestServer, *, api_id: int | None = None) -> ApiCredentials:
    return ApiCredentials(api_id=api_id or telegram.api_id, api_hash=SecretStr(telegram.api_hash))


def place_of(telegram: TelegramTestServer, *, public_key: str | None = None) -> DataCentre:
    return DataCentre(
        dc_id=telegram.dc_id, host=telegram.host, port=telegram.port, public_key=public_key or telegram.public_key
    )


@asynccontextmanager
async def log_in_at(telegram: TelegramTestServer, *, request_timeout: float = 5.0) -> AsyncIterator[LogIn]:
    async with logging_in(api_of(telegram), place_of(telegram), request_timeout=request_timeout) as attempt:
        yield attempt


def telethon_settings(telegram: TelegramTestServer) -> dict[str, str]:
    """Settings of a process that talks to a Telegram of the tests' own."""
    return {
        "NADIA_TELEGRAM_GATEWAY": "telethon",
        "API_ID": str(telegram.api_id),
        "API_HASH": telegram.api_hash,
        "NADIA_TELEGRAM_DC_ID": str(telegram.dc_id),
        "NADIA_TELEGRAM_DC_ADDRESS": telegram.host,
        "NADIA_TELEGRAM_DC_PORT": str(telegram.port),
        "NADIA_TELEGRAM_DC_PUBLIC_KEY": telegram.public_key,
    }


def new_session(telegram: TelegramTestServer, account: Account) -> SessionMaterial:
    """A session of an account as if somebody had logged in."""
    return SessionMaterial(
        dc_id=telegram.dc_id,
        host=telegram.host,
        port=telegram.port,
        auth_key=telegram.new_session(account),
        user_id=account.user.user_id,
        is_bot=account.user.bot,
    )


async def put_on_record(
    config: Config, database: Database, telegram: TelegramTestServer, name: str, account: Account
) -> SessionMaterial:
    """Let an account be logged in under a name, as `nadia telegram login` does in the end."""
    logins = telegram_logins(config, database)
    material = new_session(telegram, account)
    await logins.keep(name, material, key=await logins.prepare(name), actor="test")
    return material


def secrets_of(telegram: TelegramTestServer) -> list[str]:
    """What no log, error or answer may show: numbers, passwords, tokens, codes, auth keys, the application's hash."""
    found = [telegram.api_hash, "AGE-SECRET-KEY-1", *(sent.code_hash for sent in telegram.login.codes.values())]
    for account in telegram.world.accounts:
        found += filter(None, [account.user.phone, account.password, account.token])
    for authorization in telegram.world.authorizations.values():
        start = authorization.key.key[:12]
        found += [start.hex(), repr(start)[2:-1], base64.b64encode(start).decode()]
    return found
