"""`nadia daemon run`, or with --status `nadia daemon status`, from the project's own environment where there is one."""

import os
import sys
from pathlib import Path

own = Path(__file__).resolve().parents[1] / ".venv" / "bin" / "python"
python = str(own) if own.exists() else sys.executable
command, rest = ("status", sys.argv[2:]) if sys.argv[1:2] == ["--status"] else ("run", sys.argv[1:])
os.execv(python, [python, "-m", "nadia", "daemon", command, *rest])
