"""The second factor: proof of a password without sending it (core.telegram.org/api/srp), the server's side."""

import hashlib
import hmac
import secrets
from dataclasses import dataclass, field
from typing import Any

from telethon.tl import types

from support.mtproto.handshake import DH_GENERATOR, DH_PRIME
from support.mtproto.rpc import RpcFailure

_SIZE = 256  # bytes of every number in a hash


def _sha256(*parts: bytes) -> bytes:
    return hashlib.sha256(b"".join(parts)).digest()


def _number(digest: bytes) -> int:
    return int.from_bytes(digest, "big")


def _padded(number: int) -> bytes:
    return number.to_bytes(_SIZE, "big")


@dataclass
class Verifier:
    """What the server keeps instead of a password, and the challenge it has set."""

    salt1: bytes = field(default_factory=lambda: secrets.token_bytes(40))
    salt2: bytes = field(default_factory=lambda: secrets.token_bytes(16))
    verifier: int = field(default=0, repr=False)
    challenge_id: int = 0
    secret: int = field(default=0, repr=False)
    public: int = 0

    @classmethod
    def of(cls, password: str) -> "Verifier":
        """Derive the verifier: g to the power of PH2, SHA-256 salted from both sides around PBKDF2."""
        made = cls()
        once = _sha256(made.salt1, password.encode(), made.salt1)
        twice = _sha256(made.salt2, once, made.salt2)
        stretched = hashlib.pbkdf2_hmac("sha512", twice, made.salt1, 100_000)
        made.verifier = pow(DH_GENERATOR, _number(_sha256(made.salt2, stretched, made.salt2)), DH_PRIME)
        return made

    @property
    def algorithm(self) -> Any:
        """The algorithm with its parameters, as clients are told."""
        return types.PasswordKdfAlgoSHA256SHA256PBKDF2HMACSHA512iter100000SHA256ModPow(
            salt1=self.salt1, salt2=self.salt2, g=DH_GENERATOR, p=_padded(DH_PRIME)
        )

    def challenge(self) -> tuple[int, bytes]:
        """Set a new challenge: its id and B."""
        self.challenge_id = secrets.randbits(62)
        self.secret = secrets.randbits(2048)
        multiplier = _number(_sha256(_padded(DH_PRIME), _padded(DH_GENERATOR)))
        self.public = (multiplier * self.verifier + pow(DH_GENERATOR, self.secret, DH_PRIME)) % DH_PRIME
        return self.challenge_id, _padded(self.public)

    def check(self, proof: Any) -> None:
        """
        Check a client's proof; a challenge is good for one.

        Raises
        ------
        RpcFailure
            If the challenge is not the present one, A is out of range, or the password is wrong.
        """
        if not self.challenge_id or proof.srp_id != self.challenge_id:
            raise RpcFailure(400, "SRP_ID_INVALID")
        self.challenge_id = 0
        theirs = _number(proof.A)
        if len(proof.A) != _SIZE or not 2**1984 <= theirs <= DH_PRIME - 2**1984:
            raise RpcFailure(400, "SRP_A_INVALID")
        scramble = _number(_sha256(proof.A, _padded(self.public)))
        shared = pow(theirs * pow(self.verifier, scramble, DH_PRIME), self.secret, DH_PRIME)
        prime, generator = _sha256(_padded(DH_PRIME)), _sha256(_padded(DH_GENERATOR))
        expected = _sha256(
            bytes(a ^ b for a, b in zip(prime, generator, strict=True)),
            _sha256(self.salt1),
            _sha256(self.salt2),
            proof.A,
            _padded(self.public),
            _sha256(_padded(shared)),
        )
        if not hmac.compare_digest(expected, proof.M1):
            raise RpcFailure(400, "PASSWORD_HASH_INVALID")
