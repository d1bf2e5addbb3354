"""What the sandbox acknowledged survives; what it holds for itself it defends."""

import asyncio
import contextlib
import sqlite3
import stat
from pathlib import Path

import pytest

from nadia.errors import ConfigurationError, ConflictError, UnavailableError
from nadia.telegram.errors import GatewayDisconnectedError, GatewayError, RandomIdDuplicateError
from nadia.telegram.sandbox.address import LoopbackAddress, UnixAddress
from nadia.telegram.sandbox.customer import CustomerClient
from nadia.telegram.sandbox.gateway import SandboxGateway
from nadia.telegram.sandbox.server import SandboxServer
from support.gateway_contract import take, take_texts
from support.sandbox_network import ACCOUNT, connected_to, sandbox_network
from support.sandbox_process import start_sandbox_process


async def test_a_killed_server_loses_nothing_that_it_acknowledged(folder: Path) -> None:
    address = UnixAddress(folder / "telegram.sock")
    acknowledged: dict[int, list[str]] = {}
    enough = asyncio.Event()

    async def write_until_killed(customers: CustomerClient, user_id: int) -> None:
        acknowledged[user_id] = []
        with contextlib.suppress(UnavailableError):
            for i in range(100_000):
                await customers.write(account=ACCOUNT, user_id=user_id, text=str(i))
                acknowledged[user_id].append(str(i))
                if i == 60:
                    enough.set()

    process = await start_sandbox_process(folder)
    async with CustomerClient(address=address) as customers:
        people = [await customers.create(name=f"customer {i}") for i in range(8)]
        writing = [asyncio.create_task(write_until_killed(customers, p.user_id)) for p in people]
        await enough.wait()
        process.kill()
        await process.wait()
        await asyncio.gather(*writing)

    restarted = await start_sandbox_process(folder)
    try:
        async with connected_to(address) as network:
            for user_id, texts in acknowledged.items():
                stored = await network.texts_of(user_id)
                assert stored[: len(texts)] == texts
                assert len(stored) <= len(texts) + 1  # the one that was under way
            gateway = network.gateway()
            await gateway.connect(None)
            total = sum([len(await network.texts_of(user_id)) for user_id in acknowledged])
            updates = await take(gateway.updates(), total)
            assert [u.state for u in updates] == [{"pts": n} for n in range(1, total + 1)]
    finally:
        restarted.terminate()
        assert await restarted.wait() == 0


async def test_sent_messages_and_their_random_ids_survive_a_restart(folder: Path) -> None:
    async with sandbox_network(folder) as network:
        chat = await network.add_customer("Ana")
        gateway = network.gateway()
        await gateway.connect(None)
        await gateway.send(chat_id=chat, text="hello", random_id=9)
    async with sandbox_network(folder) as network:
        gateway = network.gateway()
        await gateway.connect(None)
        with pytest.raises(RandomIdDuplicateError):
            await gateway.send(chat_id=chat, text="hello", random_id=9)
        assert await network.texts_of(chat) == ["hello"]


async def test_only_the_newest_random_ids_are_remembered(folder: Path) -> None:
    server = SandboxServer(
        address=UnixAddress(folder / "telegram.sock"), database=folder / "sandbox.db", remembered_sends=3
    )
    async with server, connected_to(server.address) as network:
        chat = await network.add_customer("Ana")
        gateway = network.gateway()
        await gateway.connect(None)
        for random_id in (1, 2, 3, 4):
            await gateway.send(chat_id=chat, text=f"{random_id}", random_id=random_id)
        for random_id in (2, 3, 4):
            with pytest.raises(RandomIdDuplicateError):
                await gateway.send(chat_id=chat, text=f"{random_id}", random_id=random_id)
        await gateway.send(chat_id=chat, text="1", random_id=1)

        assert await network.texts_of(chat) == ["1", "2", "3", "4", "1"]


async def test_a_state_of_another_sandbox_is_refused_with_the_remedy(folder: Path) -> None:
    async with sandbox_network(folder) as network:
        gateway = network.gateway()
        with pytest.raises(GatewayError, match="does not know the stored state") as caught:
            await gateway.connect({"pts": 57})
        assert caught.value.hint is not None
        with pytest.raises(GatewayError, match="not one of the sandbox's"):
            await gateway.connect({"pts": "57"})


async def test_only_this_user_can_reach_socket_and_store(folder: Path) -> None:
    private = folder / "new" / "home"
    async with SandboxServer(address=UnixAddress(private / "telegram.sock"), database=private / "sandbox.db"):
        assert stat.S_IMODE(private.stat().st_mode) == 0o700
        assert {stat.S_IMODE(path.stat().st_mode) for path in private.iterdir()} == {0o600}


async def test_a_folder_that_others_may_enter_is_refused(folder: Path) -> None:
    shared = folder / "shared"
    shared.mkdir(mode=0o755)
    server = SandboxServer(address=UnixAddress(shared / "telegram.sock"), database=folder / "sandbox.db")

    with pytest.raises(ConfigurationError, match="open to other users"):
        await server.start()
    assert list(shared.iterdir()) == []


async def test_a_second_server_gets_neither_the_store_nor_the_address(folder: Path) -> None:
    address = UnixAddress(folder / "telegram.sock")
    async with SandboxServer(address=address, database=folder / "sandbox.db") as first:
        with pytest.raises(ConflictError, match=r"sandbox\.db"):
            await SandboxServer(address=LoopbackAddress("127.0.0.1", 0), database=folder / "sandbox.db").start()
        with pytest.raises(ConflictError, match=r"telegram\.sock"):
            await SandboxServer(address=address, database=folder / "other.db").start()
        with pytest.raises(ConflictError):
            await first.start()
        async with CustomerClient(address=address) as customers:
            assert await customers.accounts() == [ACCOUNT]


async def test_a_socket_left_by_a_killed_server_does_not_block_the_next(folder: Path) -> None:
    process = await start_sandbox_process(folder)
    process.kill()
    await process.wait()
    assert (folder / "telegram.sock").exists()

    async with sandbox_network(folder) as network:
        assert await network.customers.accounts() == [ACCOUNT]
    assert not (folder / "telegram.sock").exists()


async def test_a_port_in_use_is_named(folder: Path) -> None:
    async with sandbox_network(folder, address=LoopbackAddress("127.0.0.1", 0)) as network:
        other = SandboxServer(address=network.address, database=folder / "other" / "sandbox.db")
        with pytest.raises(UnavailableError, match=str(network.address)):
            await other.start()


@pytest.mark.parametrize("content", [b"not a database at all " * 100, None], ids=["text", "another version"])
async def test_a_file_that_is_no_store_of_ours_is_left_alone(folder: Path, content: bytes | None) -> None:
    database = folder / "sandbox.db"
    if content is None:
        with contextlib.closing(sqlite3.connect(database)) as connection:
            connection.execute("PRAGMA user_version = 99")
    else:
        database.write_bytes(content)
    before = database.read_bytes()

    with pytest.raises(ConfigurationError, match=r"sandbox\.db"):
        await SandboxServer(address=UnixAddress(folder / "telegram.sock"), database=database).start()
    assert database.read_bytes()[100:] == before[100:]


async def test_connecting_to_nothing_says_so(folder: Path) -> None:
    for address in (UnixAddress(folder / "nobody.sock"), LoopbackAddress("127.0.0.1", 9)):
        with pytest.raises(GatewayDisconnectedError, match="no sandbox answers"):
            await SandboxGateway(account_id=ACCOUNT, address=address).connect(None)


async def test_closing_the_server_ends_its_clients_and_can_be_repeated(folder: Path) -> None:
    server = SandboxServer(address=UnixAddress(folder / "telegram.sock"), database=folder / "sandbox.db")
    await server.start()
    async with connected_to(server.address) as network:
        gateway = network.gateway()
        await gateway.connect(None)
        reading = asyncio.ensure_future(take_texts(gateway.updates(), 1))
        await server.close()
        await server.close()
        with pytest.raises(GatewayDisconnectedError):
            await reading
