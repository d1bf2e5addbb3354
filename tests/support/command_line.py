"""Run the `nadia` command as a person does: its own process, an environment of the test's making."""

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Outcome:
    """How a command ended."""

    code: int
    out: str
    err: str


def run_nadia(*arguments: str, cwd: Path, environ: Mapping[str, str] | None = None, timeout: float = 60) -> Outcome:
    """Run one command to its end in a folder, with nothing in the environment but PATH, HOME and what is given."""
    result = subprocess.run(
        [sys.executable, "-c", "import sys; from nadia.cli import main; sys.exit(main())", *arguments],
        cwd=cwd,
        env={"PATH": os.environ["PATH"], "HOME": str(cwd), **(environ or {})},
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    return Outcome(code=result.returncode, out=result.stdout, err=result.stderr)
