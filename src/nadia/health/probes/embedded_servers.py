"""Whether the home's own servers run."""

import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from nadia.health.models import HealthStatus
from nadia.health.probe import Finding


@dataclass(frozen=True, kw_only=True)
class EmbeddedServersProbe:
    """Asks for the process that keeps the home's servers, and knocks at their sockets.

    Parameters
    ----------
    sockets : mapping of str to Path
        Name of each server that is embedded, and its socket.
    owner : callable
        Returns the pid of the NADIA that runs them, or None.
    """

    id: ClassVar[str] = "embedded-servers"
    title: ClassVar[str] = "Embedded servers"
    group: ClassVar[str] = "installation"

    sockets: Mapping[str, Path]
    owner: Callable[[], int | None]

    async def measure(self) -> Finding:
        """Say which of them runs."""
        if not self.sockets:
            return Finding(status=HealthStatus.HEALTHY, summary="none: all servers are configured")
        if self.owner() is None:
            return Finding(
                status=HealthStatus.CRITICAL,
                summary="no NADIA runs on this home, and so do none of its servers",
                hint="start it with `nadia up`",
            )
        silent = [name for name, path in self.sockets.items() if not _listens(path)]
        if silent:
            return Finding(
                status=HealthStatus.CRITICAL,
                summary=f"{' and '.join(silent)} not running, or just starting again",
                hint="`nadia up` starts it again by itself; if it does not, its log in the servers' folder says why",
                figures={name: name not in silent for name in self.sockets},
            )
        return Finding(
            status=HealthStatus.HEALTHY,
            summary=f"{' and '.join(self.sockets)} running",
            figures=dict.fromkeys(self.sockets, True),
        )


def _listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as knocking:
        knocking.setblocking(False)  # with a full queue the kernel would keep us waiting; then somebody listens
        try:
            knocking.connect(str(path))
        except BlockingIOError:
            return True
        except OSError:
            return False
    return True
