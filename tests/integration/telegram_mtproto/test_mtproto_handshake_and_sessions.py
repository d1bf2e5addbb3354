"""Auth keys, salts and sessions, as real clients and broken ones meet them."""

import asyncio
import contextlib
import struct
from zlib import crc32

import pytest
from telethon.errors import AuthKeyNotFound
from telethon.tl import functions

from support.eventually import eventually
from support.mtproto.clients import Connect
from support.mtproto.server import TelegramTestServer
from support.mtproto.world import Account, User


async def test_a_client_makes_a_key_and_keeps_it(telegram: TelegramTestServer, connect: Connect) -> None:
    client = await connect()
    assert await client.get_me() is None
    assert not await client.is_user_authorized()
    await client.disconnect()

    again = await connect(session=client.session)
    assert (await again(functions.help.GetConfigRequest())).dc_options[0].port == telegram.port
    assert len(telegram.world.authorizations) == 1
    assert telegram.world.refused == []


async def test_a_session_made_without_a_handshake_is_logged_in(
    telegram: TelegramTestServer, desk: Account, connect: Connect
) -> None:
    client = await connect(telegram.new_session(desk))

    me = await client.get_me()
    assert (me.id, me.first_name, me.phone, me.is_self) == (desk.user.user_id, "Desk", "15550001", True)


async def test_a_forgotten_key_is_told_at_the_transport(
    telegram: TelegramTestServer, desk: Account, connect: Connect
) -> None:
    key = telegram.new_session(desk)
    client = await connect(key)
    telegram.forget_key(key)

    with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
        await client.disconnected
    with pytest.raises(AuthKeyNotFound):
        await connect(key)


async def test_a_client_with_a_wrong_clock_is_put_right(
    telegram: TelegramTestServer, desk: Account, connect: Connect
) -> None:
    client = await connect(telegram.new_session(desk))
    client._sender._state.time_offset = -1000
    client._sender._state._last_msg_id = 0

    assert (await client.get_me()).id == desk.user.user_id


async def test_many_requests_in_one_container_are_all_answered(
    telegram: TelegramTestServer, desk: Account, ana: User, connect: Connect
) -> None:
    client = await connect(telegram.new_session(desk))
    telegram.write(desk, ana, "hi")
    ana_peer = (await client.get_dialogs())[0].input_entity

    sent = await asyncio.gather(*(client.send_message(ana_peer, str(i)) for i in range(250)))

    assert [message.id for message in sent] == list(range(2, 252))
    assert telegram.texts_of(desk, ana) == ["hi", *map(str, range(250))]


async def test_large_answers_and_large_requests_come_packed(
    telegram: TelegramTestServer, desk: Account, ana: User, connect: Connect
) -> None:
    client = await connect(telegram.new_session(desk))
    for _ in range(100):
        telegram.write(desk, ana, "x" * 4096)
    ana_peer = (await client.get_dialogs())[0].input_entity
    await client.send_message(ana_peer, "y" * 4096)

    texts = [message.text for message in await client.get_messages(ana_peer, limit=None, wait_time=0)]
    assert texts == ["y" * 4096, *["x" * 4096] * 100]


async def test_a_key_of_two_connections_tells_both(
    telegram: TelegramTestServer, desk: Account, ana: User, connect: Connect
) -> None:
    key = telegram.new_session(desk)
    one, two = await connect(key), await connect(key)
    assert telegram.connections_of(desk) == 2
    telegram.write(desk, ana, "hi")

    await eventually(lambda: len(one.seen) == len(two.seen) == 1)
    await one.disconnect()
    await eventually(lambda: telegram.connections_of(desk) == 1)


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        struct.pack("<ii", -1, 0),
        struct.pack("<ii", 2**30, 0),
        struct.pack("<ii", 16, 0) + b"abcd" + b"\0\0\0\0",
        struct.pack("<ii", 16, 7) + b"abcdabcd",
        (framed := struct.pack("<ii", 16, 0) + b"\0\0\0\0") + struct.pack("<I", crc32(framed)),
        b"",
        b"\x10",
    ],
    ids=["http", "negative", "huge", "wrong checksum", "wrong number", "too short", "nothing", "half a length"],
)
async def test_a_client_that_speaks_something_else_is_hung_up_on(telegram: TelegramTestServer, data: bytes) -> None:
    reader, writer = await asyncio.open_connection(telegram.host, telegram.port)
    writer.write(data)
    writer.write_eof()

    async with asyncio.timeout(5):
        with contextlib.suppress(ConnectionResetError):
            assert await reader.read() == b""
    writer.close()


async def test_an_unknown_key_is_told_so(telegram: TelegramTestServer) -> None:
    reader, writer = await asyncio.open_connection(telegram.host, telegram.port)
    frame = struct.pack("<ii", 12 + 64, 0) + b"\x07" * 64
    writer.write(frame + struct.pack("<I", crc32(frame)))

    async with asyncio.timeout(5):
        assert (await reader.readexactly(12))[8:] == struct.pack("<i", -404)
    writer.close()
    await writer.wait_closed()
