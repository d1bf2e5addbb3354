"""Two daemon processes and their real jobs: the active one killed, frozen, and servers away under it."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import pytest

from nadia.workflows.run_history import RunOutcome, RunRecord
from support.core import until
from support.servers import redis_client, short_folder
from support.system import System, running_system

pytestmark = pytest.mark.e2e

SETTINGS = {
    "NADIA_DAEMON_HEALTH_SECONDS": "10",
    "NADIA_DAEMON_REDIS_SECONDS": "10",
    "NADIA_DAEMON_JITTER_SECONDS": "0",
    "NADIA_DAEMON_SETTLE_SECONDS": "0",
    "NADIA_DAEMON_LEASE_SECONDS": "3",
    "NADIA_DAEMON_LEASE_GRACE_SECONDS": "0.5",
    "NADIA_DAEMON_JOB_TIMEOUT_SECONDS": "20",
}


@asynccontextmanager
async def two_daemons(*roles: tuple[str, int]) -> AsyncIterator[System]:
    with short_folder() as base:
        async with running_system(base, roles=(*roles, ("daemon", 0)), settings=SETTINGS) as system:
            await until(lambda: _is_active(system, 0), within=30, what="the first daemon's election")
            await system.start("daemon", 1)
            yield system


async def records(system: System, job: str) -> list[RunRecord]:
    """What the history has, newest first, past the wire that may be cut."""
    async with redis_client(system.servers.redis) as redis:
        return [RunRecord.model_validate_json(text) for text in await redis.lrange(f"nadia:runs:{job}", 0, -1)]


async def begun_by(system: System, number: int) -> list[RunRecord]:
    """The health checks that a daemon has on record as the active one."""
    pid = f"/{system.processes['daemon', number].child.pid}/"
    return [one for one in await records(system, "health-check") if pid in one.by and one.elected and one.started_at]


def twice(found: Sequence[RunRecord]) -> list[RunRecord]:
    """Runs of one slot that more than one elected daemon began."""
    due = [record.due_at for record in found if record.elected and record.started_at is not None]
    return [record for record in found if due.count(record.due_at) > 1]


async def _is_active(system: System, number: int) -> bool:
    async with redis_client(system.servers.redis) as redis:
        text = await redis.get("nadia:daemon:status")
    state: dict[str, Any] = json.loads(text) if text else {}
    return bool(state.get("active")) and f"/{system.processes['daemon', number].child.pid}/" in state["by"]


async def _has_run(system: System, number: int, *, times: int = 1) -> bool:
    return len(await begun_by(system, number)) >= times


async def daemon_command(system: System, *words: str) -> tuple[int, str]:
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "nadia", "daemon", *words),
        env=dict(system.environment),
        cwd=system.base,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, _ = await asyncio.wait_for(child.communicate(), 30)
    assert child.returncode is not None
    return child.returncode, out.decode()


async def test_when_the_active_daemon_is_killed_another_takes_over_and_nothing_runs_twice() -> None:
    async with two_daemons() as system:
        await until(lambda: _has_run(system, 0), within=40, what="a run of the first daemon")
        system.processes["daemon", 0].kill()
        await system.processes["daemon", 0].child.wait()
        await until(lambda: _is_active(system, 1), within=20, what="the take-over")
        await until(lambda: _has_run(system, 1), within=60, what="a run of the second daemon")
        found = await records(system, "health-check")
        assert twice(found) == []
        assert {record.outcome for record in found} <= {RunOutcome.DONE, RunOutcome.INTERRUPTED, RunOutcome.MISSED}

        code, said = await daemon_command(system, "status")
        assert "The daemon is active" in said, said
        assert code in (0, 1)
        code, said = await daemon_command(system, "history", "health-check", "--json")
        assert code == 0
        assert [one["job"] for one in json.loads(said)] == ["health-check"] * len(json.loads(said))


async def test_a_daemon_frozen_past_its_lease_begins_nothing_when_it_goes_on() -> None:
    async with two_daemons() as system:
        await until(lambda: _has_run(system, 0), within=40, what="a run of the first daemon")
        system.processes["daemon", 0].freeze()
        await until(lambda: _is_active(system, 1), within=20, what="the take-over")
        before = len(await begun_by(system, 0))
        system.processes["daemon", 0].thaw()
        await until(lambda: _has_run(system, 1), within=60, what="a run of the second daemon")
        assert twice(await records(system, "health-check")) == []
        assert len(await begun_by(system, 0)) <= before + 1, "one that was under way may still come to its end"


async def test_servers_that_go_away_are_noticed_and_the_outside_watcher_is_told() -> None:
    async with two_daemons(("api", 0)) as system:
        await until(lambda: _has_run(system, 0), within=40, what="a run")
        assert await _beats(system) == httpx2.codes.OK
        await system.postgres_link.cut()
        await until(lambda: _is_silent(system), within=40, what="the silence of the heartbeat")

        async def unelected() -> bool:
            return any(not record.elected for record in await records(system, "health-check"))

        await until(unelected, within=60, what="a health check without election")
        assert "daemon.postgres_away" in system.log("daemon", 0)
        await system.postgres_link.mend()
        await until(lambda: _beats_again(system), within=60, what="the heartbeat")
        await system.redis_link.cut()
        await asyncio.sleep(3)
        await system.redis_link.mend()
        await until(lambda: _beats_again(system), within=60, what="the heartbeat")
        assert twice(await records(system, "health-check")) == []
        async with system.database() as database, database.connection() as conn:
            rows = await (await conn.execute("SELECT topic, labels, resolves FROM notices ORDER BY id")).fetchall()
        said = [(row["topic"], str(row["labels"]), row["resolves"]) for row in rows]
        assert len(said) == len(set(said)), "a thing is told of once"


async def _beats(system: System) -> int:
    async with httpx2.AsyncClient(base_url=system.web_url(), trust_env=False) as client:
        answer = await client.get("/heartbeat")
    assert answer.text in ("ok", "silent"), "nothing about why"
    return answer.status_code


async def _is_silent(system: System) -> bool:
    return await _beats(system) == httpx2.codes.SERVICE_UNAVAILABLE


async def _beats_again(system: System) -> bool:
    return await _beats(system) == httpx2.codes.OK
