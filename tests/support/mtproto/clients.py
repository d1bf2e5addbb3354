"""Plain Telethon clients, pointed at the server and without patience: no retries, no sleeping."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

from telethon import TelegramClient, events
from telethon.crypto import AuthKey, rsa
from telethon.sessions import MemorySession

from support.mtproto.server import TelegramTestServer

Connect: TypeAlias = Callable[..., Awaitable[Any]]


def plain_client(telegram: TelegramTestServer, key: bytes | None, session: Any, **options: Any) -> Any:
    """A client with a session's key, with a session object of before, or as a stranger; ``seen`` has its updates."""
    rsa.add_key(telegram.public_key, old=False)
    if session is None:
        session = MemorySession()
        session.set_dc(telegram.dc_id, telegram.host, telegram.port)
        session.auth_key = AuthKey(key) if key is not None else None
    impatient = {
        "auto_reconnect": False,
        "connection_retries": 0,
        "request_retries": 0,
        "retry_delay": 0,
        "raise_last_call_error": True,
        "flood_sleep_threshold": 0,
        "sequential_updates": True,
    }
    client = TelegramClient(session, telegram.api_id, telegram.api_hash, **impatient | options)
    client.seen = seen = []

    async def keep(update: Any) -> None:
        seen.append(update)

    client.add_event_handler(keep, events.Raw)
    return client


async def ask(client: Any, request: Any) -> Any:
    """Ask without the 2 s that Telethon sleeps after every 5xx, retries or not."""
    return await client._sender.send(request)
