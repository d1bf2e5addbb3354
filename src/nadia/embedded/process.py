"""Start, watch and stop child processes so that none outlives us."""

import asyncio
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import structlog

from nadia.embedded import launch
from nadia.embedded.errors import ServerStartError
from nadia.embedded.server_log import ServerLog
from nadia.embedded.service_user import ServiceUser

log = structlog.get_logger(__name__)

# Nothing of our environment reaches the servers: it may hold keys, and locale or PG* variables would change them.
_BARE_ENVIRONMENT: Mapping[str, str] = {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}

StopSteps = Sequence[tuple[signal.Signals, float]]
"""Signals to try in turn, each with the seconds to wait for its effect."""


class ServerProcess:
    """A running server.

    It is in a session of its own, so that Ctrl-C in the terminal reaches NADIA alone, which then stops it in order.
    On Linux it gets `death_signal` when the thread that started it ends, however that comes about.

    Parameters
    ----------
    name : str
        For the log.
    process : asyncio.subprocess.Process
        The child.
    """

    def __init__(self, *, name: str, process: asyncio.subprocess.Process) -> None:
        self._name = name
        self._process = process

    @classmethod
    async def spawn(
        cls,
        *,
        name: str,
        command: Sequence[str | Path],
        user: ServiceUser,
        folder: Path,
        output: ServerLog,
        death_signal: signal.Signals,
    ) -> "ServerProcess":
        """Start a server as `user` in `folder`, with its output going to `output`."""
        with output.open() as stream:
            process = await asyncio.create_subprocess_exec(
                *_launched(command, user, death_signal),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=stream,
                stderr=stream,
                cwd=folder,
                env=_BARE_ENVIRONMENT,
                start_new_session=True,
            )
        return cls(name=name, process=process)

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """Exit status; negative is a signal's number, None while it runs."""
        return self._process.returncode

    async def wait(self) -> int:
        """Wait for its exit and return the status."""
        return await self._process.wait()

    async def stop(self, steps: StopSteps) -> None:
        """End the process, the gentlest way that works; also when cancelled, then at once.

        Parameters
        ----------
        steps : sequence of (signal, seconds)
            What to try in turn; the last ought to be SIGKILL.
        """
        try:
            for number, patience in steps:
                _send(self._process, number)
                with suppress(TimeoutError):
                    async with asyncio.timeout(patience):
                        await self._process.wait()
                    return
                log.warning(
                    "embedded.server.unresponsive", server=self._name, signal=number.name, waited_seconds=patience
                )
        finally:
            _send(self._process, signal.SIGKILL)


async def run_program(
    command: Sequence[str | Path],
    *,
    folder: Path,
    user: ServiceUser | None = None,
    environ: Mapping[str, str] | None = None,
    text: str = "",
    timeout_seconds: float = 60,
) -> str:
    """Run a program to its end and return what it printed.

    Parameters
    ----------
    command : sequence of str or Path
        Program and arguments; never a secret, everybody can read them.
    folder : Path
        Working directory.
    user : ServiceUser, optional
        Whom to run it as; ourselves when not given.
    environ : mapping of str to str, optional
        Added to a bare environment.
    text : str
        Its standard input.
    timeout_seconds : float
        After that it is killed.

    Raises
    ------
    ServerStartError
        It failed or took too long; the message ends with its output.
    """
    arguments = [str(part) for part in command] if user is None else _launched(command, user, signal.SIGKILL)
    process = await asyncio.create_subprocess_exec(
        *arguments,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        cwd=folder,
        env={**_BARE_ENVIRONMENT, **(environ or {})},
        start_new_session=True,
    )
    name = Path(command[0]).name
    try:
        async with asyncio.timeout(timeout_seconds):
            printed, _ = await process.communicate(text.encode())
    except TimeoutError:
        raise ServerStartError(f"{name} did not finish within {timeout_seconds:.0f} s") from None
    finally:
        if process.returncode is None:
            # The group: initdb has children.
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
    output = printed.decode(errors="replace").strip()
    if process.returncode:
        raise ServerStartError(f"{name} failed with status {process.returncode}: {output[-2000:]}")
    return output


def _launched(command: Sequence[str | Path], user: ServiceUser, death_signal: signal.Signals) -> list[str]:
    settled = (os.getpid(), int(death_signal), user.uid, user.gid)
    return [sys.executable, "-I", "-S", launch.__file__, *map(str, settled), *map(str, command)]


def _send(process: asyncio.subprocess.Process, number: signal.Signals) -> None:
    if process.returncode is None:
        with suppress(ProcessLookupError):
            process.send_signal(number)
