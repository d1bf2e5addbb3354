"""Somebody looks at the operations page while things change."""

import pytest
from playwright.async_api import expect

from nadia.accounts.models import Role
from nadia.health.models import HealthStatus
from nadia.health.probe import Finding
from support.browser import Visitors
from support.desk_app import DeskHouse

pytestmark = [pytest.mark.e2e, pytest.mark.browser]

FULL = Finding(status=HealthStatus.CRITICAL, summary="230 MB in use", hint="see what fills it")


@pytest.mark.parametrize("width", [360, 1440])
async def test_what_turns_red_appears_by_itself_and_leads_to_what_to_do(
    house: DeskHouse, visitors: Visitors, width: int
) -> None:
    page = await visitors.open("/operations", name="vera", role=Role.VIEWER, width=width)
    heading = page.get_by_role("heading", level=1)
    await expect(heading).to_have_text("Everything is well")
    house.probe.finding = FULL
    await expect(heading).to_have_text("One thing is not well", timeout=20_000)
    assert await page.evaluate("document.documentElement.scrollWidth") <= width
    await page.get_by_role("region", name="Not well").get_by_role("link", name="What to do").click()
    await expect(page).to_have_url(f"{house.url}/help/health#redis-memory")
    await expect(page.locator(":target")).to_have_text("redis-memory")


async def test_who_looks_at_another_range_stays_there_while_the_page_is_fetched_anew(
    house: DeskHouse, visitors: Visitors
) -> None:
    page = await visitors.open("/operations")
    await page.get_by_role("link", name="24 h").click()
    chosen = page.get_by_role("link", name="24 h")
    await expect(chosen).to_have_attribute("aria-current", "true")
    await chosen.focus()
    house.probe.finding = FULL
    await expect(page.get_by_role("heading", level=1)).to_have_text("One thing is not well", timeout=20_000)
    await expect(page.get_by_role("link", name="24 h")).to_be_focused()


async def test_a_server_that_went_away_is_said_to_be_waited_for(house: DeskHouse, visitors: Visitors) -> None:
    page = await visitors.open("/operations")
    await expect(page.get_by_text("Live", exact=True)).to_be_visible()
    await page.context.set_offline(True)
    await expect(page.get_by_text("Waiting for the server")).to_be_visible(timeout=20_000)
    await page.context.set_offline(False)
    await expect(page.get_by_text("Live", exact=True)).to_be_visible(timeout=20_000)
