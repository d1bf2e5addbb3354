"""What `make` says on a machine that cannot run NADIA, and that it leaves alone what need not change."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
TOOLS = ("sh", "dirname", "cat")


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """A folder that is all of PATH: a shell, and the interpreters that a test puts there."""
    for tool in TOOLS:
        found = shutil.which(tool)
        assert found is not None
        (tmp_path / tool).symlink_to(found)
    return tmp_path


def put(path: Path, script: str) -> None:
    path.write_text(f"#!{shutil.which('sh')}\n{script}\n")
    path.chmod(0o755)


def old_python(path: Path) -> None:
    put(path, 'if [ "$1" = --version ]; then echo "Python 3.8.10"; else exit 1; fi')


def python_without_venv(path: Path) -> None:
    put(path, f'case "$2" in *ensurepip*) exit 1;; *) exec {sys.executable} "$@";; esac')


def make_environment(machine: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(machine / "sh"), str(ROOT / "scripts" / "environment.sh"), "runtime"],
        env={"PATH": str(machine), "HOME": str(machine), **environ},
        capture_output=True,
        text=True,
        check=False,
    )


def test_an_old_python_is_named_with_the_remedy(machine: Path) -> None:
    old_python(machine / "python3")

    result = make_environment(machine)

    assert result.returncode == 2
    assert result.stderr.splitlines()[0] == "error: NADIA needs Python 3.11 or newer; found Python 3.8.10"
    assert result.stderr.splitlines()[1].startswith("hint: Debian, Ubuntu: apt install python3")


def test_no_python_at_all_is_said_so(machine: Path) -> None:
    result = make_environment(machine)

    assert result.returncode == 2
    assert "found no Python" in result.stderr


def test_a_python_without_venv_names_the_package(machine: Path) -> None:
    python_without_venv(machine / "python3")

    result = make_environment(machine)

    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    assert result.returncode == 2
    assert "has no venv module" in result.stderr
    assert f"apt install python{version}-venv" in result.stderr


def test_a_chosen_python_that_is_too_old_is_refused(machine: Path) -> None:
    old_python(machine / "ancient")

    result = make_environment(machine, PYTHON=str(machine / "ancient"))

    assert result.returncode == 2
    assert "is not a working Python 3.11 or newer" in result.stderr


class Checkout:
    """A copy of what the script reads, with an environment whose interpreter only writes down what it is asked."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for name in ("pyproject.toml", "requirements.lock", "requirements-dev.lock"):
            shutil.copy(ROOT / name, root / name)
        shutil.copytree(ROOT / "scripts", root / "scripts")
        self.calls = root / "calls"
        (root / ".venv" / "bin").mkdir(parents=True)
        put(root / ".venv" / "bin" / "python", f'echo "$@" >> {self.calls}')

    def make(self, kind: str) -> list[str]:
        """Run the script; return what the environment's interpreter was asked beyond showing that it lives."""
        self.calls.write_text("")
        command = [sys.executable, str(self.root / "scripts" / "environment.py"), kind]
        subprocess.run(command, env={"PATH": str(self.root)}, capture_output=True, check=True)
        return [line for line in self.calls.read_text().splitlines() if line.startswith("-m pip install")]


def test_an_environment_that_is_current_is_left_alone(tmp_path: Path) -> None:
    checkout = Checkout(tmp_path)

    first = checkout.make("dev")

    assert ["--require-hashes" in call for call in first] == [True, False]
    assert "--no-build-isolation" in first[1]
    assert checkout.make("dev") == []
    assert checkout.make("runtime") == [], "the development lock holds everything of the runtime lock"


def test_a_changed_lock_is_installed_once(tmp_path: Path) -> None:
    checkout = Checkout(tmp_path)
    checkout.make("runtime")
    with (tmp_path / "requirements.lock").open("a") as lock:
        lock.write("# changed\n")

    calls = checkout.make("runtime")

    assert len(calls) == 1
    assert calls[0].endswith(str(tmp_path / "requirements.lock"))
    assert checkout.make("runtime") == []


def test_a_failed_installation_is_repeated(tmp_path: Path) -> None:
    checkout = Checkout(tmp_path)
    python = tmp_path / ".venv" / "bin" / "python"
    working = python.read_text()
    put(python, 'case "$*" in *requirements*) exit 1;; esac')
    with pytest.raises(subprocess.CalledProcessError):
        checkout.make("runtime")
    python.write_text(working)

    assert "--require-hashes" in checkout.make("runtime")[0]


def test_the_development_lock_holds_the_versions_of_the_runtime_lock() -> None:
    def versions(name: str) -> set[str]:
        lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
        return {line.removesuffix(" \\") for line in lines if line and line[0].isalnum()}

    assert versions("requirements.lock") - versions("requirements-dev.lock") == set()


def test_the_lock_files_name_no_package_index() -> None:
    for name in ("requirements.lock", "requirements-dev.lock"):
        text = (ROOT / name).read_text(encoding="utf-8")
        assert "--index-url" not in text
        assert "://" not in text
