"""A sandbox as a process of its own, to be killed."""

import asyncio
import signal
import sys
from pathlib import Path

from nadia.telegram.sandbox.address import UnixAddress
from nadia.telegram.sandbox.server import SandboxServer


async def _serve(folder: Path) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with SandboxServer(address=UnixAddress(folder / "telegram.sock"), database=folder / "sandbox.db"):
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        await stop.wait()


async def start_sandbox_process(folder: Path) -> asyncio.subprocess.Process:
    """Start one on `folder` and wait until it listens."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, __file__, str(folder), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    assert process.stdout is not None
    async with asyncio.timeout(30):
        while (line := await process.stdout.readline()) != b"ready\n":
            assert line, "the sandbox process ended"
    return process


if __name__ == "__main__":
    asyncio.run(_serve(Path(sys.argv[1])))
