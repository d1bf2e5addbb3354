"""`find-error` groups what logs and PostgreSQL tell of, and goes on without either."""

import asyncio
import json
import threading
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from nadia import notices
from nadia.errors import InvalidInputError, NotFoundError
from nadia.health.models import HealthStatus
from nadia.notices import Notice, Severity
from nadia.postgres.database import Database
from nadia.workflows import find_error
from nadia.workflows.find_error import RUNBOOKS, FindError, FindErrorArguments
from nadia.workflows.report import WorkflowReport
from support.core import Core

NOW = datetime.now(UTC)
ROOT = Path(__file__).resolve().parents[3]


def log(folder: Path, *entries: tuple[float, str, str, str], name: str = "worker-1.jsonl") -> Path:
    """A log file with entries of so many minutes ago: level, event, reason."""
    path = folder / name
    lines = [
        json.dumps(
            {
                "timestamp": (NOW - timedelta(minutes=minutes))
                .isoformat(timespec="milliseconds")
                .replace("+00:00", "Z"),
                "level": level,
                "event": event,
                "logger": "nadia",
                "reason": reason,
            }
        )
        for minutes, level, event, reason in entries
    ]
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


async def look(
    database: Database, logs: Sequence[Path] = (), *, may_name_files: bool = True, **arguments: Any
) -> WorkflowReport:
    workflow = FindError(connect=database.connection, logs=lambda: logs, may_name_files=may_name_files)
    return await workflow.run(FindErrorArguments(**arguments))


def kinds(report: WorkflowReport) -> list[tuple[Any, ...]]:
    """Trend, level, times and what, of each row."""
    return [(row[0], row[1], row[2], row[7]) for row in report.tables[0].rows]


async def test_nothing_wrong_is_said_with_how_much_was_looked_at(core: Core, tmp_path: Path) -> None:
    report = await look(core.database, [log(tmp_path, (1, "info", "wal.group_created", ""))])

    assert report.status is HealthStatus.HEALTHY
    assert report.answer == "nothing went wrong in 24 h that left a trace (1 lines of 1 log)"
    assert report.tables[0].rows == []


async def test_logs_and_records_come_together(core: Core, tmp_path: Path) -> None:
    batch = await core.sealed(1001)
    await core.park(batch.id, reason="five attempts that never ended")
    await core.execute("INSERT INTO telegram_accounts (id, network) VALUES ('other', 'sandbox') ON CONFLICT DO NOTHING")
    await core.execute(
        "INSERT INTO parked_updates (telegram_account_id, event, payload, error) "
        "VALUES ('other', 'message', '{}', 'text holds NUL at 17'), ('other', 'message', '{}', 'text holds NUL at 18')"
    )
    path = log(
        tmp_path,
        *((minutes, "error", "llm.model_failed", f"HTTP 503 after {minutes} s") for minutes in (1, 2, 3, 700)),
        (800, "warning", "telegram.flood_wait", "17 s"),
    )

    report = await look(core.database, [path])

    found = kinds(report)
    assert ("new", "error", 2, "update parked: message: text holds NUL at <n>") in found
    assert ("new", "error", 1, "batch parked: five attempts that never ended") in found
    assert ("rising", "error", 4, "llm.model_failed: HTTP <n> after <n> s") in found
    assert found[-1] == ("over", "warning", 1, "telegram.flood_wait: <n> s")
    assert [row[0] for row in found] == sorted((row[0] for row in found), key=["new", "rising", "steady", "over"].index)
    assert report.status is HealthStatus.CRITICAL, "a parked batch has a critical notice"
    assert report.answer.endswith("entries in 24 h")
    (failing,) = [finding for finding in report.findings if finding.subject == "llm.model_failed"]
    assert failing.docs == "docs/guides/models.md"
    assert "3 an hour now" in failing.message
    assert "HTTP 503 after 1 s" in failing.message
    assert report.customer_text


async def test_a_critical_notice_is_critical_and_a_resolve_is_none(core: Core) -> None:
    async with core.database.transaction() as conn:
        await notices.record(conn, Notice(topic="daemon.job_failing", summary="it fails", severity=Severity.CRITICAL))
        await notices.record(conn, Notice(topic="telegram.account_revoked", summary="well again", resolves=True))
        await notices.record(conn, Notice(topic="by.the_way", summary="all is well", severity=Severity.INFO))

    report = await look(core.database)

    assert [row[3] for row in kinds(report)] == ["daemon.job_failing: it fails"]
    assert report.status is HealthStatus.CRITICAL


async def test_only_what_was_asked_for(core: Core, tmp_path: Path) -> None:
    path = log(
        tmp_path,
        (1, "error", "llm.model_failed", "HTTP 503"),
        (1, "error", "disk.full", "No space"),
        (1, "error", "long", "x" * 1_000 + " no space"),
    )

    found = kinds(await look(core.database, [path], pattern="NO SPACE"))
    assert [row[3][:9] for row in found] == ["disk.full", "long: xxx"]
    assert kinds(await look(core.database, [path], pattern=".*")) == [], "words, not an expression"


async def test_hours_and_limit_bound_the_answer(core: Core, tmp_path: Path) -> None:
    path = log(
        tmp_path,
        *((1, "error", f"event.{letter}", "") for letter in "abcdefghij"),
        (150, "error", "earlier", ""),
    )

    report = await look(core.database, [path], hours=2, limit=3)

    assert len(report.tables[0].rows) == 3
    assert report.tables[0].note == "7 further kinds: --limit lists them"
    assert "earlier" not in report.model_dump_json()


async def test_without_postgres_the_logs_still_tell(tmp_path: Path) -> None:
    away = Database(dsn=f"postgresql://nadia@/nadia?host={tmp_path}", pool_size=1)
    report = await look(away, [log(tmp_path, (1, "error", "postgres.away", "refused"))])
    await away.close()

    assert report.unreachable == ["PostgreSQL"]
    assert [row[3] for row in kinds(report)] == ["postgres.away: refused"]


async def test_files_are_named_at_the_terminal_only(core: Core, tmp_path: Path) -> None:
    other = log(tmp_path, (1, "error", "of.others", ""), name="other.log")

    assert [row[3] for row in kinds(await look(core.database, log=[other]))] == ["of.others"]
    with pytest.raises(InvalidInputError, match="at the terminal only"):
        await look(core.database, log=[other], may_name_files=False)
    with pytest.raises(NotFoundError):
        await look(core.database, log=[tmp_path / "none"])
    with pytest.raises(InvalidInputError, match="not a file"):
        await look(core.database, log=[Path("/dev/zero")])


async def test_secrets_and_phone_numbers_do_not_come_out(core: Core, tmp_path: Path) -> None:
    path = log(
        tmp_path,
        (1, "error", "send.failed", "token=supersecret12345 to +1 555 010 0199"),
        (1, "error", "postgres.away", "postgresql://nadia:SwordFish@db.internal/nadia"),
        (1, "error", "login.failed", "password=hunterTwoSecretWord bearer AbCdEfGhIjKlMnOp"),
        (1, "error", "cut.off", "x" * 200 + " postgresql://nadia:Horseradish@db.internal"),
    )

    text = (await look(core.database, [path])).model_dump_json()

    for secret in ("supersecret", "0199", "SwordFish", "hunterTwo", "AbCdEfGh", "Horse"):
        assert secret not in text


async def test_a_secret_cannot_be_found_letter_by_letter(core: Core, tmp_path: Path) -> None:
    path = log(tmp_path, (1, "error", "login.failed", "password=Swordfish"))

    assert kinds(await look(core.database, [path], pattern="password=s")) == []
    assert len(kinds(await look(core.database, [path], pattern="password="))) == 1


async def test_what_no_character_is_can_be_printed(core: Core, tmp_path: Path) -> None:
    path = log(tmp_path, (1, "error", "odd.\ud83d", "half a smile: \ud83d, a whole one: \U0001f600"))

    text = (await look(core.database, [path])).model_dump_json()

    text.encode()
    assert "half a smile: ?, a whole one: \U0001f600" in text


@pytest.mark.parametrize("hours", [5, 30])
async def test_a_parked_batch_is_trouble_for_as_long_as_it_is_parked(core: Core, hours: int) -> None:
    batch = await core.sealed(1001)
    await core.park(batch.id, reason="five attempts")
    await core.execute("UPDATE batches SET changed_at = now() - make_interval(hours => %s)", hours)
    await core.execute("DELETE FROM notices")

    report = await look(core.database)

    assert kinds(report) == [("open", "error", 1, "batch parked: five attempts")]
    assert report.answer.startswith("1 kind of trouble at present, 1 open")
    assert [finding.subject for finding in report.findings] == ["batch parked"]


async def test_reading_ends_when_nobody_waits_any_more(
    core: Core, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, ended = threading.Event(), threading.Event()

    def endless(files: object, *, since: object, reading: Any) -> Any:
        begun.set()
        while not reading.is_over:
            pass
        ended.set()
        yield from ()

    monkeypatch.setattr(find_error, "troubles", endless)
    asking = asyncio.create_task(look(core.database))
    await asyncio.to_thread(begun.wait, 10)
    asking.cancel()
    await asyncio.wait({asking})

    assert await asyncio.to_thread(ended.wait, 10)


@pytest.mark.parametrize("page", sorted(set(RUNBOOKS.values())))
def test_pages_that_are_pointed_to_exist(page: str) -> None:
    assert (ROOT / page).is_file()
