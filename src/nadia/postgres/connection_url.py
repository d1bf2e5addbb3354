"""What a connection string says, as libpq reads it."""

from dataclasses import dataclass, field

import psycopg
from psycopg.conninfo import conninfo_to_dict

from nadia.errors import ConfigurationError


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionUrl:
    """Where a connection goes and as whom.

    Parameters
    ----------
    hosts : tuple of str
        Names, addresses and socket folders; empty for libpq's own default, a socket.
    user, password : str or None
        As whom.
    sslmode : str or None
        As libpq names it; None where the string does not say.
    """

    hosts: tuple[str, ...]
    user: str | None
    password: str | None = field(repr=False)
    sslmode: str | None


def read_connection_url(url: str) -> ConnectionUrl:
    """Read a URL or a ``host=… dbname=…`` string.

    Raises
    ------
    ConfigurationError
        If libpq could not read it; the message repeats nothing of it.
    """
    try:
        parts = {name: str(value) for name, value in conninfo_to_dict(url).items()}
    except (psycopg.Error, ValueError):  # not "from exc": libpq quotes what it could not read, passwords too
        raise ConfigurationError(
            "a connection string of PostgreSQL cannot be read", hint="write postgresql://user:password@host/database"
        ) from None
    places = ",".join(parts[name] for name in ("host", "hostaddr") if parts.get(name))
    return ConnectionUrl(
        hosts=tuple(host for host in places.split(",") if host),
        user=parts.get("user"),
        password=parts.get("password"),
        sslmode=parts.get("sslmode"),
    )
