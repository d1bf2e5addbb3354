"""The sandbox as the far side of the gateway contract."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from nadia.errors import UnavailableError
from nadia.telegram.gateway import MessageKind, State
from nadia.telegram.limiter import RequestLimiter
from nadia.telegram.sandbox.address import Address, UnixAddress
from nadia.telegram.sandbox.control import SandboxControl
from nadia.telegram.sandbox.customer import CustomerClient
from nadia.telegram.sandbox.faults import FaultKind
from nadia.telegram.sandbox.gateway import SandboxGateway
from nadia.telegram.sandbox.server import SandboxServer
from nadia.telegram.sandbox.wire import ChatEvent, DeskTyping
from support.gateway_contract import SendFault

ACCOUNT = "sandbox"


class SandboxNetwork:
    """A running sandbox, its customers on one connection, its strings on another."""

    def __init__(self, *, address: Address, customers: CustomerClient, control: SandboxControl) -> None:
        self.address = address
        self.customers = customers
        self.control = control
        self.seen: list[ChatEvent] = []
        self._gateways: list[SandboxGateway] = []

    def gateway(self, *, request_timeout: float = 15.0, limiter: RequestLimiter | None = None) -> SandboxGateway:
        gateway = SandboxGateway(
            account_id=ACCOUNT, address=self.address, limiter=limiter, request_timeout=request_timeout
        )
        self._gateways.append(gateway)
        return gateway

    async def close_gateways(self) -> None:
        for gateway in self._gateways:
            await gateway.close()

    async def watch(self) -> None:
        """Keep what the customers' windows are told."""
        with contextlib.suppress(UnavailableError):
            async for event in self.customers.events():
                self.seen.append(event)

    async def beginning(self) -> State | None:
        return None  # it keeps every update

    async def add_customer(self, name: str) -> int:
        customer = await self.customers.create(name=name)
        await self.customers.watch(customer.user_id)
        return customer.user_id

    async def write(
        self, chat_id: int, text: str, *, kind: MessageKind = MessageKind.TEXT, reply_to: int | None = None
    ) -> int:
        message = await self.customers.write(account=ACCOUNT, user_id=chat_id, text=text, kind=kind, reply_to=reply_to)
        return message.message_id

    async def notice(self, chat_id: int) -> None:
        """It knows no calls; what comes closest is a number that no message has any more."""
        await self.delete(chat_id, [await self.write(chat_id, "to be gone")])

    async def show_typing(self, chat_id: int) -> None:
        await self.customers.show_typing(account=ACCOUNT, user_id=chat_id)

    async def edit(self, chat_id: int, message_id: int, text: str) -> None:
        await self.customers.edit(account=ACCOUNT, user_id=chat_id, message_id=message_id, text=text)

    async def delete(self, chat_id: int, message_ids: list[int]) -> None:
        await self.customers.delete(account=ACCOUNT, user_id=chat_id, message_ids=message_ids)

    async def block(self, chat_id: int) -> None:
        await self.customers.block(account=ACCOUNT, user_id=chat_id)

    async def post_from_phone(self, chat_id: int, text: str) -> int:
        return (await self.control.post_from_phone(account=ACCOUNT, user_id=chat_id, text=text)).message_id

    async def texts_of(self, chat_id: int) -> list[str]:
        texts: list[str] = []
        after = 0
        while page := await self.customers.history(account=ACCOUNT, user_id=chat_id, after_id=after):
            texts += [message.text for message in page]
            after = page[-1].message_id
        return texts

    def desk_typing_seen(self, chat_id: int) -> list[bool]:
        return [e.active for e in self.seen if isinstance(e, DeskTyping) and e.chat_id == chat_id]

    async def next_send_meets(self, fault: SendFault) -> None:
        match fault:
            case "answer lost":
                await self.control.force(FaultKind.DROP_ANSWER)
            case "cut before storing":
                await self.control.force(FaultKind.DISCONNECT, method="account.send")
            case "flood wait of 7 s":
                await self.control.force(FaultKind.FLOOD_WAIT, seconds=7)
            case "peer flood":
                await self.control.force(FaultKind.PEER_FLOOD)

    async def forget_updates(self) -> None:
        await self.control.forget_updates(ACCOUNT)

    async def cut(self) -> None:
        await self.control.cut(ACCOUNT)

    async def revoke(self) -> None:
        await self.control.revoke(ACCOUNT)

    async def restore(self) -> None:
        await self.control.restore(ACCOUNT)


@contextlib.asynccontextmanager
async def connected_to(address: Address) -> AsyncIterator[SandboxNetwork]:
    """The far side of a sandbox that runs already."""
    async with CustomerClient(address=address) as customers, SandboxControl(address=address) as control:
        network = SandboxNetwork(address=address, customers=customers, control=control)
        watching = asyncio.create_task(network.watch())
        try:
            yield network
        finally:
            await network.close_gateways()
            await customers.close()
            await watching


@contextlib.asynccontextmanager
async def sandbox_network(folder: Path, *, address: Address | None = None) -> AsyncIterator[SandboxNetwork]:
    """A sandbox in this process, on a connection of its own."""
    server = SandboxServer(address=address or UnixAddress(folder / "telegram.sock"), database=folder / "sandbox.db")
    async with server, connected_to(server.address) as network:
        yield network
