"""`nadia up` starts, is the only one on its home, survives kills, and stops without a trace."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from support.eventually import eventually
from support.installation import nadia_up, newcomers_environment
from support.servers import short_folder

pytestmark = pytest.mark.e2e


async def test_a_second_one_on_the_same_home_is_refused_with_the_owners_pid() -> None:
    with short_folder() as base:
        async with nadia_up(base) as first:
            second = await asyncio.to_thread(
                subprocess.run,
                [sys.executable, "-m", "nadia", "up"],
                env=newcomers_environment(base),
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )

    assert second.returncode == 4
    assert str(first.child.pid) in second.stderr
    assert "hint:" in second.stderr


@pytest.mark.parametrize("asked", [signal.SIGINT, signal.SIGTERM])
async def test_it_stops_in_order_and_leaves_no_child(asked: signal.Signals) -> None:
    with short_folder() as base:
        async with nadia_up(base) as nadia:
            children = psutil.Process(nadia.child.pid).children(recursive=True)
            assert children, "the servers are its children"
            nadia.child.send_signal(asked)
            await asyncio.wait_for(nadia.child.wait(), 20)

    assert not [child for child in children if child.is_running()]


async def test_after_kill_9_the_next_start_takes_over_at_once_with_everything_in_place() -> None:
    with short_folder() as base:
        environment = newcomers_environment(base)
        async with nadia_up(base, environment) as first:
            children = psutil.Process(first.child.pid).children(recursive=True)
            await eventually(lambda: owned(base) == 1, what="acting for the account")
            os.kill(first.child.pid, signal.SIGKILL)
            await first.child.wait()
            await eventually(lambda: not any(child.is_running() for child in children), what="the end of the servers")
        async with nadia_up(base, environment) as second:
            assert "login-link" in second.said, "somebody has an account already"
            # Without waiting for the lease of the dead process, which lasts 30 s and a grace of 10 s.
            await eventually(lambda: owned(base) == 2, within=10, what="acting for the account again")


def owned(base: Path) -> int:
    return (base / "up.log").read_text().count("account.owned")


async def test_commands_that_need_a_running_nadia_say_so_with_exit_code_3() -> None:
    with short_folder() as base:
        for command in (["login-link"], ["account", "list"], ["pause", "sending"], ["db", "check"]):
            ended = await asyncio.to_thread(
                subprocess.run,
                [sys.executable, "-m", "nadia", *command],
                env=newcomers_environment(base),
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
            assert ended.returncode == 3, (command, ended.stderr)
            assert "nadia up" in ended.stderr
