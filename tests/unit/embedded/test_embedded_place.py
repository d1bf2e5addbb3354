"""Where the servers' files go, depending on who starts them and what that user can reach."""

import os
import shutil
import stat
from pathlib import Path

import pytest

from nadia.embedded.errors import HomeError
from nadia.embedded.place import Place
from nadia.embedded.service_user import ServiceUser
from support.servers import short_folder

STRANGER = ServiceUser(name="stranger", uid=54321, gid=54321)
OURSELVES = ServiceUser(name="we", uid=os.geteuid(), gid=os.getegid())

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root starts servers as another user")


def closed_home(base: Path, name: str = "home") -> Path:
    home = base / name
    home.mkdir(mode=0o700)
    return home


def test_an_ordinary_users_servers_live_in_the_home(tmp_path: Path) -> None:
    home = closed_home(tmp_path)
    assert Place.locate(home=home, user=OURSELVES).path == home / "servers"


def test_a_home_closed_to_the_servers_user_moves_the_files_out_and_says_where() -> None:
    with short_folder() as base:
        home, shared = closed_home(base), base / "shared"
        place = Place.locate(home=home, user=STRANGER, shared=shared)
        place.ensure()
        assert place.path.parent == shared
        assert (home / "servers.location").read_text().strip() == str(place.path)
        assert stat.S_IMODE(place.path.stat().st_mode) == 0o711


def test_a_home_open_to_the_servers_user_keeps_the_files() -> None:
    with short_folder() as base:
        home = closed_home(base)
        home.chmod(0o711)
        assert Place.locate(home=home, user=STRANGER, shared=base / "shared").path == home / "servers"


def test_a_moved_home_keeps_its_servers_files() -> None:
    with short_folder() as base:
        home = closed_home(base)
        place = Place.locate(home=home, user=STRANGER, shared=base / "shared")
        place.ensure()
        moved = home.rename(base / "moved")
        found = Place.locate(home=moved, user=STRANGER, shared=base / "shared")
        found.ensure()
        assert found.path == place.path
        assert (place.path / "home").read_text().strip() == str(moved)


def test_a_copied_home_does_not_share_the_originals_files() -> None:
    with short_folder() as base:
        home = closed_home(base)
        Place.locate(home=home, user=STRANGER, shared=base / "shared").ensure()
        copy = Path(shutil.copytree(home, base / "copy"))
        with pytest.raises(HomeError, match="is a copy of"):
            Place.locate(home=copy, user=STRANGER, shared=base / "shared")


def test_a_home_that_was_removed_and_made_anew_starts_empty_and_keeps_the_old_files() -> None:
    with short_folder() as base:
        home, shared = closed_home(base), base / "shared"
        place = Place.locate(home=home, user=STRANGER, shared=shared)
        place.ensure()
        (place.path / "data").touch()
        shutil.rmtree(home)
        closed_home(base)
        again = Place.locate(home=home, user=STRANGER, shared=shared)
        again.ensure()
        again.ensure()
        assert again.path == place.path
        assert not (again.path / "data").exists()
        (old,) = shared.glob("*.set-aside-*")
        assert (old / "data").exists()


def test_files_in_a_home_that_was_closed_later_are_not_forgotten() -> None:
    with short_folder() as base:
        home = closed_home(base)
        home.chmod(0o711)
        Place.locate(home=home, user=STRANGER).ensure()
        home.chmod(0o700)
        with pytest.raises(HomeError, match="can no longer enter"):
            Place.locate(home=home, user=STRANGER)


def test_erasing_takes_the_files_and_the_note_and_leaves_the_home() -> None:
    with short_folder() as base:
        home = closed_home(base)
        place = Place.locate(home=home, user=STRANGER, shared=base / "shared")
        place.ensure()
        place.erase()
        place.erase()
        assert list((base / "shared").iterdir()) == []
        assert list(home.iterdir()) == []


def test_a_deep_home_gets_sockets_with_a_short_name(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 60) / ("e" * 60)
    deep.mkdir(parents=True)
    place = Place.locate(home=deep, user=OURSELVES)
    place.ensure()
    folder = place.ensure_socket_folder()
    try:
        assert len(os.fsencode(folder / ".s.PGSQL.5432")) <= 100
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert folder == Place.locate(home=deep, user=OURSELVES).socket_folder
    finally:
        place.erase()
    assert not folder.exists()


def test_a_folder_planted_under_our_name_is_refused(tmp_path: Path) -> None:
    target = tmp_path / "elsewhere"
    target.mkdir()
    (tmp_path / "run").symlink_to(target)
    with pytest.raises(HomeError, match="is not a folder of"):
        OURSELVES.make_folder(tmp_path / "run")


@as_root
def test_a_strangers_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    os.chown(tmp_path / "run", 12345, 12345)
    with pytest.raises(HomeError, match="is not a folder of"):
        STRANGER.make_folder(tmp_path / "run")


def test_a_folder_left_open_is_closed_again(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir(mode=0o755)
    assert stat.S_IMODE(OURSELVES.make_folder(tmp_path / "run").stat().st_mode) == 0o700


@as_root
def test_private_files_belong_to_the_servers_user_alone(tmp_path: Path) -> None:
    STRANGER.write_private(tmp_path / "file", "text")
    status = (tmp_path / "file").stat()
    assert (status.st_uid, stat.S_IMODE(status.st_mode)) == (STRANGER.uid, 0o600)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@as_root
def test_root_never_chooses_itself() -> None:
    assert ServiceUser.resolve().name == "nobody"
    with pytest.raises(HomeError, match="does not run as root"):
        ServiceUser.resolve("root")
    with pytest.raises(HomeError, match="no such user"):
        ServiceUser.resolve("no-such-user-here")


def test_a_program_below_a_closed_folder_is_out_of_reach() -> None:
    with short_folder() as base:
        closed = closed_home(base)
        program = closed / "program"
        program.touch(mode=0o755)
        assert not STRANGER.may_run(program)
        closed.chmod(0o711)
        assert STRANGER.may_run(program)
        program.chmod(0o700)
        assert not STRANGER.may_run(program)
