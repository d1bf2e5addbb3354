"""Encryption of messages, MTProto 2.0, the server's side (core.telegram.org/mtproto/description)."""

import secrets
import struct
from dataclasses import dataclass
from hashlib import sha256

from telethon.crypto import AES, AuthKey

_FROM_CLIENT, _FROM_SERVER = 0, 8  # the x of the description: which part of the key each direction uses


class BadEnvelopeError(Exception):
    """A packet that this key does not open."""


@dataclass(frozen=True)
class Envelope:
    """One encrypted message."""

    salt: int
    session_id: int
    message_id: int
    sequence: int
    body: bytes


def key_id_of(packet: bytes) -> int:
    """Which auth key a packet is for; 0 for a packet of the handshake, which is not encrypted."""
    return int.from_bytes(packet[:8], "little")


def opened(packet: bytes, key: AuthKey) -> Envelope:
    """
    Decrypt what a client sent.

    Raises
    ------
    BadEnvelopeError
        If the key does not fit or the lengths are wrong.
    """
    message_key, encrypted = packet[8:24], packet[24:]
    if not encrypted or len(encrypted) % 16:
        raise BadEnvelopeError(f"{len(encrypted)} encrypted bytes are not whole blocks")
    plain = AES.decrypt_ige(encrypted, *_aes_key(key, message_key, _FROM_CLIENT))
    if _message_key(key, plain, _FROM_CLIENT) != message_key:
        raise BadEnvelopeError("the message key does not match")
    salt, session_id, message_id, sequence, length = struct.unpack("<qqqii", plain[:32])
    if not 12 <= len(plain) - 32 - length <= 1024:
        raise BadEnvelopeError("the padding is not 12 to 1024 bytes")
    return Envelope(salt, session_id, message_id, sequence, plain[32 : 32 + length])


def sealed(envelope: Envelope, key: AuthKey) -> bytes:
    """Encrypt what the server sends."""
    plain = (
        struct.pack(
            "<qqqii",
            envelope.salt,
            envelope.session_id,
            envelope.message_id,
            envelope.sequence,
            len(envelope.body),
        )
        + envelope.body
    )
    plain += secrets.token_bytes(-(len(plain) + 12) % 16 + 12)
    message_key = _message_key(key, plain, _FROM_SERVER)
    encrypted: bytes = AES.encrypt_ige(plain, *_aes_key(key, message_key, _FROM_SERVER))
    return struct.pack("<Q", key.key_id) + message_key + encrypted


def _message_key(key: AuthKey, plain: bytes, x: int) -> bytes:
    return sha256(key.key[88 + x : 120 + x] + plain).digest()[8:24]


def _aes_key(key: AuthKey, message_key: bytes, x: int) -> tuple[bytes, bytes]:
    a = sha256(message_key + key.key[x : x + 36]).digest()
    b = sha256(key.key[40 + x : 76 + x] + message_key).digest()
    return a[:8] + b[8:24] + a[24:32], b[:8] + a[8:24] + b[24:32]
