"""What a process is called among several: as holder of an account or a lease, as consumer of a stream."""

import os
import secrets
import socket

from nadia.embedded.home import Home
from nadia.settings import Config


def installation_name(config: Config) -> str:
    """Return what the processes that share this home are called; without a slash, which ends the name of a group.

    Host name and path would not do: containers made alike share both, and may share a database too.
    """
    return Home(path=config.home).installation_id()


def process_name(config: Config, *, owns_home: bool) -> str:
    """Return a name that no other process has; one that owns its home begins with the home's."""
    group = installation_name(config) if owns_home else socket.gethostname()
    return f"{group}/{os.getpid()}/{secrets.token_hex(4)}"
