"""The `nadia` command on a terminal of its own, as somebody who types sees it."""

import asyncio
import fcntl
import os
import pty
import signal
import sys
import termios
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path


class Terminal:
    """A pseudo-terminal with a command running on it.

    Parameters
    ----------
    fd : int
        The side that a person has.
    child : asyncio.subprocess.Process
        The command.
    """

    def __init__(self, *, fd: int, child: asyncio.subprocess.Process) -> None:
        self._fd = fd
        self._child = child
        self._read_up_to = 0
        self._changed = asyncio.Event()
        self.screen = ""
        """Everything that was shown so far, what was typed and echoed included."""
        asyncio.get_running_loop().add_reader(fd, self._read)

    async def expect(self, text: str, *, within: float = 30) -> None:
        """Wait until a text is shown that comes after what was waited for before."""
        async with asyncio.timeout(within):
            try:
                while (found := self.screen.find(text, self._read_up_to)) < 0:
                    self._changed.clear()
                    await self._changed.wait()
            except asyncio.CancelledError:
                raise AssertionError(f"{text!r} was not shown after {self.screen!r}") from None
        self._read_up_to = found + len(text)

    def type(self, line: str) -> None:
        """Type a line."""
        os.write(self._fd, f"{line}\n".encode())

    def interrupt(self) -> None:
        """Press Ctrl-C."""
        os.write(self._fd, b"\x03")

    async def end(self, *, within: float = 30) -> int:
        """Wait for the command's end; its exit code."""
        async with asyncio.timeout(within):
            code = await self._child.wait()
        self._read()
        return code

    def close(self) -> None:
        """Take the terminal away."""
        asyncio.get_running_loop().remove_reader(self._fd)
        os.close(self._fd)

    def _read(self) -> None:
        try:
            while chunk := os.read(self._fd, 4096):
                self.screen += chunk.decode(errors="replace").replace("\r\n", "\n")
        except BlockingIOError:
            pass
        except OSError:  # the command has ended
            asyncio.get_running_loop().remove_reader(self._fd)
        self._changed.set()


@asynccontextmanager
async def nadia_on_a_terminal(*arguments: str, cwd: Path, environ: Mapping[str, str]) -> AsyncIterator[Terminal]:
    """Run one command on a terminal; killed in the end if it still runs."""
    ours, theirs = pty.openpty()
    os.set_blocking(ours, False)
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "nadia",
        *arguments,
        cwd=cwd,
        env={"PATH": os.environ["PATH"], "HOME": str(cwd), "TERM": "dumb", **environ},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )
    os.close(theirs)
    terminal = Terminal(fd=ours, child=child)
    try:
        yield terminal
    finally:
        if child.returncode is None:
            child.send_signal(signal.SIGKILL)
            await child.wait()
        terminal.close()
