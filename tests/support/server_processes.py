"""Look at the servers' processes from outside."""

from contextlib import suppress
from pathlib import Path

import psutil

SERVER_NAMES = frozenset({"postgres", "initdb", "psql", "pg_isready", "redis-server", "valkey-server"})


def running_below(folder: Path) -> list[psutil.Process]:
    """Processes of the servers that work below `folder`, by working directory or command line."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.name() in SERVER_NAMES and (
                Path(process.cwd()).is_relative_to(folder) or any(str(folder) in word for word in process.cmdline())
            ):
                found.append(process)
    return found
