"""Whatever is sent to the sandbox, it answers clearly and goes on."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nadia.telegram.sandbox.address import UnixAddress, open_streams
from nadia.telegram.sandbox.protocol import MAX_ANSWER_BYTES, MAX_REQUEST_BYTES
from nadia.telegram.sandbox.server import SandboxServer
from support.eventually import eventually
from support.sandbox_network import ACCOUNT, SandboxNetwork, sandbox_network


class RawClient:
    """Writes bytes and reads what comes back."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def answer(self) -> dict[str, object]:
        async with asyncio.timeout(10):
            frame = json.loads(await self.reader.readuntil(b"\n"))
        assert isinstance(frame, dict)
        return frame

    async def ask(self, method: str, **params: object) -> dict[str, object]:
        await self.send(json.dumps({"id": 1, "method": method, "params": params}).encode() + b"\n")
        return await self.answer()

    async def refused(self, data: bytes) -> dict[str, object]:
        await self.send(data)
        error = (await self.answer())["error"]
        assert isinstance(error, dict)
        return error


@contextlib.asynccontextmanager
async def raw_client(network: SandboxNetwork) -> AsyncIterator[RawClient]:
    reader, writer = await open_streams(network.address, limit=MAX_ANSWER_BYTES)
    try:
        yield RawClient(reader, writer)
    finally:
        writer.transport.abort()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


@pytest.fixture
async def network(folder: Path) -> AsyncIterator[SandboxNetwork]:
    async with sandbox_network(folder) as network:
        yield network


@pytest.fixture
async def raw(network: SandboxNetwork) -> AsyncIterator[RawClient]:
    async with raw_client(network) as client:
        yield client


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"hello",
        b"[]",
        b"null",
        b'{"id":1',
        b"\xff\xfe\x00",
        b"\0",
        b'{"id":1,"method":"customer.accounts","params":{"a":NaN}}',
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"9" * 10_000,
        '{"id":1}'.encode("utf-16"),
        b'{"id":"1","method":"customer.accounts"}',
        b'{"id":true,"method":"customer.accounts"}',
        b'{"id":1.0,"method":"customer.accounts"}',
        b'{"id":1,"method":7}',
        b'{"id":1,"method":"customer.accounts","params":[]}',
        b'{"id":1,"method":"customer.accounts","extra":1}',
    ],
    ids=lambda line: repr(line[:30]),
)
async def test_a_line_that_is_no_request_is_refused_and_the_next_is_answered(raw: RawClient, line: bytes) -> None:
    error = await raw.refused(line.replace(b"\n", b"") + b"\n")

    assert error["code"] == "FRAME_MALFORMED"
    assert "result" in await raw.ask("customer.accounts")


@pytest.mark.parametrize(
    ("method", "params", "code", "field"),
    [
        ("customer.fly", {}, "METHOD_UNKNOWN", "method"),
        ("customer.create", {"name": 5}, "PARAMS_INVALID", "name"),
        ("customer.create", {"name": "x" * 65}, "PARAMS_INVALID", "name"),
        ("customer.create", {"name": "a\0b"}, "TEXT_INVALID", "name"),
        ("customer.create", {"name": "\ud83d"}, "TEXT_INVALID", "name"),
        ("customer.create", {"name": "Ana", "username": "'; DROP TABLE"}, "PARAMS_INVALID", "username"),
        ("customer.create", {"name": "Ana", "admin": True}, "PARAMS_INVALID", "admin"),
        ("customer.create", {"name": "Ana", "\ud800": 1}, "TEXT_INVALID", None),
        ("customer.create", {"name": "Ana", "x" * 900: 1}, "PARAMS_INVALID", "x" * 59),
        ("customer.\ud800", {}, "METHOD_UNKNOWN", "method"),
        ("customer.write", {"text": "a\0b"}, "TEXT_INVALID", "text"),
        ("customer.write", {"text": "\udc00 lone"}, "TEXT_INVALID", "text"),
        ("customer.write", {"text": "x" * 4097}, "MESSAGE_TOO_LONG", "text"),
        ("customer.write", {"text": "x" * 900_000}, "MESSAGE_TOO_LONG", "text"),
        ("customer.write", {"text": "\n\t "}, "MESSAGE_EMPTY", "text"),
        ("customer.write", {"text": None}, "PARAMS_INVALID", "text"),
        ("customer.write", {"text": "x", "user_id": "1"}, "PARAMS_INVALID", "user_id"),
        ("customer.write", {"text": "x", "user_id": True}, "PARAMS_INVALID", "user_id"),
        ("customer.write", {"text": "x", "user_id": 2**63}, "PARAMS_INVALID", "user_id"),
        ("customer.write", {"text": "x", "user_id": -1}, "PARAMS_INVALID", "user_id"),
        ("customer.write", {"text": "x", "user_id": 5}, "PEER_ID_INVALID", "user_id"),
        ("customer.write", {"text": "x", "account": "nobody"}, "PEER_ID_INVALID", "account"),
        ("customer.write", {"text": "x", "account": "../etc"}, "PARAMS_INVALID", "account"),
        ("customer.write", {"text": "x", "kind": "virus"}, "PARAMS_INVALID", "kind"),
        ("customer.write", {"text": "x", "reply_to": 999}, "REPLY_MESSAGE_ID_INVALID", "reply_to"),
        ("customer.edit", {"message_id": 999, "text": "x"}, "MESSAGE_ID_INVALID", "message_id"),
        ("customer.delete", {"message_ids": [999]}, "MESSAGE_ID_INVALID", "message_ids"),
        ("customer.delete", {"message_ids": []}, "PARAMS_INVALID", "message_ids"),
        ("customer.delete", {"message_ids": list(range(101))}, "PARAMS_INVALID", "message_ids"),
        ("customer.history", {"limit": 101}, "PARAMS_INVALID", "limit"),
        ("account.send", {"chat_id": 1, "text": "x", "random_id": 1}, "AUTH_KEY_UNREGISTERED", None),
        ("account.send", {"chat_id": 1, "text": "x", "random_id": 0}, "RANDOM_ID_EMPTY", "random_id"),
        ("account.send", {"chat_id": 1, "text": "x", "random_id": 2**63}, "PARAMS_INVALID", "random_id"),
        ("control.faults", {"plan": {"drop_answer": 2}}, "PARAMS_INVALID", "plan.drop_answer"),
        ("control.force", {"fault": {"kind": "fire"}}, "PARAMS_INVALID", "fault.kind"),
        ("control.revoke", {"code": "BECAUSE"}, "PARAMS_INVALID", "code"),
    ],
)
async def test_a_bad_parameter_is_refused_by_name_and_changes_nothing(
    network: SandboxNetwork, raw: RawClient, method: str, params: dict[str, object], code: str, field: str | None
) -> None:
    chat = await network.add_customer("Ana")
    usual: dict[str, object] = {}
    if method in {"customer.write", "customer.edit", "customer.delete", "customer.history"}:
        usual = {"account": ACCOUNT, "user_id": chat}
    if method == "control.revoke":
        usual = {"account": ACCOUNT}

    answer = await raw.ask(method, **(usual | params))

    assert answer["id"] == 1
    error = answer["error"]
    assert isinstance(error, dict)
    assert (error["code"], error["field"]) == (code, field)
    assert len(str(error["message"])) < 200
    assert await network.texts_of(chat) == []
    assert len(await network.customers.customers()) == 1


async def test_an_oversized_frame_is_answered_then_the_connection_closed(
    network: SandboxNetwork, raw: RawClient
) -> None:
    await raw.send(b"x" * (3 * MAX_REQUEST_BYTES))
    error = (await raw.answer())["error"]

    assert isinstance(error, dict)
    assert error["code"] == "FRAME_TOO_LARGE"
    async with asyncio.timeout(10):
        assert await raw.reader.read() == b""
    assert await network.customers.accounts() == [ACCOUNT]


async def test_a_frame_cut_short_is_not_carried_out(network: SandboxNetwork) -> None:
    chat = await network.add_customer("Ana")
    request = {"id": 1, "method": "customer.write", "params": {"account": ACCOUNT, "user_id": chat, "text": "half"}}
    async with raw_client(network) as raw:
        await raw.send(json.dumps(request).encode())
        raw.writer.write_eof()
        async with asyncio.timeout(10):
            assert await raw.reader.read() == b""

    assert await network.texts_of(chat) == []


async def test_a_client_that_does_not_read_is_cut_off_and_holds_up_nobody(
    network: SandboxNetwork, raw: RawClient
) -> None:
    chat = await network.add_customer("Ana")
    await raw.ask("customer.watch", user_id=chat)
    raw.writer.transport.pause_reading()  # type: ignore[attr-defined]  # a socket transport can; its base cannot
    before = (await network.control.statistics()).connections

    for _ in range(400):
        await network.write(chat, "€" * 4096)

    assert (await network.control.statistics()).connections == before - 1
    await eventually(lambda: len(network.seen) == 400, what="the other window sees all")


async def test_many_requests_at_once_on_one_connection_are_all_answered(raw: RawClient) -> None:
    count = 2_000
    line = b'{"id":%d,"method":"customer.accounts"}\n'
    writing = asyncio.create_task(raw.send(b"".join(line % i for i in range(count))))
    answered = [(await raw.answer())["id"] for _ in range(count)]
    await writing

    assert sorted(str(i) for i in answered) == sorted(str(i) for i in range(count))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lines=st.lists(st.binary(max_size=200).map(lambda b: b.replace(b"\n", b"")), max_size=10))
def test_any_bytes_get_one_answer_for_each_line(tmp_path_factory: pytest.TempPathFactory, lines: list[bytes]) -> None:
    async def check() -> None:
        async with fuzzed_server(tmp_path_factory) as address:
            reader, writer = await open_streams(address, limit=MAX_ANSWER_BYTES)
            raw = RawClient(reader, writer)
            await raw.send(b"".join(line + b"\n" for line in lines))
            answers = [await raw.answer() for _ in lines]
            assert all("error" in answer or "result" in answer for answer in answers)
            assert "result" in await raw.ask("customer.accounts")
            writer.transport.abort()

    asyncio.run(check())


@contextlib.asynccontextmanager
async def fuzzed_server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[UnixAddress]:
    folder = tmp_path_factory.mktemp("fuzz")
    address = UnixAddress(folder / "t.sock")
    async with SandboxServer(address=address, database=folder / "s.db"):
        yield address
