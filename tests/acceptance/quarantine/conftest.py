"""A browser on quarantine's pages."""

from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Browser

from support.browser import Visitors, chromium, visitors_of
from support.desk_app import DeskHouse
from support.desk_fixtures import house

__all__ = ["browser", "house", "visitors"]


@pytest.fixture(scope="session")
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as opened:
        yield opened


@pytest.fixture
async def visitors(house: DeskHouse, browser: Browser) -> AsyncIterator[Visitors]:
    """Opens pages; fails when a script of theirs failed."""
    async with visitors_of(house, browser) as opened:
        yield opened
