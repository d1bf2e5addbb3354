"""Asking the person at this terminal what a log-in to Telegram needs."""

import asyncio
import getpass
import shutil
import signal
import sys
from asyncio.subprocess import PIPE
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from nadia.cli.output import point_out
from nadia.errors import RefusedError


class Terminal:
    """Asks on standard error, and reads the answers from standard input; a password is not shown."""

    async def phone(self) -> str:
        """Ask for the number."""
        return _ask("Phone number, with country code: ")

    async def code(self, *, where: str) -> str:
        """Ask for the code."""
        return _ask(f"Code that Telegram has sent {where}: ")

    async def password(self, *, hint: str | None) -> str:
        """Ask for the password of two-step verification."""
        remark = f" (hint: {hint})" if hint and hint.isprintable() else ""
        return _ask(f"Password of two-step verification{remark}: ", hidden=True)

    async def tell(self, sentence: str) -> None:
        """Say something."""
        print(sentence, file=sys.stderr)

    async def show_link(self, link: str) -> None:
        """Print the link, and draw it where the machine has a program that does."""
        print("In Telegram on your phone: Settings, Devices, Link Desktop Device; then scan", file=sys.stderr)
        if drawer := shutil.which("qrencode"):
            # Through its standard input: anybody may read a command line.
            drawing = await asyncio.create_subprocess_exec(drawer, "-t", "UTF8", stdin=PIPE, stdout=PIPE)
            drawn, _ = await drawing.communicate(link.encode("ascii"))
            print(drawn.decode(errors="replace"))
        else:
            point_out(
                "install `qrencode` to see the code here, or draw this link on this machine; it lives half a minute"
            )
        print(link, flush=True)


def _ask(prompt: str, *, hidden: bool = False) -> str:
    """Read one line; meanwhile nothing else goes on, which is fine: nothing else has to.

    Raises
    ------
    RefusedError
        If standard input has ended.
    """
    with _interruptible(), suppress(EOFError):
        if hidden and sys.stdin.isatty():
            return getpass.getpass(prompt, stream=sys.stderr)
        print(prompt, end="", file=sys.stderr, flush=True)
        if line := sys.stdin.readline():
            return line.rstrip("\r\n")
    raise RefusedError("nobody answers: standard input has ended", hint="run this on a terminal")


@contextmanager
def _interruptible() -> Iterator[None]:
    """Let Ctrl-C end a question: asyncio would make a cancellation of it, which waits until somebody has answered."""
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
