"""`nadia alerts`: what it prints and how it ends."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from nadia import notices
from nadia.alerting.documents import section
from nadia.embedded.endpoints import RedisEndpoint
from nadia.notices import Notice, Severity
from nadia.postgres.database import Database
from support.command_line import Outcome, run_nadia

PARKED = Notice("batch.parked", "A conversation waits.", Severity.CRITICAL, {"batch": "7"})

Nadia = Callable[..., Awaitable[Outcome]]


@pytest.fixture
def nadia(postgres_dsn: str, redis_endpoint: RedisEndpoint, tmp_path: Path) -> Nadia:
    environ = {"DATABASE_URL": postgres_dsn, "REDIS_URL": redis_endpoint.url, "NADIA_HOME": str(tmp_path / "home")}

    async def run(*arguments: str) -> Outcome:
        return await asyncio.to_thread(run_nadia, "alerts", *arguments, cwd=tmp_path, environ=environ)

    return run


async def test_the_way_of_an_alert(nadia: Nadia, alert_database: Database) -> None:
    assert (await nadia("list")).out == "No alert fires.\n"
    async with alert_database.transaction() as conn:
        await notices.record(conn, PARKED)
    listed = await nadia("list")
    assert (listed.code, "batch=7" in listed.out) == (0, True)

    shown = await nadia("show", PARKED.fingerprint)
    assert PARKED.summary in shown.out
    assert section("batch.parked") in shown.out

    acknowledged = json.loads((await nadia("ack", PARKED.fingerprint, "--note", "on it", "--json")).out)
    assert acknowledged["acknowledged_by"].startswith("cli:")
    silenced = json.loads(
        (await nadia("silence", "topic=batch.parked", "batch=7", "--for", "2h", "--reason", "known", "--json")).out
    )
    assert silenced["silences_now"] == 1
    found = json.loads((await nadia("list", "--json")).out)
    assert [alert["silenced_by"] for alert in found["alerts"]] == [[silenced["id"]]]
    assert [silence["reason"] for silence in found["silences"]] == ["known"]
    assert "on it" in (await nadia("show", PARKED.fingerprint)).out

    ended = await nadia("unsilence", str(silenced["id"]))
    assert (ended.code, ended.out) == (0, f"silence {silenced['id']} of topic=batch.parked batch=7 has ended\n")
    assert json.loads((await nadia("list", "--json")).out)["silences"] == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("show", "0" * 16), "is firing"),
        (("ack", "0" * 16), "is firing"),
        (("unsilence", "9"), "no silence 9"),
        (("silence", "batch.parked", "--for", "2h", "--reason", "x"), "LABEL: 'batch.parked'"),
        (("silence", "topic=a", "topic=b", "--for", "2h", "--reason", "x"), "matchers: no alert has two values"),
        (("silence", "topic=a", "--for", "2h", "--reason", " "), "reason: is empty"),
        (("silence", "topic=a", "--for", "31d", "--reason", "x"), "--for: '31d'"),
        (("silence", "topic=a", "--for", "soon", "--reason", "x"), "--for: 'soon'"),
        (("silence", "topic=a", "--for", "0m", "--reason", "x"), "--for: '0m'"),
    ],
)
async def test_what_cannot_be_done_says_why_and_ends_with_2(
    nadia: Nadia, arguments: tuple[str, ...], said: str
) -> None:
    refused = await nadia(*arguments)
    assert (refused.code, refused.out) == (2, "")
    assert said in refused.err
    assert "hint:" in refused.err
