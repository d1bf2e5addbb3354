"""The data folder: where it is, who owns it now, its secrets."""

import fcntl
import os
import signal
import stat
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from nadia.embedded.errors import HomeError, HomeInUseError
from nadia.embedded.home import Home


@contextmanager
def another_process_holding(home: Path) -> Iterator["subprocess.Popen[str]"]:
    code = """
        import signal, sys
        from pathlib import Path
        from nadia.embedded.home import Home
        with Home(path=Path(sys.argv[1])).lock():
            print("locked", flush=True)
            signal.pause()
    """
    command = [sys.executable, "-c", textwrap.dedent(code), str(home)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "locked\n"
            yield process
        finally:
            process.kill()


def test_a_chosen_home_wins_over_the_platforms_place() -> None:
    assert Home.from_env({"NADIA_HOME": "/srv/n", "XDG_DATA_HOME": "/x", "HOME": "/h"}).path == Path("/srv/n")


@pytest.mark.skipif(sys.platform == "darwin", reason="macOS has a place of its own")
@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"HOME": "/h"}, "/h/.local/share/nadia"),
        ({"HOME": "/h", "XDG_DATA_HOME": "/data"}, "/data/nadia"),
        ({"HOME": "/h", "XDG_DATA_HOME": "relative"}, "/h/.local/share/nadia"),
        ({"HOME": "/h", "NADIA_HOME": ""}, "/h/.local/share/nadia"),
    ],
)
def test_the_default_home_follows_the_xdg_specification(environ: dict[str, str], expected: str) -> None:
    assert Home.from_env(environ).path == Path(expected)


def test_a_new_home_is_closed_to_others(tmp_path: Path) -> None:
    home = Home(path=tmp_path / "a" / "b")
    assert stat.S_IMODE(home.ensure().stat().st_mode) == 0o700


def test_a_home_that_others_can_write_to_is_refused_with_the_remedy(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    with pytest.raises(HomeError) as refused:
        Home(path=tmp_path).ensure()
    assert refused.value.hint == f"chmod 700 {tmp_path}"


def test_a_home_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(HomeError, match="cannot be used"):
        Home(path=tmp_path / "file").ensure()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make another user's folder")
def test_another_users_home_is_refused(tmp_path: Path) -> None:
    home = Home(path=tmp_path)
    home.secret("one")
    os.chown(tmp_path / "secrets", 12345, 12345)
    with pytest.raises(HomeError, match="set up by user 12345"):
        home.secret("one")


def test_a_second_owner_is_refused_and_told_the_first_ones_pid(tmp_path: Path) -> None:
    with another_process_holding(tmp_path) as owner:
        with pytest.raises(HomeInUseError) as refused, Home(path=tmp_path).lock():
            pass
        assert refused.value.pid == owner.pid
        assert str(owner.pid) in refused.value.message
        assert "NADIA_HOME" in (refused.value.hint or "")
        assert Home(path=tmp_path).owner_pid() == owner.pid


def test_a_killed_owner_leaves_nothing_that_blocks_the_next(tmp_path: Path) -> None:
    with another_process_holding(tmp_path) as owner:
        owner.send_signal(signal.SIGKILL)
        owner.wait()
        assert (tmp_path / "nadia.pid").read_text() == f"{owner.pid}\n"
        assert Home(path=tmp_path).owner_pid() is None
        with Home(path=tmp_path).lock():
            assert (tmp_path / "nadia.pid").read_text() == f"{os.getpid()}\n"


def test_somebody_asking_for_the_owner_does_not_keep_a_start_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = Home(path=tmp_path)
    with home.lock():
        pass
    asking = os.open(tmp_path / "nadia.pid", os.O_RDONLY)
    fcntl.flock(asking, fcntl.LOCK_SH)
    monkeypatch.setattr(time, "sleep", lambda _: os.close(asking))
    with home.lock():
        assert home.owner_pid() == os.getpid()


def test_one_home_object_may_lock_again_and_frees_the_folder_with_the_last(tmp_path: Path) -> None:
    home, other = Home(path=tmp_path), Home(path=tmp_path)
    with home.lock():
        with home.lock():
            pass
        with pytest.raises(HomeInUseError), other.lock():
            pass
    with other.lock():
        assert home.owner_pid() == os.getpid()


def test_a_secret_is_made_once_and_only_its_owner_may_read_it(tmp_path: Path) -> None:
    first = Home(path=tmp_path).secret("redis")
    assert Home(path=tmp_path).secret("redis") == first
    assert len(first) == 43
    assert stat.S_IMODE((tmp_path / "secrets").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "secrets" / "redis").stat().st_mode) == 0o600
    assert Home(path=tmp_path).secret("other") != first


def test_processes_that_create_a_secret_at_once_get_the_same(tmp_path: Path) -> None:
    code = """
        import sys
        from pathlib import Path
        from nadia.embedded.home import Home
        sys.stdin.readline()
        print(Home(path=Path(sys.argv[1])).secret("shared"))
    """
    command = [sys.executable, "-c", textwrap.dedent(code), str(tmp_path)]
    processes = [subprocess.Popen(command, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        answers = set(pool.map(lambda process: process.communicate("go\n")[0], processes))
    assert answers == {f"{Home(path=tmp_path).secret('shared')}\n"}
    assert [path.name for path in (tmp_path / "secrets").iterdir()] == ["shared"]


def test_an_emptied_secret_is_reported_not_used(tmp_path: Path) -> None:
    home = Home(path=tmp_path)
    home.secret("redis")
    (tmp_path / "secrets" / "redis").write_text("")
    with pytest.raises(HomeError, match="is empty"):
        home.secret("redis")


@pytest.mark.parametrize("name", ["../x", "", "A", ".hidden"])
def test_a_secrets_name_cannot_leave_the_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="not a secret's name"):
        Home(path=tmp_path).secret(name)
