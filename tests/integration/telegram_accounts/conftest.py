"""Fixtures for Telegram accounts: a Telegram of the tests' own, and a process that acts for accounts of it."""

import logging
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from nadia.app.context import ProcessContext
from nadia.app.factory import open_context
from nadia.embedded.endpoints import RedisEndpoint
from nadia.settings import Config
from support.log_in import secrets_of, telethon_settings
from support.mtproto.server import TelegramTestServer
from support.servers import ClonedDatabase, short_folder


@pytest.fixture
async def telegram() -> AsyncIterator[TelegramTestServer]:
    async with TelegramTestServer() as running:
        yield running


@pytest.fixture(autouse=True)
def _nothing_tells_a_secret(
    telegram: TelegramTestServer, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> Iterator[None]:
    """Search everything that a test printed or logged, of any level, for what must stand nowhere."""
    caplog.set_level(logging.DEBUG)
    yield
    printed = capsys.readouterr()
    sys.stdout.write(printed.out)  # for the report, if the test has failed
    sys.stderr.write(printed.err)
    said = printed.out + printed.err + caplog.text
    assert [secret for secret in secrets_of(telegram) if secret in said] == []


@pytest.fixture
async def folder() -> AsyncIterator[Path]:
    with short_folder() as base:
        (base / "home").mkdir(mode=0o700)
        yield base


@pytest.fixture
def environment(
    folder: Path, telegram: TelegramTestServer, database: ClonedDatabase, redis_endpoint: RedisEndpoint
) -> dict[str, str]:
    """Settings of a process that talks to the tests' Telegram."""
    return {
        "HOME": str(folder),
        "NADIA_HOME": str(folder / "home"),
        "DATABASE_URL": database.app_dsn,
        "REDIS_URL": redis_endpoint.url,
        "NADIA_PACING_WINDOW_SECONDS": "0.2",
        "NADIA_DELIVERY_SPEED": "10000",
        "NADIA_DELIVERY_UNDO_SECONDS": "0",
        "NADIA_TELEGRAM_REQUEST_TIMEOUT": "5",
        **telethon_settings(telegram),
    }


@pytest.fixture
def config(environment: dict[str, str]) -> Config:
    return Config.from_env(environment, dotenv=None)


@pytest.fixture
async def context(config: Config) -> AsyncIterator[ProcessContext]:
    async with open_context(config, role="test") as built:
        yield built
