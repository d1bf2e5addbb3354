"""`nadia daemon status` and `history` for people and programs, with servers and without."""

import json
from datetime import timedelta
from pathlib import Path

from nadia.clock import utc_now
from nadia.embedded.endpoints import RedisEndpoint
from support.answers import child_end
from support.command_line import run_nadia
from support.daemons import World


def environment(home: Path, redis: RedisEndpoint | None) -> dict[str, str]:
    url = redis.url if redis is not None else "unix:///nowhere/redis.sock"
    return {"NADIA_HOME": str(home), "REDIS_URL": url, "NO_COLOR": "1"}


async def test_they_tell_how_the_jobs_are(world: World, redis_endpoint: RedisEndpoint, tmp_path: Path) -> None:
    # So that the time of the commands, which is the real one, is that of the last round.
    world.time.jump(seconds=(utc_now() - timedelta(minutes=5) - world.clock()).total_seconds())
    world.jobs.answers["redis-health"] = child_end(b"", status=3, complaint=b"error: no answer")
    async with world.running(world.daemon(redis_seconds=60, jitter_seconds=0)):
        await world.time.pass_for(minutes=5)
        environ = environment(world.home, redis_endpoint)
        told = run_nadia("daemon", "status", cwd=tmp_path, environ=environ)
        assert told.code == 1, "something was told of"
        assert "The daemon is active: one/1/a" in told.out
        assert "redis-health: daemon.job_failing" in told.out
        as_json = json.loads(run_nadia("daemon", "status", "--json", cwd=tmp_path, environ=environ).out)
        assert as_json["current"] is True
        assert as_json["jobs"][0]["name"] == "health-check"
    history = run_nadia("daemon", "history", "redis-health", cwd=tmp_path, environ=environ)
    assert history.code == 0
    assert "failed" in history.out
    assert "no answer" in history.out
    records = json.loads(run_nadia("daemon", "history", "--json", "--limit", "2", cwd=tmp_path, environ=environ).out)
    assert len([one for one in records if one["job"] == "redis-health"]) == 2
    assert [one["due_at"] for one in records] == sorted((one["due_at"] for one in records), reverse=True)


async def test_without_a_daemon_they_say_so(redis_endpoint: RedisEndpoint, tmp_path: Path) -> None:
    nobody = run_nadia("daemon", "status", cwd=tmp_path, environ=environment(tmp_path, redis_endpoint))
    assert (nobody.code, nobody.out) == (1, "")
    assert "nadia daemon run" in nobody.err
    empty = run_nadia("daemon", "history", "--json", cwd=tmp_path, environ=environment(tmp_path, redis_endpoint))
    assert (empty.code, json.loads(empty.out)) == (0, [])
    unknown = run_nadia("daemon", "history", "lunch", cwd=tmp_path, environ=environment(tmp_path, redis_endpoint))
    assert unknown.code == 2
    assert "health-check" in unknown.err


async def test_without_redis_the_exit_code_says_that_it_cannot_be_reached(tmp_path: Path) -> None:
    for words in (("status",), ("history",)):
        away = run_nadia("daemon", *words, cwd=tmp_path, environ=environment(tmp_path, None))
        assert away.code == 3
        assert "Redis" in away.err
