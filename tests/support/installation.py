"""`nadia up`, as a newcomer runs it: one process, a home, and what it prints."""

import asyncio
import os
import re
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path


@dataclass
class RunningInstallation:
    """What `nadia up` said when it was ready."""

    child: asyncio.subprocess.Process
    said: str

    @property
    def url(self) -> str:
        """Where the pages are."""
        found = re.search(r"(http://127\.0\.0\.1:\d+)/desk", self.said)
        assert found, self.said
        return found[1]

    @property
    def login_link(self) -> str:
        """The one-time link."""
        found = re.search(r"http://\S+/login#token=\S+", self.said)
        assert found, self.said
        return found[0]


def newcomers_environment(base: Path, **settings: str) -> dict[str, str]:
    """An environment with nothing in it but a PATH and a home of its own."""
    home = base / "home"
    home.mkdir(mode=0o711, exist_ok=True)
    return {"PATH": os.environ["PATH"], "HOME": str(base), "NADIA_HOME": str(home), "NADIA_WEB_PORT": "0", **settings}


@asynccontextmanager
async def nadia_up(base: Path, environment: Mapping[str, str] | None = None) -> AsyncIterator[RunningInstallation]:
    """Run `nadia up` below a folder until the end of the block, then stop it as Ctrl-C does."""
    with (base / "up.log").open("ab") as log:
        child = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "nadia",
            "up",
            cwd=base,
            env=environment or newcomers_environment(base),
            stdout=asyncio.subprocess.PIPE,
            stderr=log,
        )
    assert child.stdout is not None
    try:
        said = await asyncio.wait_for(child.stdout.readuntil(b"Ctrl-C stops it.\n"), 60)
        yield RunningInstallation(child=child, said=said.decode())
    finally:
        if child.returncode is None:
            child.terminate()
        rest, _ = await asyncio.wait_for(child.communicate(), 30)
    was_killed = child.returncode == -signal.SIGKILL
    assert was_killed or child.returncode == 0, rest.decode() + (base / "up.log").read_text()[-2_000:]
