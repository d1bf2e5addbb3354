"""The sandbox page's routes on a real sandbox."""

import asyncio
from pathlib import Path

import httpx
import pytest

from nadia.accounts.models import Role
from nadia.errors import UnavailableError
from nadia.telegram.sandbox.address import UnixAddress
from nadia.telegram.sandbox.customer import CustomerClient
from nadia.telegram.sandbox.gateway import SandboxGateway
from nadia.telegram.sandbox.server import SandboxServer
from nadia.web.sandbox_chat import SandboxChat
from support.desk_app import ACCOUNT, DeskHouse
from support.desk_fixtures import As

API = "/api/v1/sandbox/customers"
HTML = {"Accept": "text/html"}


async def new_customer(client: httpx.AsyncClient, name: str = "Ana Ruiz") -> str:
    made = await client.post(API, json={"name": name})
    assert made.status_code == 201, made.text
    return f"{API}/{made.json()['user_id']}"


async def texts(client: httpx.AsyncClient, customer: str) -> list[str]:
    return [message["text"] for message in (await client.get(f"{customer}/messages")).json()["messages"]]


async def test_a_customer_writes_edits_and_deletes(ann: httpx.AsyncClient) -> None:
    customer = await new_customer(ann)
    written = [(await ann.post(f"{customer}/messages", json={"text": text})).json() for text in ("one", "two", "three")]
    assert await texts(ann, customer) == ["one", "two", "three"]
    edited = await ann.patch(f"{customer}/messages/{written[0]['message_id']}", json={"text": "uno"})
    deleted = await ann.delete(f"{customer}/messages/{written[1]['message_id']}")
    assert (edited.status_code, deleted.status_code) == (204, 204)
    assert await texts(ann, customer) == ["uno", "three"]


async def test_a_customer_sends_what_is_not_text(ann: httpx.AsyncClient) -> None:
    customer = await new_customer(ann)
    sent = await ann.post(
        f"{customer}/messages", json={"text": "", "kind": "voice", "attachment": {"duration": 12, "size": 48_000}}
    )
    assert sent.status_code == 201, sent.text
    (message,) = (await ann.get(f"{customer}/messages")).json()["messages"]
    assert (message["kind"], message["text"]) == ("voice", "")
    assert (message["media"]["duration"], message["media"]["size"]) == (12, 48_000)
    for wrong in (
        {"text": "", "kind": "hologram"},
        {"text": "", "kind": "voice", "attachment": {"duration": -1}},
        {"text": "", "kind": "voice", "attachment": {"length": 1}},
        {"text": "", "kind": "document", "attachment": {"name": "x" * 201}},
        {"text": "", "kind": "document", "attachment": {"name": "\x00"}},
        {"text": "hi", "attachment": {"name": "x"}},
    ):
        assert (await ann.post(f"{customer}/messages", json=wrong)).status_code in (400, 422), wrong
    assert len((await ann.get(f"{customer}/messages")).json()["messages"]) == 1


async def test_any_account_may_play_a_customer_and_nobody_else(as_person: As, stranger: httpx.AsyncClient) -> None:
    await new_customer(await as_person("vera", Role.VIEWER))
    assert (await stranger.get(API)).status_code == 401


@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded", "X-Real-IP"])
async def test_the_sandbox_is_closed_to_other_machines(ann: httpx.AsyncClient, header: str) -> None:
    for path in ("/sandbox", API):
        assert (await ann.get(path, headers={header: "for=203.0.113.9"})).status_code == 403


@pytest.mark.parametrize(
    ("body", "field"),
    [({"text": ""}, "text"), ({"text": "   "}, "text"), ({"text": "😀" * 4096}, "text"), ({"words": "x"}, "text")],
)
async def test_what_telegram_would_refuse_is_refused_with_its_field(
    ann: httpx.AsyncClient, body: dict[str, str], field: str
) -> None:
    customer = await new_customer(ann)
    answer = await ann.post(f"{customer}/messages", json=body)
    assert (answer.status_code, answer.json()["error"]["field"]) == (422, field)


async def test_customers_and_messages_that_are_not_there_are_not_found(ann: httpx.AsyncClient) -> None:
    customer = await new_customer(ann)
    nobody = f"{API}/1"
    assert (await ann.get(f"{nobody}/messages")).status_code == 404
    assert (await ann.get(f"{nobody}/events")).status_code == 404
    assert (await ann.post(f"{nobody}/messages", json={"text": "x"})).status_code == 404
    assert (await ann.patch(f"{customer}/messages/999", json={"text": "x"})).status_code == 404


async def test_the_page_shows_customers_names_as_text(ann: httpx.AsyncClient) -> None:
    await new_customer(ann, "<b>Eve</b>\u202e")
    text = (await ann.get("/sandbox", headers=HTML)).text
    assert "&lt;b&gt;Eve&lt;/b&gt;[U+202E]" in text
    missing = (await ann.get("/sandbox?customer=1", headers=HTML)).text
    assert "There is no such customer" in missing


async def test_a_window_is_told_what_the_desk_does(house: DeskHouse, ann: httpx.AsyncClient) -> None:
    customer = await new_customer(ann)
    chat_id = int(customer.rpartition("/")[2])
    gateway = SandboxGateway(account_id=ACCOUNT, address=house.sandbox, request_timeout=15)
    await gateway.connect(None)
    seen: list[str] = []
    async with asyncio.timeout(20), ann.stream("GET", f"{customer}/events") as answer:
        async for line in answer.aiter_lines():
            if not line.startswith("event: "):
                continue
            seen.append(line.removeprefix("event: "))
            if seen == ["ready"]:
                await ann.post(f"{customer}/messages", json={"text": "hello?"})
                await gateway.set_typing(chat_id=chat_id)
                await gateway.send(chat_id=chat_id, text="Hello!", random_id=5)
            if seen.count("message") == 2:
                break
    await gateway.close()
    assert "typing" in seen
    assert await texts(ann, customer) == ["hello?", "Hello!"]


async def test_typing_reaches_the_desk(house: DeskHouse, ann: httpx.AsyncClient) -> None:
    customer = await new_customer(ann)
    gateway = SandboxGateway(account_id=ACCOUNT, address=house.sandbox, request_timeout=15)
    await gateway.connect(None)
    updates = gateway.updates()
    async with asyncio.timeout(20):
        upcoming = asyncio.ensure_future(anext(updates))
        assert (await ann.post(f"{customer}/typing")).status_code == 204
        assert type((await upcoming).event).__name__ == "TypingStarted"
    await gateway.close()


async def test_the_chat_goes_on_after_the_sandbox_was_away(tmp_path: Path) -> None:
    address = UnixAddress(tmp_path / "t.sock")
    chat = SandboxChat(client=lambda: CustomerClient(address=address), account=ACCOUNT)
    async with SandboxServer(address=address, database=tmp_path / "s.db"):
        customer = await chat.create(name="Ana", username=None)
        await chat.write(customer.user_id, "before")
    with pytest.raises(UnavailableError):
        await chat.customers()
    async with SandboxServer(address=address, database=tmp_path / "s.db"):
        await chat.write(customer.user_id, "after")
        assert [message.text for message in await chat.history(customer.user_id)] == ["before", "after"]
        await chat.close()
