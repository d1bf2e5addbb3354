"""A Telegram that speaks MTProto as the far side of the gateway contract."""

import contextlib
import secrets
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, Final

from pydantic import SecretStr
from telethon.tl import functions, types

from nadia.postgres.database import Database
from nadia.telegram.entities import EntityResolver
from nadia.telegram.entity_store import EntityStore
from nadia.telegram.gateway import MessageKind, State
from nadia.telegram.limiter import RequestLimiter
from nadia.telegram.ownership import Ownerships
from nadia.telegram.session_material import ApiCredentials, DataCentre, SessionMaterial
from nadia.telegram.telethon.gateway import TelethonGateway
from support.gateway_contract import SendFault, take
from support.mtproto import media
from support.mtproto.faults import Fault
from support.mtproto.server import TelegramTestServer
from support.mtproto.world import Account
from support.sleeping import SleepingClock

ACCOUNT: Final = "desk"

MEDIA: Final[Mapping[MessageKind, Callable[[], Any]]] = {
    MessageKind.TEXT: lambda: None,
    MessageKind.PHOTO: media.photo,
    MessageKind.VOICE: media.voice,
    MessageKind.VIDEO: media.video,
    MessageKind.STICKER: media.sticker,
    MessageKind.DOCUMENT: lambda: media.document(name="offer.pdf"),
    MessageKind.LOCATION: media.location,
    MessageKind.CONTACT: media.contact,
    MessageKind.OTHER: media.dice,
}

_FAULTS: Final[Mapping[SendFault, Fault]] = {
    "answer lost": Fault.answer_lost(),
    "cut before storing": Fault.cut_before(),
    "flood wait of 7 s": Fault.flood_wait(7),
    "peer flood": Fault.peer_flood(),
}


class TelethonNetwork:
    """A test server, one account on it, and what this machine keeps of the account's peers."""

    def __init__(self, *, telegram: TelegramTestServer, account: Account, database: Database) -> None:
        self.telegram = telegram
        self.account = account
        self.clock = SleepingClock()
        """By it peers and requests wait."""
        self._database = database
        self.begin_anew()
        self.api = ApiCredentials(telegram.api_id, SecretStr(telegram.api_hash))
        self.material = SessionMaterial(
            dc_id=telegram.dc_id,
            host=telegram.host,
            port=telegram.port,
            auth_key=telegram.new_session(account),
            user_id=account.user.user_id,
            is_bot=account.user.bot,
        )
        self._gateways: list[TelethonGateway] = []

    def gateway(self, *, request_timeout: float = 15.0) -> TelethonGateway:
        telegram = self.telegram
        gateway = TelethonGateway(
            account_id=ACCOUNT,
            session=self.material,
            api=self.api,
            data_centre=DataCentre(telegram.dc_id, telegram.host, telegram.port, telegram.public_key),
            peers=self.peers,
            limiter=self.limiter,
            request_timeout=request_timeout,
        )
        self._gateways.append(gateway)
        return gateway

    def begin_anew(self) -> None:
        """What a new process knows of the account's peers: what PostgreSQL has."""
        self.peers = EntityResolver(
            account_id=ACCOUNT,
            store=EntityStore(database=self._database),
            monotonic=self.clock,
            sleep=self.clock.sleep,
        )
        self.limiter = RequestLimiter(account_id=ACCOUNT, monotonic=self.clock, sleep=self.clock.sleep)

    async def close_gateways(self) -> None:
        for gateway in self._gateways:
            await gateway.close()

    async def beginning(self) -> State | None:
        gateway = self.gateway()
        await gateway.connect(None)
        (lost,) = await take(gateway.updates(), 1)
        await gateway.close()
        return lost.state

    async def add_customer(self, name: str) -> int:
        customer = self.telegram.add_user(name)
        self.telegram.add_contact(self.account, customer)
        return customer.user_id

    async def write(
        self, chat_id: int, text: str, *, kind: MessageKind = MessageKind.TEXT, reply_to: int | None = None
    ) -> int:
        return self.telegram.write(
            self.account, self.telegram.user(chat_id), text, media=MEDIA[kind](), reply_to=reply_to
        )

    async def notice(self, chat_id: int) -> None:
        call = types.MessageActionPhoneCall(call_id=1)
        self.telegram.write(self.account, self.telegram.user(chat_id), "", action=call)

    async def show_typing(self, chat_id: int) -> None:
        self.telegram.type(self.account, self.telegram.user(chat_id))

    async def edit(self, chat_id: int, message_id: int, text: str) -> None:
        self.telegram.edit(self.account, message_id, text)

    async def delete(self, chat_id: int, message_ids: list[int]) -> None:
        self.telegram.delete(self.account, message_ids)

    async def block(self, chat_id: int) -> None:
        self.telegram.block(self.account, self.telegram.user(chat_id))

    async def post_from_phone(self, chat_id: int, text: str) -> int:
        return self.telegram.post_from_phone(self.account, self.telegram.user(chat_id), text)

    async def texts_of(self, chat_id: int) -> list[str]:
        return self.telegram.texts_of(self.account, self.telegram.user(chat_id))

    def desk_typing_seen(self, chat_id: int) -> list[bool]:
        return self.telegram.typing_seen(self.account, self.telegram.user(chat_id))

    async def next_send_meets(self, fault: SendFault) -> None:
        self.telegram.faults.meet(functions.messages.SendMessageRequest, _FAULTS[fault])

    async def forget_updates(self) -> None:
        self.telegram.forget_updates(self.account)

    async def cut(self) -> None:
        self.telegram.cut(self.account)

    async def revoke(self) -> None:
        self.telegram.revoke(self.account)

    async def restore(self) -> None:
        self.telegram.restore(self.account)


@contextlib.asynccontextmanager
async def telethon_network(dsn: str, *, bot: bool = False) -> AsyncIterator[TelethonNetwork]:
    """A running server with one account, and a database that knows it."""
    database = Database(dsn=dsn, pool_size=4)
    await database.open()
    try:
        ownerships = Ownerships(
            database=database, holder=f"test/{secrets.token_hex(4)}", lease_seconds=30, grace_seconds=0
        )
        await ownerships.register(ACCOUNT, TelethonGateway.network)
        async with TelegramTestServer() as telegram:
            account = telegram.add_bot("Desk", token="1:x") if bot else telegram.add_account("Desk", phone="+15550001")
            network = TelethonNetwork(telegram=telegram, account=account, database=database)
            try:
                yield network
            finally:
                await network.close_gateways()
    finally:
        await database.close()
