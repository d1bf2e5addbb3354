"""Print `nadia health --json`, from the project's own environment where there is one."""

import os
import sys
from pathlib import Path

own = Path(__file__).resolve().parents[1] / ".venv" / "bin" / "python"
python = str(own) if own.exists() else sys.executable
os.execv(python, [python, "-m", "nadia", "health", "--json", *sys.argv[1:]])
