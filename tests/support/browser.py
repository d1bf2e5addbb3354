"""A real browser: Chromium, driven by Playwright."""

import os
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from playwright.async_api import Browser, Page, async_playwright

from nadia.accounts.models import Role
from support.desk_app import DeskHouse


def chromium_path() -> str:
    """Where Chromium is. Without it tests are skipped, in CI they fail."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        reason = "no chromium on PATH (Debian: apt-get install chromium)"
        if os.environ.get("NADIA_CI") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    return found


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    path = chromium_path()
    async with async_playwright() as playwright:
        # no sandbox: as root Chromium has none, and it opens nothing but our own pages
        browser = await playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            await browser.close()


@dataclass
class Visitors:
    """Opens pages as somebody, and keeps what went wrong in them."""

    browser: Browser
    house: DeskHouse
    troubles: list[str] = field(default_factory=list)

    async def open(
        self,
        path: str,
        *,
        name: str = "ann",
        role: Role = Role.REVIEWER,
        width: int = 1440,
        height: int = 900,
        dark: bool = False,
    ) -> Page:
        context = await self.browser.new_context(
            viewport={"width": width, "height": height}, color_scheme="dark" if dark else "light", locale="en-GB"
        )
        await context.add_cookies([await self.house.cookie(name, role)])  # type: ignore[list-item]  # plain dict
        page = await context.new_page()
        page.set_default_timeout(15_000)
        page.on("pageerror", lambda error: self.troubles.append(f"script: {error}"))
        page.on("dialog", lambda dialog: self.troubles.append(f"a script opened a dialog: {dialog.message}"))
        page.on(
            "console",
            lambda message: (
                self.troubles.append(f"content policy: {message.text}")
                if "Content Security Policy" in message.text
                else None
            ),
        )
        await page.goto(self.house.url + path)
        return page


OpenPage = Callable[..., Awaitable[Page]]


@asynccontextmanager
async def visitors_of(house: DeskHouse, browser: Browser) -> AsyncIterator[Visitors]:
    visitors = Visitors(browser, house)
    yield visitors
    for context in browser.contexts:
        await context.close()
    assert visitors.troubles == []
