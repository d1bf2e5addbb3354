"""Checking where servers are said to be, before a driver reads it: drivers repeat what they cannot read, passwords too.

No message here repeats any part of a value.
"""

import re
from collections.abc import Callable, Mapping
from typing import Final
from urllib.parse import urlsplit

from nadia.settings.errors import Problem
from nadia.settings.sources import Given

_ENCODE: Final = "write :, /, @, # and ? inside a password as %3A, %2F, %40, %23 and %3F"
_POSTGRES_FORM: Final = "write postgresql://user@host/database, with ?host=/folder for a socket"
_REDIS_FORM: Final = "write redis://host:6379/0, rediss:// for TLS, or unix:///path/of/the.sock"

_KEYWORDS: Final = re.compile(r"\s*[a-z_]+\s*=")
"""How libpq's other form begins: ``host=… dbname=…``."""

_HOST: Final = re.compile(r"[A-Za-z0-9._:%\[\]-]+")
"""What a host's name or address is made of."""


def url_problems(given: Mapping[str, Given]) -> list[Problem]:
    """Return what is wrong with the servers' URLs.

    Parameters
    ----------
    given : mapping of str to Given
        Values by the setting's dotted path.
    """
    return [
        Problem(value.name, *wrong, value.origin)
        for path, check in _CHECKS.items()
        if (value := given.get(path)) is not None and (wrong := check(value.value)) is not None
    ]


def _wrong_with_postgres(url: str) -> tuple[str, str] | None:
    if not url.startswith(("postgresql://", "postgres://")) and not _KEYWORDS.match(url):
        return "it does not begin with postgresql://", _POSTGRES_FORM
    import psycopg
    from psycopg.conninfo import conninfo_to_dict

    try:
        parts = {name: str(value) for name, value in conninfo_to_dict(url).items()}
    except (psycopg.Error, ValueError):  # its message repeats the value
        return "it cannot be read as a connection URL", _ENCODE
    hosts, ports = parts.get("host", ""), parts.get("port", "")
    if not hosts and not parts.get("hostaddr") and not parts.get("service"):
        return "it names no host", _POSTGRES_FORM
    if not all(host.startswith(("/", "@")) or _HOST.fullmatch(host) for host in hosts.split(",") if host):
        return "its host is not one", _ENCODE
    if not all(port.isdecimal() for port in ports.split(",") if port):
        return "its port is not a number", _ENCODE
    return None


def _wrong_with_redis(url: str) -> tuple[str, str] | None:
    scheme, separator, rest = url.partition("://")
    if not separator or scheme not in ("redis", "rediss", "unix"):
        return "it does not begin with redis://, rediss:// or unix://", _REDIS_FORM
    if scheme == "unix":
        return None if "/" in rest else ("it names no socket", _REDIS_FORM)
    try:
        parts = urlsplit(url)
    except ValueError:
        return "it cannot be read as a URL", _ENCODE
    if "@" in parts.path or "@" in parts.fragment:  # a password with a slash ends what is read as the host
        return "a part of it stands in the wrong place", _ENCODE
    # Sentinels may be several, each with its port.
    for place in parts.netloc.rpartition("@")[2].split(","):
        host, _, port = place.rpartition(":") if re.search(r":[^\]]*$", place) else (place, "", "")
        if not host:
            return "it names no host", _REDIS_FORM
        if not _HOST.fullmatch(host):
            return "its host is not one", _ENCODE
        if port and not port.isdecimal():
            return "its port is not a number", _ENCODE
    database = parts.path.strip("/")
    if database and not database.isdecimal():
        return "what follows the host is not a database's number", _REDIS_FORM
    return None


_CHECKS: Final[Mapping[str, Callable[[str], tuple[str, str] | None]]] = {
    "postgres.url": _wrong_with_postgres,
    "postgres.owner_url": _wrong_with_postgres,
    "redis.url": _wrong_with_redis,
}
