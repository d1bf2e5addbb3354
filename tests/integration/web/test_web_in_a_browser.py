"""The pages in a real browser: scripts under the strict policy, links, dialogs, the second factor."""

import shutil
from collections.abc import AsyncIterator

import pyotp
import pytest
from fastapi import FastAPI
from playwright.async_api import Browser, Page, async_playwright, expect

from nadia.accounts.models import Account
from nadia.accounts.service import AccountService
from nadia.settings.web import WebSettings
from nadia.web.server import WebServer
from support.account_fixtures import PASSWORD, ManualClock

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed: apt-get install chromium"),
]


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-background-networking"]
        )
        yield browser
        await browser.close()


@pytest.fixture
async def server(app: FastAPI) -> AsyncIterator[WebServer]:
    server = WebServer(app=app, settings=WebSettings(port=0))
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def page(browser: Browser, server: WebServer) -> AsyncIterator[Page]:
    """A page whose scripts and policy must not complain."""
    context = await browser.new_context(base_url=server.url)
    page = await context.new_page()
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on(
        "console",
        lambda message: complaints.append(message.text) if "Content Security Policy" in message.text else None,
    )
    yield page
    await context.close()
    assert complaints == []


async def log_in(page: Page, name: str) -> None:
    await page.get_by_label("Name").fill(name)
    await page.get_by_label("Password").fill(PASSWORD)
    await page.get_by_role("button", name="Log in").click()


async def test_a_login_link_is_taken_out_of_the_address_and_works_once(
    page: Page, accounts: AccountService, admin: Account
) -> None:
    link = await accounts.login_link(admin, actor="system")
    seen: list[str] = []
    page.on("request", lambda request: seen.append(request.url))
    await page.goto(f"/login?next=/me#{link.path.partition('#')[2]}")
    await expect(page.get_by_role("heading", name=admin.name)).to_be_visible()
    assert link.secret not in page.url
    assert not any(link.secret in url.partition("#")[0] for url in seen)

    await page.context.clear_cookies()
    await page.goto(link.path)
    await expect(page.get_by_role("alert").first).to_contain_text("used before")


async def test_whoever_logs_in_gets_to_where_they_wanted_to_go(page: Page, admin: Account) -> None:
    await page.goto("/accounts")
    await log_in(page, admin.name)
    await expect(page.get_by_role("heading", name="Accounts")).to_be_visible()
    await page.get_by_role("button", name="Log out").click()
    await expect(page.get_by_role("heading", name="Log in")).to_be_visible()


async def test_an_invitation_is_handed_over_and_used(page: Page, browser: Browser, admin: Account) -> None:
    await page.goto("/accounts")
    await log_in(page, admin.name)
    await page.get_by_role("button", name="Invite someone").click()
    dialog = page.get_by_role("dialog")
    await dialog.get_by_label("Name").fill("not a name")
    await dialog.get_by_role("button", name="Make a link").click()
    await expect(dialog.get_by_role("alert")).to_contain_text("letter or digit")
    await dialog.get_by_label("Name").fill("priya")
    await dialog.get_by_role("button", name="Make a link").click()
    shown = page.locator("#link-dialog [data-url]")
    await expect(shown).to_contain_text("/welcome#token=")
    link = await shown.inner_text()

    other = await browser.new_page()
    await other.goto(link)
    await other.get_by_label("New password").fill(PASSWORD)
    await other.get_by_label("The same again").fill("something else")
    await other.get_by_role("button", name="Save and go on").click()
    await expect(other.get_by_role("alert")).to_have_text("This is not the same")
    await other.get_by_label("The same again").fill(PASSWORD)
    await other.get_by_role("button", name="Save and go on").click()
    await expect(other.get_by_text("priya")).to_be_visible()


async def test_the_second_factor_is_turned_on_and_asked_for(page: Page, admin: Account, clock: ManualClock) -> None:
    await page.goto("/me")
    await log_in(page, admin.name)
    await page.get_by_role("button", name="Turn on").click()
    await page.get_by_label("Your password").fill(PASSWORD)
    await page.get_by_role("button", name="Go on").click()
    await expect(page.locator("#enrol-secret")).not_to_be_empty()
    totp = pyotp.TOTP((await page.locator("#enrol-secret").inner_text()).replace(" ", ""))
    await page.get_by_label("Code that the app shows now").fill(totp.at(clock()))
    await page.locator("#confirm-form").get_by_role("button", name="Turn on").click()
    await expect(page.locator("#codes li")).to_have_count(10)
    await page.get_by_role("button", name="I have kept them").click()
    await expect(page.get_by_text("10 recovery codes are left")).to_be_visible()
    await page.get_by_role("button", name="Log out").click()
    await expect(page.get_by_role("heading", name="Log in")).to_be_visible()

    clock.forward(minutes=1)
    await page.goto("/me")
    await log_in(page, admin.name)
    await page.get_by_label("Code").fill(totp.at(clock()))
    await page.get_by_role("button", name="Log in").click()
    await expect(page.get_by_role("heading", name=admin.name)).to_be_visible()


async def test_a_page_that_outlived_its_session_recovers_by_itself(
    page: Page, admin: Account, accounts: AccountService
) -> None:
    await page.goto("/me")
    await log_in(page, admin.name)
    await expect(page.get_by_role("heading", name=admin.name)).to_be_visible()
    # the same person logs in again in another tab: the cookie is another one now
    other = await page.context.new_page()
    await other.goto("/me")
    await other.get_by_role("button", name="Log out").click()
    await expect(other.get_by_role("heading", name="Log in")).to_be_visible()
    await log_in(other, admin.name)
    await expect(other.get_by_role("link", name=admin.name)).to_be_visible()

    await page.get_by_role("button", name="New token").click()
    await page.get_by_label("What is it for?").fill("Nightly export")
    await page.get_by_role("button", name="Make token").click()
    await expect(page.locator("#token-secret")).to_contain_text("nadia_")
    assert [token.name for token in await accounts.tokens.of(admin)] == ["Nightly export"]


async def test_a_chosen_theme_stays(page: Page) -> None:
    await page.emulate_media(color_scheme="light")
    await page.goto("/login")
    await page.get_by_role("button", name="Switch between light and dark").click()
    await page.reload()
    background = await page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert background == "rgb(19, 22, 25)"


async def test_no_page_scrolls_sideways_on_a_small_phone(page: Page, admin: Account) -> None:
    await page.set_viewport_size({"width": 360, "height": 700})
    await page.goto("/accounts")
    await log_in(page, admin.name)
    await expect(page.get_by_role("heading", name="Accounts")).to_be_visible()
    for path in ("/accounts", "/me", "/nowhere", "/welcome"):
        await page.goto(path)
        assert await page.evaluate("document.documentElement.scrollWidth") == 360, path


async def test_what_went_wrong_in_a_dialog_can_be_read_and_dismissed(page: Page, admin: Account) -> None:
    await page.goto("/accounts")
    await log_in(page, admin.name)
    await page.get_by_role("button", name=f"Manage {admin.name}").click()
    await page.locator("#manage-role").select_option("viewer")
    toast = page.locator(".toast", has_text="last admin")
    await toast.get_by_role("button", name="Dismiss").click()
    await expect(toast).to_have_count(0)
    # the dialog shows what is, not what was wished
    await expect(page.locator("#manage-role")).to_have_value("admin")
