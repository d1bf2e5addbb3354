"""The key of the sessions: where it comes from, how it is kept, and that it shows itself nowhere."""

import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyrage
import pytest
from pydantic import SecretStr

from nadia.telegram.session_key import SessionKey, SessionKeyError, SessionKeySource


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "config" / "nadia" / "0123" / "session.key"


def in_file(path: Path) -> SessionKeySource:
    return SessionKeySource(given=None, path=path)


def identity() -> str:
    return str(pyrage.x25519.Identity.generate())


def written(path: Path, text: str, *, mode: int = 0o600) -> SessionKeySource:
    path.parent.mkdir(parents=True)
    path.write_text(text)
    path.chmod(mode)
    return in_file(path)


def test_the_first_log_in_makes_a_key_that_only_its_owner_may_read(path: Path) -> None:
    source = in_file(path)
    assert source.is_missing
    key = source.make()

    assert not source.is_missing
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert list(path.parent.iterdir()) == [path], "no draft is left"
    assert source.read().decrypt(key.encrypt(b"session")) == b"session"


def test_making_it_twice_keeps_the_first(path: Path) -> None:
    first = in_file(path).make()
    assert in_file(path).make().decrypt(first.encrypt(b"session")) == b"session"


def test_of_many_who_make_it_at_once_all_have_the_same(path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        keys = list(pool.map(lambda _: in_file(path).make(), range(32)))
    sealed = keys[0].encrypt(b"session")
    assert {key.decrypt(sealed) for key in keys} == {b"session"}


def test_a_key_of_age_keygens_is_read(path: Path) -> None:
    text = identity()
    source = written(path, f"# created: 2026-01-01\n# public key: age1…\n{text}\n")
    sealed = SessionKey(SecretStr(text), origin="test").encrypt(b"session")
    assert source.read().decrypt(sealed) == b"session"


def test_a_key_from_the_settings_is_used_and_no_file_is_looked_for(path: Path) -> None:
    source = SessionKeySource(given=SecretStr(identity()), path=path)
    assert not source.is_missing
    assert source.read().decrypt(source.read().encrypt(b"")) == b""
    assert not path.exists()


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o666, 0o610])
def test_a_key_that_others_may_read_is_refused_with_the_remedy(path: Path, mode: int) -> None:
    source = written(path, identity(), mode=mode)
    with pytest.raises(SessionKeyError, match="others may read") as caught:
        source.read()
    assert caught.value.hint == f"chmod 600 {path}"


def test_a_missing_key_is_said_with_where_to_take_it_from(path: Path) -> None:
    with pytest.raises(SessionKeyError, match="is missing") as caught:
        in_file(path).read()
    assert "NADIA_TELEGRAM_SESSION_KEY_FILE" in str(caught.value.hint)


@pytest.mark.parametrize(
    "text", ["", "\n\n", "hello", "AGE-SECRET-KEY-1SHORT", "{0}\n{0}", "{0}x", "\x00\xff", "a" * 10_000]
)
def test_what_is_no_key_is_refused_without_being_shown(path: Path, text: str) -> None:
    text = text.format(identity())
    source = written(path, text)
    with pytest.raises(SessionKeyError, match="does not hold an age identity") as caught:
        source.read()
    assert not text.strip() or text.strip() not in f"{caught.value}{caught.value.hint}"
    assert caught.value.__cause__ is None


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "config").write_text("a file")
    with pytest.raises(SessionKeyError, match="cannot be kept"):
        in_file(tmp_path / "config" / "session.key").make()


def test_a_key_that_is_a_folder_is_said(path: Path) -> None:
    path.mkdir(parents=True)
    with pytest.raises(SessionKeyError, match="cannot be read"):
        in_file(path).read()


def test_another_key_does_not_open_a_session() -> None:
    sealed = SessionKey(SecretStr(identity()), origin="one").encrypt(b"session")
    with pytest.raises(SessionKeyError, match="encrypted with another key than two") as caught:
        SessionKey(SecretStr(identity()), origin="two").decrypt(sealed)
    assert "log in again" in str(caught.value.hint)


@pytest.mark.parametrize("damage", [b"", b"nonsense", b"age-encryption.org/v1\n"])
def test_a_damaged_session_is_told_from_a_wrong_key(damage: bytes) -> None:
    with pytest.raises(SessionKeyError, match="damaged"):
        SessionKey(SecretStr(identity()), origin="one").decrypt(damage)


def test_a_session_with_one_byte_changed_is_refused() -> None:
    key = SessionKey(SecretStr(identity()), origin="one")
    sealed = bytearray(key.encrypt(b"session" * 50))
    sealed[-1] ^= 1
    with pytest.raises(SessionKeyError):
        key.decrypt(bytes(sealed))


def test_a_key_shows_itself_nowhere() -> None:
    text = identity()
    key = SessionKey(SecretStr(text), origin="one")
    source = SessionKeySource(given=SecretStr(text), path=Path(os.devnull))
    assert text not in f"{key!r}{key}{vars(key)}{source!r}{vars(source)}"
