"""Secrets that the tests hand out, and the search for them in everything that came out."""

import base64
from collections.abc import Iterable
from typing import Final

_SHORTEST: Final = 8
"""Shorter ones stand in innocent numbers and words too."""

_KNOWN: set[str] = {"AGE-SECRET-KEY-"}


def handed_out(secret: str | bytes) -> None:
    """Remember a secret that must come out nowhere; key material in each form that a careless line would print."""
    if isinstance(secret, str):
        forms = [secret, secret.removeprefix("+")]
    else:
        start = secret[:24]  # a multiple of three, so that its base64 is the beginning of the whole one's
        forms = [start.hex(), base64.b64encode(start).decode(), base64.urlsafe_b64encode(start).decode()]
        forms.append(repr(secret)[2:42])
    _KNOWN.update(form for form in forms if len(form) >= _SHORTEST)


def leaked_in(texts: Iterable[str]) -> list[str]:
    """Return the secrets that stand in any of the texts, with a few words around them."""
    found = []
    for text in texts:
        for secret in _KNOWN:
            if (at := text.find(secret)) >= 0:
                found.append(text[max(0, at - 60) : at + len(secret) + 20])
    return found
