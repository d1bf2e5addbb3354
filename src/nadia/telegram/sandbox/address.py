"""Where the sandbox listens: a private unix socket, or a loopback port. Nothing else is accepted."""

import asyncio
import ipaddress
import re
from dataclasses import dataclass
from pathlib import Path

from nadia.errors import InvalidInputError

SOCKET_PATH_LIMIT = 103
"""Bytes that every platform's ``sockaddr_un`` has room for (macOS: 104 with the closing NUL)."""
_HOST_AND_PORT = re.compile(r"^(?:\[(?P<v6>[0-9a-fA-F:.]+)\]|(?P<host>[^:/\[\]]+)):(?P<port>\d{1,5})\Z")
_FIELD = "telegram.address"
_ACCEPTED = "give the absolute path of a unix socket, or 127.0.0.1:PORT, [::1]:PORT or localhost:PORT"


@dataclass(frozen=True, slots=True)
class UnixAddress:
    """A unix socket."""

    path: Path

    def __str__(self) -> str:
        return str(self.path)


@dataclass(frozen=True, slots=True)
class LoopbackAddress:
    """A TCP port that only this machine reaches; port 0 lets the system choose one."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


Address = UnixAddress | LoopbackAddress


def parse_address(text: str) -> Address:
    """Read an address as settings write it.

    Parameters
    ----------
    text : str
        The absolute path of a socket, or ``host:port`` with a loopback host.

    Raises
    ------
    InvalidInputError
        If it is neither, or would be reachable from other machines.
    """
    text = text.removeprefix("unix:")
    if text.startswith("/"):
        if len(text.encode()) > SOCKET_PATH_LIMIT:
            raise InvalidInputError(
                f"a socket's path has at most {SOCKET_PATH_LIMIT} bytes", field=_FIELD, hint="choose a shorter folder"
            )
        return UnixAddress(Path(text))
    found = _HOST_AND_PORT.match(text)
    if found is None:
        raise InvalidInputError(f"{text[:120]!r} is not an address", field=_FIELD, hint=_ACCEPTED)
    host = found["v6"] or ("127.0.0.1" if found["host"] == "localhost" else found["host"])
    port = int(found["port"])
    if port > 65_535 or not _is_loopback(host):
        raise InvalidInputError(f"{text[:120]!r} is not a loopback address", field=_FIELD, hint=_ACCEPTED)
    return LoopbackAddress(host, port)


async def open_streams(address: Address, *, limit: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Connect to a listening address.

    Parameters
    ----------
    address : Address
        Where to.
    limit : int
        Longest line that the reader accepts, in bytes.

    Raises
    ------
    OSError
        If nothing listens there.
    """
    if isinstance(address, UnixAddress):
        return await asyncio.open_unix_connection(address.path, limit=limit)
    return await asyncio.open_connection(address.host, address.port, limit=limit)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
