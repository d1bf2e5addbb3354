"""How a Telethon client is set up: it repeats, waits for and reconnects nothing by itself, and logs nothing."""

import logging
from typing import Final, TypeVar

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key
from telethon import TelegramClient
from telethon.crypto import rsa

import nadia
from nadia.errors import ConfigurationError
from nadia.telegram.session_material import ApiCredentials
from nadia.telegram.telethon.session import HeldSession

_LOGGER: Final = "nadia.telegram.telethon.library"
_BITS: Final = 2048
"""Telegram's handshake pads to this length (core.telegram.org/mtproto/auth_key)."""

Client = TypeVar("Client", bound=TelegramClient)


def new_client(
    kind: type[Client],
    *,
    session: HeldSession,
    api: ApiCredentials,
    request_timeout: float,
    public_key: str | None = None,
) -> Client:
    """Return a client, not connected.

    Parameters
    ----------
    kind : type
        ``TelegramClient``, or what is made of it.
    session : HeldSession
        Who connects, and where to.
    api : ApiCredentials
        Which application it is.
    request_timeout : float
        Longest wait for a connection, in seconds.
    public_key : str, optional
        Key of the data centre, if it is none of Telegram's.

    Raises
    ------
    ConfigurationError
        If the public key is none.
    """
    if public_key is not None:
        rsa.add_key(_pkcs1(public_key), old=False)
    quiet = logging.getLogger(_LOGGER)
    quiet.setLevel(logging.CRITICAL + 1)  # its messages quote updates, requests and raw answers: customers' text
    client: Client = kind(
        session,
        api.api_id,
        api.api_hash.get_secret_value(),
        base_logger=quiet,
        use_ipv6=":" in (session.server_address or ""),  # else Telethon puts its own address in the place of such a one
        timeout=request_timeout,
        connection_retries=0,
        request_retries=0,
        retry_delay=0,
        auto_reconnect=False,
        flood_sleep_threshold=0,
        raise_last_call_error=True,
        sequential_updates=True,
        catch_up=True,
        device_model="NADIA",
        app_version=nadia.__version__,
    )
    return client


def _pkcs1(pem: str) -> bytes:
    """Return an RSA key in the one form that Telethon reads."""
    try:
        key = load_pem_public_key(pem.encode("ascii"))
    except ValueError as exc:
        raise ConfigurationError(
            "the data centre's public key cannot be read", hint="set NADIA_TELEGRAM_DC_PUBLIC_KEY to an RSA key in PEM"
        ) from exc
    if not isinstance(key, RSAPublicKey) or key.key_size != _BITS:
        raise ConfigurationError(f"the data centre's public key is no RSA key of {_BITS} bits")
    return key.public_bytes(Encoding.PEM, PublicFormat.PKCS1)
