"""Opening the sandbox's address to this user of this machine, and to nobody else."""

import asyncio
import contextlib
import os
import socket
import stat
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeAlias

from nadia.errors import ConfigurationError, ConflictError, UnavailableError
from nadia.telegram.sandbox.address import Address, LoopbackAddress, UnixAddress

OnConnection: TypeAlias = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def listen(address: Address, on_connection: OnConnection, *, limit: int) -> tuple[asyncio.Server, Address]:
    """Listen.

    Parameters
    ----------
    address : Address
        A unix socket in a folder of 0700, which is made when absent; or a loopback port, 0 for a free one.
    on_connection : callable
        Called with the streams of each connection.
    limit : int
        Longest line that may be read, in bytes.

    Returns
    -------
    tuple
        The server, and the address with the port that was chosen.

    Raises
    ------
    ConflictError
        If something listens there already.
    ConfigurationError
        If others could reach the socket's folder.
    UnavailableError
        If the system does not allow to listen there.
    """
    try:
        if isinstance(address, UnixAddress):
            make_private_folder(address.path.parent)
            _remove_stale_socket(address.path)
            server = await asyncio.start_unix_server(on_connection, address.path, limit=limit)
            address.path.chmod(0o600)
            return server, address
        server = await asyncio.start_server(on_connection, address.host, address.port, limit=limit)
        return server, LoopbackAddress(address.host, server.sockets[0].getsockname()[1])
    except OSError as exc:
        raise UnavailableError(f"the sandbox cannot listen on {address}: {exc.strerror or exc}") from exc


def stop_listening(server: asyncio.Server, address: Address) -> None:
    """Accept no more connections and take the socket away."""
    server.close()
    if isinstance(address, UnixAddress):
        address.path.unlink(missing_ok=True)


def make_private_folder(folder: Path) -> None:
    """Make a folder for this user alone, or make sure that it is one.

    Raises
    ------
    ConfigurationError
        If it exists and others may enter it.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = folder.stat()
    if found.st_uid != os.geteuid() or stat.S_IMODE(found.st_mode) & 0o077:
        raise ConfigurationError(
            f"{folder} is open to other users", hint=f"chmod 700 {folder}, or choose a folder of your own"
        )


def _remove_stale_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(str(path))
        except FileNotFoundError:
            return
        except ConnectionRefusedError:  # its server was killed
            with contextlib.suppress(FileNotFoundError):
                path.unlink()
            return
        except OSError as exc:
            raise ConflictError(f"{path} is in use ({exc.strerror or exc})", hint="choose another address") from exc
    raise ConflictError(f"another sandbox listens on {path}", hint="stop it first")
