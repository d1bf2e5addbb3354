"""Which servers and files a process uses follows from its settings and its home."""

from pathlib import Path

import pytest

from nadia.app import texts
from nadia.app.endpoints import Endpoints
from nadia.app.texts import OperatorFiles
from nadia.errors import ConfigurationError
from nadia.settings import Config
from nadia.telegram.sandbox.address import SOCKET_PATH_LIMIT, UnixAddress


def config(home: Path, **settings: str) -> Config:
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    return Config.from_env({"NADIA_HOME": str(home), **settings}, dotenv=None)


def test_what_is_configured_is_not_embedded(tmp_path: Path) -> None:
    both = Endpoints.of(config(tmp_path))
    assert both.embedded == ("postgres", "redis")

    only_redis = Endpoints.of(config(tmp_path, DATABASE_URL="postgresql://nadia:secret@db/nadia"))
    assert only_redis.embedded == ("redis",)
    assert only_redis.postgres == only_redis.postgres_owner == "postgresql://nadia:secret@db/nadia"
    assert "secret" not in repr(only_redis)


def test_a_home_with_a_long_name_has_its_sandbox_at_a_short_address(tmp_path: Path) -> None:
    long_home = tmp_path / ("a" * 90)
    first, second = (Endpoints.of(config(long_home)).sandbox for _ in range(2))

    assert isinstance(first, UnixAddress)
    assert len(str(first)) <= SOCKET_PATH_LIMIT
    assert first == second, "every process of the home finds it"
    assert first != Endpoints.of(config(tmp_path / ("b" * 90))).sandbox


def test_the_operators_copies_are_laid_out_once_and_read_when_they_change(tmp_path: Path) -> None:
    settings = config(tmp_path)
    texts.lay_out(settings)
    mine = texts.folder(settings) / "disclosure.txt"
    mine.write_text("A machine drafts, a person decides.\n")
    texts.lay_out(settings)
    files = OperatorFiles.of(settings)

    assert files.disclosure() == "A machine drafts, a person decides."
    mine.write_text("Drafted by an AI, read by us before it goes out.")
    assert files.disclosure() == "Drafted by an AI, read by us before it goes out."
    assert "AI assistant" in files.persona()


@pytest.mark.parametrize(
    ("content", "says"), [(b"", "holds no text"), (b"\xff\xfe\x00", "not UTF-8"), (b"x" * 5000, "longer than")]
)
def test_a_disclosure_that_cannot_be_used_is_named(tmp_path: Path, content: bytes, says: str) -> None:
    mine = tmp_path / "mine.txt"
    mine.write_bytes(content)
    files = OperatorFiles.of(config(tmp_path / "home", NADIA_DRAFTING_DISCLOSURE_FILE=str(mine)))

    with pytest.raises(ConfigurationError, match=says) as refused:
        files.disclosure()
    assert "mine.txt" in refused.value.message
