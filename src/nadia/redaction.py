"""Secrets out of anything that is written down: logs, errors, diagnostics."""

import functools
import re
from typing import Final

from pydantic import SecretBytes, SecretStr

MASK: Final = "***"

_SECRET_NAME = re.compile(
    r"(?i)(pass(word|phrase|wd)?|secret|token|api[_-]?(key|hash)|authorization|cookie|session[_-]?(string|key)?$|dsn|"
    r"private[_-]?key|access[_-]?(key|hash)|\botp|_otp|recovery[_-]?code)"
)


@functools.cache
def _patterns() -> tuple[tuple[re.Pattern[str], str], ...]:
    """Return what credentials look like and what is left of them; made with the first use, for it takes 8 ms."""
    # Every repetition is bounded or cannot overlap itself: a megabyte of a customer's text must not cost seconds.
    return (
        # Credentials inside a URL: keep the user, hide the password, also one with a slash or an @ that nobody encoded.
        (
            re.compile(r"(?i)(?P<head>\b[a-z][a-z0-9+.-]{0,30}://[^\s:/@]{0,200}:)[^\s\"'<>]{1,300}(?=@)"),
            r"\g<head>" + MASK,
        ),
        # The same with the beginning mistyped, as drivers repeat it.
        (
            re.compile(
                r"(?i)(?P<head>\b(?:postgres(?:ql)?|rediss?|unix)[:/\\]{1,4}[^\s:/@]{0,200}:)[^\s\"'<>]{1,300}(?=@)"
            ),
            r"\g<head>" + MASK,
        ),
        # What libpq could not read, it quotes.
        (re.compile(r"(?i)\"[^\"\n]{1,2000}\"(?= in connection info string)"), f'"{MASK}"'),
        (re.compile(r"(?i)(?P<head>percent-encoded token: )\"[^\"\n]{1,2000}\""), rf'\g<head>"{MASK}"'),
        # A token in the place of the user.
        (re.compile(r"(?i)(?P<head>\b[a-z][a-z0-9+.-]{0,30}://)[^\s:/@]{20,300}(?=@)"), r"\g<head>" + MASK),
        (re.compile(r"(?i)(?P<head>\bbearer\s+)[A-Za-z0-9._~+/=-]{8,}"), r"\g<head>" + MASK),
        # "basic" is an English word as well: what follows has to look like base64.
        (
            re.compile(r"(?P<head>\b[Bb]asic\s+)(?=\S{0,200}(?:[0-9=]|[a-z][A-Z]))[A-Za-z0-9+/=]{8,}"),
            r"\g<head>" + MASK,
        ),
        (re.compile(r"(?i)(?P<head>\bcookie\s*:\s*)[^\r\n]+"), r"\g<head>" + MASK),
        (re.compile(r"\bsk-[A-Za-z0-9_-]{12,}"), MASK),
        # An API token of NADIA's own; the names of its metrics begin alike, and have no digit or capital letter.
        (re.compile(r"\bnadia_(?=[a-z_-]{0,60}[A-Z0-9])[A-Za-z0-9_-]{40,}"), MASK),
        (re.compile(r"\bAGE-SECRET-KEY-1[0-9A-Za-z]+"), MASK),  # what sessions are encrypted with
        (re.compile(r"\b\d{6,12}:[A-Za-z0-9_-]{30,}"), MASK),  # Telegram bot token
        # NAME=value and "name": "value"; a plural such as `tokens` counts and hides nothing.
        (
            re.compile(
                r"(?i)(?P<head>(?:password|passwd|passphrase|secret|token|(?:api|private|access)[_-]?(?:key|hash))"
                r"(?:[_-]?(?:key|value|string|hash))?['\"]?\s{0,5}[=:]\s{0,5})(?:'[^']*'|\"[^\"]*\"|[^\s'\",;&}]+)"
            ),
            r"\g<head>" + MASK,
        ),
    )


def redact_text(text: str) -> str:
    """Return the text with everything that looks like a credential masked."""
    for pattern, replacement in _patterns():
        text = pattern.sub(replacement, text)
    return text


def redact(value: object, *, name: str = "") -> object:
    """Return the value with secrets masked, through mappings and sequences.

    Parameters
    ----------
    value : object
        Anything that may be logged.
    name : str
        The key the value stands under; a name that tells of a secret masks all text in the value.
    """
    if isinstance(value, SecretStr | SecretBytes):
        return MASK
    tells = bool(name and _SECRET_NAME.search(name))
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if isinstance(value, str):
        return MASK if tells and value else redact_text(value)
    if isinstance(value, dict):
        return {key: redact(item, name=name if tells else str(key)) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [redact(item, name=name) for item in value]
    return value
