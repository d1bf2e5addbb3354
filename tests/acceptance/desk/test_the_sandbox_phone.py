"""Being a customer in a real browser."""

import re

import pytest
from playwright.async_api import expect

from nadia.telegram.gateway import MessageKind
from nadia.telegram.sandbox.gateway import SandboxGateway
from support.browser import Visitors
from support.desk_app import ACCOUNT, DeskHouse

pytestmark = [pytest.mark.browser, pytest.mark.e2e]


async def test_a_customer_is_made_and_talks_with_the_desk(house: DeskHouse, visitors: Visitors) -> None:
    page = await visitors.open("/sandbox")
    await page.get_by_label("New customer").fill("Ana <b>Ruiz</b>")
    await page.get_by_role("button", name="Create").click()
    await expect(page.get_by_text("You are Ana <b>Ruiz</b>")).to_be_visible()
    await expect(page.locator("[data-presence]")).to_have_text("online")
    chat_id = int(re.findall(r"customer=(\d+)", page.url)[0])
    gateway = SandboxGateway(account_id=ACCOUNT, address=house.sandbox, request_timeout=15)
    await gateway.connect(None)

    message = page.get_by_label("Message", exact=True)
    for text in ("one", "two", "<script>alert(3)</script>"):
        await message.fill(text)
        await message.press("Enter")
    said = page.locator(".said-text")
    await expect(said).to_have_text(["one", "two", "<script>alert(3)</script>"])
    await expect(page.locator("[data-mine][data-id]")).to_have_count(3)
    await expect(page.locator("[data-mine] .ticks").first).to_have_attribute("aria-label", "sent")

    await gateway.set_typing(chat_id=chat_id)
    await expect(page.locator("[data-typing]")).to_be_visible()
    await gateway.send(chat_id=chat_id, text="Hello Ana", random_id=1)
    await expect(said.last).to_have_text("Hello Ana")
    await expect(page.locator("[data-typing]")).to_be_hidden()
    await expect(page.locator("[data-mine] .ticks").first).to_have_attribute("aria-label", "read")

    await page.locator(".said").first.hover()
    await page.get_by_role("button", name="Edit").first.click()
    await message.fill("uno")
    await message.press("Enter")
    await expect(said.first).to_have_text("uno")
    await page.locator(".said").nth(1).hover()
    await page.get_by_role("button", name="Delete").nth(1).click()
    await expect(said).to_have_text(["uno", "<script>alert(3)</script>", "Hello Ana"])
    assert [one.text for one in await gateway.history(chat_id=chat_id)] == [
        "uno",
        "<script>alert(3)</script>",
        "Hello Ana",
    ]
    await gateway.close()


async def test_two_windows_of_one_customer_show_the_same(visitors: Visitors) -> None:
    left = await visitors.open("/sandbox")
    await left.get_by_role("button", name="Create").click()
    await expect(left.locator("[data-presence]")).to_have_text("online")
    right = await visitors.open(left.url[left.url.index("/sandbox") :], width=360, height=740)
    await expect(right.locator("[data-presence]")).to_have_text("online")
    await left.get_by_label("Message", exact=True).fill("hello")
    await left.get_by_role("button", name="Send").click()
    await expect(right.locator(".said-text")).to_have_text(["hello"])
    await expect(left.locator(".said-text")).to_have_text(["hello"])
    assert await right.evaluate("document.documentElement.scrollWidth") <= 360


async def test_a_long_name_stays_inside_the_list_of_customers(visitors: Visitors) -> None:
    page = await visitors.open("/sandbox", width=1440)
    await page.get_by_label("New customer").fill("Bartholomäus Maximilian von und zu Hohenstauffen-Wittelsbach")
    await page.get_by_role("button", name="Create").click()
    await expect(page.locator("[data-presence]")).to_have_text("online")
    room, used = await page.evaluate(
        """() => [document.querySelector(".customers"), document.querySelector(".customer-list a")]
            .map((element) => element.getBoundingClientRect().right)"""
    )
    assert used < room
    name = page.locator(".customer-list bdi")
    assert await name.evaluate("(element) => element.scrollWidth > element.clientWidth")
    assert await name.evaluate("(element) => getComputedStyle(element).textOverflow") == "ellipsis"


async def test_a_customer_sends_what_is_not_text(house: DeskHouse, visitors: Visitors) -> None:
    page = await visitors.open("/sandbox", width=360, height=740)
    await page.get_by_role("button", name="Create").click()
    await expect(page.locator("[data-presence]")).to_have_text("online")
    chat_id = int(re.findall(r"customer=(\d+)", page.url)[0])
    message = page.get_by_label("Message", exact=True)
    attach = page.locator("summary[aria-label=Attach]")

    await attach.press("Enter")
    await page.get_by_role("button", name="Voice message").press("Enter")
    await message.fill("the bill")
    await attach.click()
    await page.get_by_role("button", name="Document").click()
    said = page.locator(".said-text")
    await expect(said).to_have_text(["Voice message", "Document invoice.pdf the bill"])
    await expect(page.locator("[data-mine][data-id]")).to_have_count(2)
    await expect(message).to_have_value("")

    await page.get_by_role("button", name="Edit").nth(1).click()
    await expect(message).to_have_value("the bill")
    await expect(attach).to_be_hidden()
    await message.fill("")
    await message.press("Enter")
    await expect(said).to_have_text(["Voice message", "Document invoice.pdf"])

    await attach.click()
    await page.get_by_role("button", name="Sticker").press("Escape")
    await expect(page.get_by_role("button", name="Sticker")).to_be_hidden()
    await expect(attach).to_be_focused()
    assert await page.evaluate("document.documentElement.scrollWidth") <= 360
    gateway = SandboxGateway(account_id=ACCOUNT, address=house.sandbox, request_timeout=15)
    await gateway.connect(None)
    voice, document = await gateway.history(chat_id=chat_id)
    assert voice.media is not None
    assert document.media is not None
    assert (voice.kind, voice.text, voice.media.duration) == (MessageKind.VOICE, "", 12)
    assert (document.kind, document.text, document.media.name) == (MessageKind.DOCUMENT, "", "invoice.pdf")
    await gateway.close()
