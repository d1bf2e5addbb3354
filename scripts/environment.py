"""Make the project's virtual environment, or leave it alone when the lock file has not changed.

Run through ``scripts/environment.sh``, which finds the interpreter. Uses the standard library only. A file lock makes
makes that run at once wait for each other; the stamp is written last, so that an interrupted installation is repeated.
"""

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
STAMP = VENV / "nadia-environment.json"
GUARD = ROOT / ".venv.lock"
LOCKS = {"runtime": ROOT / "requirements.lock", "dev": ROOT / "requirements-dev.lock"}
# The development lock holds everything of the runtime lock at the same versions.
ALSO = {"runtime": ("runtime",), "dev": ("dev", "runtime")}

Stamp = dict[str, str]


def main(kind: str) -> None:
    """Bring the environment to the state that ``kind`` (runtime or dev) asks for."""
    with GUARD.open("w") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        stamp = usable_stamp()
        if stamp.get(kind) != digest(LOCKS[kind].read_bytes()):
            stamp = install_packages(kind, stamp)
        if stamp.get("project") != project_digest():
            install_project(stamp)


def usable_stamp() -> Stamp:
    """Read what was installed; an environment that was moved or whose interpreter went away counts as absent."""
    if subprocess.run([PYTHON, "-c", ""], capture_output=True, check=False).returncode if PYTHON.exists() else True:
        create()
        return {}
    try:
        stamp: Stamp = json.loads(STAMP.read_text())
    except (OSError, ValueError):
        return {}
    if stamp.get("location") != str(VENV):
        create()
        return {}
    return stamp


def create() -> None:
    """Make an empty environment, in place of whatever stands there."""
    say(f"making .venv with Python {sys.version.split()[0]}")
    if uv := find_uv():
        run([uv, "venv", "--quiet", "--clear", "--no-project", "--python", sys.executable, VENV])
    else:
        run([sys.executable, "-m", "venv", "--clear", VENV])


def install_packages(kind: str, stamp: Stamp) -> Stamp:
    """Install exactly what the lock file says."""
    STAMP.unlink(missing_ok=True)
    tool = installer()
    say(f"installing the packages of {LOCKS[kind].name} with {'uv' if find_uv() else 'pip'} (once per change of it)")
    run([*tool, "--require-hashes", "-r", LOCKS[kind]])
    stamp = {**stamp, **{name: digest(LOCKS[name].read_bytes()) for name in ALSO[kind]}}
    return write(stamp)


def install_project(stamp: Stamp) -> Stamp:
    """Install the project itself, editable; its build backend is in the lock, so nothing is fetched."""
    STAMP.unlink(missing_ok=True)
    run([*installer(), "--no-deps", "--no-build-isolation", "--editable", ROOT])
    return write({**stamp, "project": project_digest()})


def installer() -> list[str | Path]:
    """Return the command that installs into the environment."""
    if uv := find_uv():
        return [uv, "pip", "install", "--quiet", "--python", PYTHON]
    if subprocess.run([PYTHON, "-m", "pip", "--version"], capture_output=True, check=False).returncode:
        run([PYTHON, "-m", "ensurepip"])  # made by uv, which is gone now
    return [PYTHON, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-warn-script-location"]


def project_digest() -> str:
    """Return a digest of what an editable installation depends on: the metadata, not the code."""
    metadata = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    parts = [metadata["build-system"], metadata["project"], metadata["tool"]["hatch"]]
    return digest(json.dumps(parts, sort_keys=True).encode())


def find_uv() -> str | None:
    """Return the path of uv, if it is on PATH."""
    return shutil.which("uv")


def write(stamp: Stamp) -> Stamp:
    """Record what is installed, in one step."""
    stamp = {**stamp, "location": str(VENV)}
    draft = STAMP.with_suffix(".new")
    draft.write_text(json.dumps(stamp, indent=2))
    draft.replace(STAMP)
    return stamp


def digest(content: bytes) -> str:
    """Return the SHA-256 of some bytes, as hex."""
    return hashlib.sha256(content).hexdigest()


def run(command: list[str | Path]) -> None:
    """Run a command; its own words are the explanation when it fails."""
    # Companies have certificate authorities of their own in the system's store, which uv ignores unless told.
    environment = {**os.environ, "UV_SYSTEM_CERTS": "1", "PYTHONWARNINGS": ""}
    result = subprocess.run(command, env=environment, check=False)
    if result.returncode:
        say(f"error: {Path(command[0]).name} failed; the environment is left as it is and made again next time")
        sys.exit(result.returncode)


def say(text: str) -> None:
    """Tell what takes the time."""
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    try:
        main(sys.argv[1])
    except KeyboardInterrupt:
        sys.exit(130)
