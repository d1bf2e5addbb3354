"""The first minutes with NADIA: a customer writes a burst, a reviewer answers it by keyboard, the customer reads it.

With NADIA_PICTURES naming a folder, the pages are photographed on the way: the README's pictures are made so.
"""

import os
import re
from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from nadia.telegram.sandbox.address import UnixAddress
from nadia.telegram.sandbox.customer import CustomerClient
from support.browser import chromium
from support.installation import nadia_up
from support.servers import short_folder

pytestmark = [pytest.mark.browser, pytest.mark.e2e]


PICTURES = os.environ.get("NADIA_PICTURES")
OTHERS = {
    "Tom Becker": ("Hello!", "are you open on Saturday?"),
    "Lucía Fernández": ("hola", "¿cuánto tarda el envío a Sevilla?"),
    "Kofi Mensah": ("The kettle I got is broken 😕", "can I send it back?", "I have the receipt"),
    "Freya Lind": ("I was charged twice", "please look at it, this is urgent"),
}


async def photograph(page: Page, name: str) -> None:
    if PICTURES:
        await page.screenshot(path=Path(PICTURES) / f"{name}.png")


async def others_write(base: Path) -> None:
    """Let a few more customers write, so that the picture shows a desk at work."""
    async with CustomerClient(address=UnixAddress(base / "home" / "sandbox" / "telegram.sock")) as client:
        for name, texts in OTHERS.items():
            customer = await client.create(name=name)
            for text in texts:
                await client.write(account="sandbox", user_id=customer.user_id, text=text)


async def test_a_burst_becomes_one_item_and_its_edited_answer_arrives_once() -> None:
    with short_folder() as base:
        async with nadia_up(base) as nadia, chromium() as browser:
            context = await browser.new_context(viewport={"width": 1440, "height": 900}, locale="en-GB")
            context.set_default_timeout(20_000)
            desk = await context.new_page()
            await desk.goto(nadia.login_link)
            await desk.wait_for_url(re.compile(r"/desk$"))
            await expect(desk.get_by_text("Nobody is waiting")).to_be_visible()
            await desk.wait_for_selector("[data-live][data-state=live]", state="attached")

            phone = await context.new_page()
            await phone.set_viewport_size({"width": 390, "height": 780})
            await phone.goto(f"{nadia.url}/sandbox")
            await phone.get_by_label("New customer").fill("Ana Ruiz")
            await phone.get_by_role("button", name="Create").click()
            await expect(phone.locator("[data-presence]")).to_have_text("online")
            message = phone.get_by_label("Message", exact=True)
            for text in ("Hi!", "I ordered a lamp last week, number 4412", "where is my parcel?"):
                await message.press_sequentially(text)
                await message.press("Enter")

            rows = desk.locator("[data-rows] > li")
            await expect(rows).to_have_count(1, timeout=20_000)  # without a reload; the burst ends after 5 s
            await desk.bring_to_front()
            await desk.keyboard.press("j")
            await desk.keyboard.press("Enter")
            await desk.wait_for_selector("[data-item][data-seen]")
            await expect(desk.locator("[data-item]")).to_contain_text("where is my parcel?")
            await desk.keyboard.press("e")
            await expect(desk.locator("[data-claim-line]")).to_contain_text("Yours for")
            await desk.keyboard.press("Control+End")
            await desk.keyboard.type(" We will write again by noon.")
            await expect(desk.locator("[data-preview] ins")).to_contain_text("by noon")
            if PICTURES:
                await others_write(base)
                await expect(rows).to_have_count(1 + len(OTHERS), timeout=20_000)
                await photograph(desk, "desk")
            others = await rows.count() - 1
            await desk.keyboard.press("Control+Enter")
            await expect(rows).to_have_count(others)

            await phone.bring_to_front()
            await expect(phone.locator("[data-typing]")).to_be_visible(timeout=30_000)
            answer = phone.locator(".said-text").filter(has_text="We will write again by noon.")
            await expect(answer).to_have_count(1, timeout=60_000)
            said = phone.locator(".said-text")
            await expect(said.nth(3)).to_contain_text("AI assistant")
            await photograph(phone, "sandbox")
            total = await said.count()
            await phone.reload()
            await expect(said).to_have_count(total)
            await expect(answer).to_have_count(1)
            await expect(rows).to_have_count(others)
