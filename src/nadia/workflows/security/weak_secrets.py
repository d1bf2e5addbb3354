"""Secrets that can be guessed, and secrets that stand where anybody may read them."""

import hashlib
import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from pydantic import SecretStr

from nadia.redaction import redact_text
from nadia.workflows.report import WorkflowFinding
from nadia.workflows.security.scan import Scan, critical, warning

LEAST_BITS: Final = 64
"""Entropy below which a secret can be guessed: at 10^10 guesses a second, 2^63 of them, half of all, take 29 years."""

_FIRST_GUESSES: Final = (
    "admin administrator changeit changeme changethis default demo dev development example foobared guest letmein "
    "master mysecretpassword nadia pass passw0rd password password1 postgres postgresql redis replaceme root secret "
    "secretkey test test123 testing user valkey your-secret-key qwerty 123456 12345678 123456789 1234567890 insecure "
    "supersecret topsecret placeholder todo none null xxx"
)
_EVERYBODY_KNOWS: Final = frozenset(_FIRST_GUESSES.split())

_TELEGRAM_SAMPLES: Final = frozenset({4, 6, 8, 2040, 2496, 2834, 9, 10840, 17349, 21724, 94575})
"""Numbers of applications whose hashes are published: those of Telegram's own programs, and samples of libraries."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldSecret:
    """A secret in use.

    Parameters
    ----------
    name : str
        The setting or file that holds it.
    value : SecretStr
        It.
    user : str or None
        Whose password it is.
    chosen_by_us : bool
        Whether people chose it here; a key that another service hands out is as long as it is.
    """

    name: str
    value: SecretStr
    user: str | None = None
    chosen_by_us: bool = True


class SecretScanner:
    """Judges secrets by what an attacker would try.

    Parameters
    ----------
    secrets : sequence of HeldSecret
        All in use.
    open_values : mapping of str to str
        Values of settings that `nadia config show` prints, by name: no secret may stand in one.
    telegram_api_id : int or None
        The application that Telegram is asked as.
    """

    title = "secrets"

    def __init__(
        self,
        *,
        secrets: Sequence[HeldSecret],
        open_values: Mapping[str, str],
        telegram_api_id: int | None = None,
    ) -> None:
        self._secrets = tuple(secrets)
        self._open_values = open_values
        self._telegram_api_id = telegram_api_id

    async def scan(self) -> Scan:
        """Judge each secret, and all of them together."""
        findings = [finding for secret in self._secrets for finding in _judge(secret)]
        findings += [*self._used_twice(), *self._in_the_open(), *self._telegram()]
        return Scan(
            looked_at=f"{len(self._secrets)} secrets, {len(self._open_values)} other settings",
            findings=tuple(findings),
        )

    def _used_twice(self) -> Iterator[WorkflowFinding]:
        places: dict[bytes, list[str]] = defaultdict(list)
        for secret in self._secrets:
            places[hashlib.sha256(secret.value.get_secret_value().encode()).digest()].append(secret.name)
        for names in places.values():
            apart = sorted(set(names))
            if len(apart) > 1:
                yield warning(
                    ", ".join(apart),
                    "are one and the same secret: who learns one has all",
                    "give each its own",
                )

    def _in_the_open(self) -> Iterator[WorkflowFinding]:
        for name, value in self._open_values.items():
            if redact_text(value) != value:
                yield critical(
                    name, "holds what looks like a credential, and is no secret to NADIA", "take it out of the value"
                )

    def _telegram(self) -> Iterator[WorkflowFinding]:
        if self._telegram_api_id in _TELEGRAM_SAMPLES:
            yield warning(
                "API_ID",
                f"{self._telegram_api_id} is the number of a published program: accounts that use it get banned",
                "make an application of your own at https://my.telegram.org",
            )


def entropy_bits(secret: str) -> float:
    """Estimate how many bits of surprise a text holds: Shannon's entropy of its characters, times their number.

    It is an upper bound for what is random, and says nothing of words and dates: what it calls weak is weak.
    """
    counts = Counter(secret).values()
    return -sum(count * math.log2(count / len(secret)) for count in counts)


def _judge(secret: HeldSecret) -> Iterator[WorkflowFinding]:
    value = secret.value.get_secret_value()
    plain = value.strip().lower()
    remedy = f"replace {secret.name} by a random one: openssl rand -base64 48"
    if plain.rstrip("!.1") in _EVERYBODY_KNOWS or plain in _EVERYBODY_KNOWS:
        yield critical(secret.name, "is one of the first that anybody tries", remedy)
    elif secret.user is not None and secret.user.lower() in (plain, plain[::-1]):
        yield critical(secret.name, "is the name of the user itself", remedy)
    elif secret.chosen_by_us and entropy_bits(value) < LEAST_BITS:
        yield warning(secret.name, f"can be guessed: fewer than {LEAST_BITS} bits, {len(value)} characters", remedy)
