"""The same servers for root, with files and programs that root alone can reach, and for an ordinary user."""

import asyncio
import json
import os
import shutil
import stat
import subprocess
import sys
import sysconfig
from pathlib import Path

import psutil
import psycopg
import pytest

import nadia
from nadia.embedded.binaries import find_postgres
from nadia.embedded.binary_copies import within_reach
from nadia.embedded.home import Home
from nadia.embedded.process import run_program
from nadia.embedded.servers import EmbeddedServers
from nadia.embedded.service_user import ServiceUser
from support import embedded_owner
from support.eventually import eventually
from support.server_processes import running_below
from support.servers import short_folder

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be both")


async def test_roots_servers_run_as_nobody_outside_a_closed_home() -> None:
    with short_folder() as base:
        home = base / "closed"
        servers = EmbeddedServers(home=Home(path=home), durable=False)
        place = servers.place.path
        async with servers:
            assert stat.S_IMODE(home.stat().st_mode) == 0o700
            assert place.parent == Path("/var/lib/nadia")
            assert (home / "servers.location").read_text().strip() == str(place)
            for pid in (servers.pid("postgres"), servers.pid("redis")):
                assert psutil.Process(pid).username() == "nobody"
            async with await psycopg.AsyncConnection.connect(servers.dsn()) as connection:
                await connection.execute("SELECT 1")
            with pytest.raises(RuntimeError, match="must be stopped"):
                await servers.erase()
        assert place.exists()
        await servers.erase()
        assert not place.exists()
        assert {path.name for path in home.iterdir()} == {"nadia.pid", "secrets"}


async def test_postgres_runs_from_a_copy_when_root_alone_reaches_the_original() -> None:
    user = ServiceUser.resolve()
    with short_folder() as base:
        original = find_postgres()
        closed = base / "closed"
        for part in original.parts:
            if (original.root / part).is_dir():
                shutil.copytree(original.root / part, closed / part, symlinks=True)
        closed.chmod(0o700)
        hidden = closed / original.path.relative_to(original.root)
        program = type(original)(path=hidden, root=closed, parts=original.parts)
        assert not user.may_run(program.path)
        reachable = within_reach(program, user=user, shared=base / "shared")
        work = user.make_folder(base / "work")
        options = ["--no-sync", "--auth=trust", "--username=anybody"]
        await run_program([reachable.path.with_name("initdb"), "-D", work / "data", *options], folder=work, user=user)
        assert (work / "data" / "PG_VERSION").read_text() == "18\n"


def a_python_for_everybody() -> str:
    user = ServiceUser.resolve()
    for candidate in (sys.executable, shutil.which("python3", path="/usr/bin:/usr/local/bin")):
        if candidate and user.may_run(Path(candidate)):
            version = subprocess.run([candidate, "-c", "import sys; print(*sys.version_info[:2])"], capture_output=True)
            if version.stdout.split() == [str(part).encode() for part in sys.version_info[:2]]:
                return candidate
    pytest.skip("no Python of this version that an ordinary user may run")


async def test_an_ordinary_users_servers_live_in_the_home_and_end_with_nadia() -> None:
    user = ServiceUser.resolve()
    python = a_python_for_everybody()
    packages, source = Path(sysconfig.get_path("purelib")), Path(nadia.__path__[0]).parent
    if not (user.may_enter(packages) and user.may_enter(source)):
        pytest.skip("an ordinary user cannot read the packages here")
    with short_folder() as base:
        user.make_folder(base / "theirs")
        for turn in (1, 2):
            process = await asyncio.create_subprocess_exec(
                python,
                embedded_owner.__file__,
                str(base / "theirs" / "home"),
                stdout=asyncio.subprocess.PIPE,
                env={"PYTHONPATH": f"{source}:{packages}", "PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1"},
                cwd=base,
                user=user.uid,
                group=user.gid,
                extra_groups=[],
            )
            try:
                assert process.stdout is not None
                ready = json.loads(await process.stdout.readline())
                assert Path(ready["place"]) == base / "theirs" / "home" / "servers"
                assert ready["user"] == user.uid
                async with await psycopg.AsyncConnection.connect(ready["dsn"]) as connection:
                    await connection.execute("SELECT 1")
                assert stat.S_IMODE((base / "theirs" / "home").stat().st_mode) == 0o700, turn
            finally:
                process.kill()
                await process.communicate()
            await eventually(lambda: running_below(base) == [], what="the end of the servers")
