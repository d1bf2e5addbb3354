"""What the processes of NADIA really listen on, whatever the settings say."""

import asyncio
import itertools
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

from nadia.workflows.report import WorkflowFinding
from nadia.workflows.security.addresses import is_loopback
from nadia.workflows.security.scan import Scan, critical, warning

_SCRIPTS: Final = ("nadia", "mcp_health_daemon.py")
_SERVERS: Final = ("postgres", "redis-server", "valkey-server")


@dataclass(frozen=True, slots=True, kw_only=True)
class Intended:
    """An address that the settings open to others on purpose, and whether that is safe.

    Parameters
    ----------
    host : str
        As the settings say; ``0.0.0.0`` and ``::`` stand for every address.
    port : int
        Its port.
    """

    host: str
    port: int


class ListenerScanner:
    """Looks at the sockets of running processes.

    Parameters
    ----------
    processes : callable
        Returns the processes to look at, such as `nadia_processes`.
    intended : sequence of Intended
        What is open on purpose; the scanner of the settings judges these.
    """

    title = "open ports"

    def __init__(self, *, processes: Callable[[], Iterable[psutil.Process]], intended: Sequence[Intended] = ()) -> None:
        self._processes = processes
        self._intended = tuple(intended)

    async def scan(self) -> Scan:
        """Look at every process."""
        return await asyncio.to_thread(self._scan)

    def _scan(self) -> Scan:
        looked_at, hidden, listening = 0, 0, 0
        findings: list[WorkflowFinding] = []
        for process in self._processes():
            try:
                name, connections = process.name(), process.net_connections(kind="inet")
            except psutil.NoSuchProcess:
                continue
            except psutil.AccessDenied:
                hidden += 1
                continue
            looked_at += 1
            for connection in connections:
                if connection.status == psutil.CONN_LISTEN:
                    listening += 1
                    findings += self._judge(name, process.pid, connection.laddr.ip, connection.laddr.port)
        return Scan(
            looked_at=f"{looked_at} processes, {listening} ports",
            findings=tuple(findings),
            not_looked_at=f"{hidden} processes of other users: run it as root, too" if hidden else None,
        )

    def _judge(self, name: str, pid: int, host: str, port: int) -> Iterator[WorkflowFinding]:
        if is_loopback(host) or any(_is_meant(host, port, place) for place in self._intended):
            return
        subject = f"{name} (process {pid}) on {f'[{host}]' if ':' in host else host}:{port}"
        if name in _SERVERS:
            yield critical(
                subject,
                "NADIA's own server can be reached from other machines; it is made for sockets of this one",
                "stop it and start it with `nadia up`; whoever started it did so by other means",
            )
        else:
            yield warning(
                subject,
                "can be reached from other machines, which no setting asks for",
                "restart it with the settings of today, or close the port with a firewall",
            )


def nadia_processes(owner: Callable[[], int | None]) -> Iterator[psutil.Process]:
    """Yield NADIA's processes on this machine, with their servers and other children, and without the present one.

    Parameters
    ----------
    owner : callable
        Returns the process that owns the home, or None.
    """
    owner_pid = owner()
    seen: set[int] = {os.getpid()}
    for process in psutil.process_iter(["cmdline"]):
        if process.pid != owner_pid and not _is_nadia(process.info["cmdline"] or []):
            continue
        try:
            family = [process, *process.children(recursive=True)]
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            family = [process]
        for member in family:
            if member.pid not in seen:
                seen.add(member.pid)
                yield member


def _is_nadia(command: Sequence[str]) -> bool:
    """Say whether a command line is ours: ``nadia …``, an interpreter on a script of ours, or ``python -m nadia``."""
    program, *words = [Path(word).name for word in command[:5]] or [""]
    if not program.startswith("python"):
        return program == "nadia"
    script = next((word for word in words if not word.startswith("-")), "")
    return script in _SCRIPTS or ("-m", "nadia") in itertools.pairwise(words)


def _is_meant(host: str, port: int, place: Intended) -> bool:
    return port == place.port and place.host in (host, "0.0.0.0", "::", "")  # noqa: S104 - compared, not listened on
