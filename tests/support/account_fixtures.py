"""Accounts on a real database, with a clock that tests set."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
from pydantic import SecretStr

from nadia.accounts.models import Account, Role
from nadia.accounts.service import AccountService
from nadia.postgres.database import Database

PASSWORD = "seven purple lanterns"
SECRET_KEY = SecretStr("a key for tests, long enough to be one")


class ManualClock:
    """Shows the time that a test set."""

    def __init__(self) -> None:
        self.now = datetime(2026, 5, 4, 9, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def forward(self, **amount: float) -> None:
        self.now += timedelta(**amount)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def account_database(postgres_dsn: str) -> AsyncIterator[Database]:
    database = Database(dsn=postgres_dsn, pool_size=8)
    await database.open()
    yield database
    await database.close()


@pytest.fixture
def accounts(account_database: Database, clock: ManualClock) -> AccountService:
    return AccountService(
        database=account_database, secret_key=SECRET_KEY, clock=clock, failure_floor=timedelta(milliseconds=1)
    )


@pytest.fixture
async def admin(accounts: AccountService) -> Account:
    """The first admin, with a password."""
    first = await accounts.create_first_admin("marta", actor="system")
    return await with_password(accounts, first)


@pytest.fixture
async def reviewer(accounts: AccountService, admin: Account) -> Account:
    link = await accounts.invite(name="jonas", role=Role.REVIEWER, actor=admin.reference)
    account, _ = await accounts.set_password_by_link(link.secret, PASSWORD)
    return await accounts.get(account.id)


async def with_password(accounts: AccountService, account: Account) -> Account:
    link = await accounts.reset(account, actor="system")
    await accounts.set_password_by_link(link.secret, PASSWORD)
    return await accounts.get(account.id)


async def audit_actions(database: Database) -> list[str]:
    async with database.connection() as conn:
        rows = await (await conn.execute("SELECT action FROM audit_log ORDER BY id")).fetchall()
    return [row["action"] for row in rows]
