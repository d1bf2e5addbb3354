"""Fixtures for alerts."""

from collections.abc import AsyncIterator

import pytest

from nadia.alerting.service import Alerts
from nadia.postgres.database import Database


@pytest.fixture
async def alert_database(postgres_dsn: str) -> AsyncIterator[Database]:
    opened = Database(dsn=postgres_dsn, pool_size=6)
    await opened.open()
    yield opened
    await opened.close()


@pytest.fixture
def alerts(alert_database: Database) -> Alerts:
    return Alerts(database=alert_database)
