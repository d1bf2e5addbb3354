"""The server's side of making an auth key (core.telegram.org/mtproto/auth_key)."""

import functools
import secrets
import struct
import time
from dataclasses import dataclass
from hashlib import sha1
from typing import Any

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from telethon.crypto import AES, AuthKey
from telethon.extensions import BinaryReader
from telethon.helpers import generate_key_data_from_nonce
from telethon.tl import TLObject, functions, types

from support.leaks import handed_out

# The safe prime that Telegram's own servers use, and a generator of it; clients know the pair as good.
DH_PRIME = int(
    "C71CAEB9C6B1C9048E6C522F70F13F73980D40238E3E21C14934D037563D930F48198A0AA7C14058229493D22530F4DBFA336F6E0AC92513"
    "9543AED44CCE7C3720FD51F69458705AC68CD4FE6B6B13ABDC9746512969328454F18FAF8C595F642477FE96BB2A941D5BCD1D4AC8CC4988"
    "0708FA9B378E3C4F3A9060BEE67CF9A4A4A695811051907E162753B56B0F6B410DBA74D8A84B2A14B3144E0EF1284754FD17ED950D5965B4"
    "B9DD46582DB1178D169C6BC465B0D6FF9CA3928FEF5B9AE4E418FC15E83EBEA0F87FA9FF5EED70050DED2849F47BF959D956850CE929851F"
    "0D8115F635B105EE2E4E15D04B2454BF6F4FADF034B10403119CD8E3B92FCC5B",
    16,
)
DH_GENERATOR = 3
# One is small, so that a client factorises their product at once (Telegram's have 31 bits each), and the other is not:
# with two small ones Pollard's method now and then meets both at the same step and finds neither.
_P, _Q = 1_000_003, 4_000_000_000_039


class HandshakeError(Exception):
    """The client's part does not fit."""


def big_endian(number: int) -> bytes:
    """A number as TL has it in ``bytes``: big-endian without leading zeros."""
    return number.to_bytes((number.bit_length() + 7) // 8, "big")


@functools.cache
def server_key() -> RSAPrivateKey:
    """The RSA key of every server of this process: a client's list of keys is per process, too."""
    return generate_private_key(public_exponent=65537, key_size=2048)


def public_key_pem() -> str:
    """The public half as clients want it (PKCS#1)."""
    return server_key().public_key().public_bytes(Encoding.PEM, PublicFormat.PKCS1).decode()


def fingerprint() -> int:
    """Name of the public key: the lower 64 bits of the SHA-1 of its modulus and exponent."""
    numbers = server_key().public_key().public_numbers()
    bare = TLObject.serialize_bytes(big_endian(numbers.n)) + TLObject.serialize_bytes(big_endian(numbers.e))
    return int(struct.unpack("<q", sha1(bare).digest()[-8:])[0])


@dataclass
class Handshake:
    """One client's way to an auth key; requests come in their order or are refused."""

    nonce: int = 0
    server_nonce: int = 0
    new_nonce: int = 0
    exponent: int = 0
    key: AuthKey | None = None
    """Set with the last answer."""

    def answer(self, request: Any) -> Any:
        """
        Answer one request.

        Raises
        ------
        HandshakeError
            If it is out of order or was tampered with; the server then hangs up.
        """
        match request:
            case functions.ReqPqMultiRequest():
                return self._offer_pq(request)
            case functions.ReqDHParamsRequest() if self.server_nonce and not self.exponent:
                return self._offer_dh(request)
            case functions.SetClientDHParamsRequest() if self.exponent and self.key is None:
                return self._agree(request)
            case _:
                raise HandshakeError(f"{type(request).__name__} is out of order")

    def _offer_pq(self, request: Any) -> Any:
        self.nonce = request.nonce
        self.server_nonce = _random_int(16)
        return types.ResPQ(
            nonce=self.nonce,
            server_nonce=self.server_nonce,
            pq=big_endian(_P * _Q),
            server_public_key_fingerprints=[fingerprint()],
        )

    def _offer_dh(self, request: Any) -> Any:
        self._check_nonces(request)
        if (int.from_bytes(request.p, "big"), int.from_bytes(request.q, "big")) != (_P, _Q):
            raise HandshakeError("pq is not factorised")
        private = server_key().private_numbers()
        encrypted = int.from_bytes(request.encrypted_data, "big")
        padded = pow(encrypted, private.d, private.public_numbers.n).to_bytes(256, "big")
        if padded[0]:
            raise HandshakeError("this is not encrypted with the server's key")
        inner = _read_hashed(padded[1:])
        self._check_nonces(inner)
        self.new_nonce = inner.new_nonce
        self.exponent = secrets.randbits(2048)
        offer = bytes(
            types.ServerDHInnerData(
                nonce=self.nonce,
                server_nonce=self.server_nonce,
                g=DH_GENERATOR,
                dh_prime=big_endian(DH_PRIME),
                g_a=big_endian(pow(DH_GENERATOR, self.exponent, DH_PRIME)),
                server_time=int(time.time()),
            )
        )
        return types.ServerDHParamsOk(
            nonce=self.nonce,
            server_nonce=self.server_nonce,
            encrypted_answer=AES.encrypt_ige(sha1(offer).digest() + offer, *self._temporary_key()),
        )

    def _agree(self, request: Any) -> Any:
        self._check_nonces(request)
        inner = _read_hashed(AES.decrypt_ige(request.encrypted_data, *self._temporary_key()))
        self._check_nonces(inner)
        g_b = int.from_bytes(inner.g_b, "big")
        if not 2**1984 <= g_b <= DH_PRIME - 2**1984:
            raise HandshakeError("g_b is out of range")
        # Without leading zeros, as Telethon has it; Telegram keeps them, and one handshake in 256 is repeated there.
        self.key = AuthKey(big_endian(pow(g_b, self.exponent, DH_PRIME)))
        handed_out(self.key.key)
        return types.DhGenOk(
            nonce=self.nonce,
            server_nonce=self.server_nonce,
            new_nonce_hash1=self.key.calc_new_nonce_hash(self.new_nonce, 1),
        )

    def _temporary_key(self) -> tuple[bytes, bytes]:
        key, iv = generate_key_data_from_nonce(self.server_nonce, self.new_nonce)
        return key, iv

    def _check_nonces(self, request: Any) -> None:
        if (request.nonce, request.server_nonce) != (self.nonce, self.server_nonce):
            raise HandshakeError("a nonce is not the one agreed on")


def _random_int(size: int) -> int:
    return int.from_bytes(secrets.token_bytes(size), "little", signed=True)


def _read_hashed(payload: bytes) -> Any:
    """Read what follows its own SHA-1; padding may come behind."""
    with BinaryReader(payload[20:]) as reader:
        inner = reader.tgread_object()
    if sha1(bytes(inner)).digest() != payload[:20]:
        raise HandshakeError("the hash does not match")
    return inner
