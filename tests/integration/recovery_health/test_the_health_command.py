"""`nadia recover health`, and the launcher that stands for it: what they print and how they end."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path

from nadia.postgres.database import Database
from support.command_line import Outcome, run_nadia
from support.recovery_records import SAID, Records
from support.servers import ClonedDatabase

LAUNCHER = Path(__file__).parents[3] / "monitoring" / "recovery_health_check.py"


async def health(database: ClonedDatabase, folder: Path, *arguments: str, **environ: str) -> Outcome:
    settings = {"DATABASE_URL": database.app_dsn, "NADIA_HOME": str(folder / "home"), **environ}
    return await asyncio.to_thread(run_nadia, "recover", "health", *arguments, cwd=folder, environ=settings)


async def stale_account(db: Database) -> None:
    records = Records(db.connection)
    await records.account("desk")
    await records.cursor("desk", hours=30)


async def test_a_healthy_installation_ends_in_0_and_prints_one_document(
    database: ClonedDatabase, tmp_path: Path
) -> None:
    ended = await health(database, tmp_path, "--json")

    assert (ended.code, ended.err) == (0, "")
    assert json.loads(ended.out)["status"] == "healthy"


async def test_people_read_six_lines(database: ClonedDatabase, tmp_path: Path) -> None:
    ended = await health(database, tmp_path)

    assert (ended.code, ended.err) == (0, "")
    lines = [line for line in ended.out.splitlines() if not line.startswith(" ")]
    assert lines[0] == "recovery is healthy"
    assert [line.split()[:2] for line in lines[1:]] == [
        [name, "healthy"] for name in ("configuration", "database", "operations", "cursors", "errors", "performance")
    ]
    assert "\x1b" not in ended.out, "no colours where there is no terminal"


async def test_what_is_not_fine_ends_in_1_and_names_the_accounts(
    database: ClonedDatabase, db: Database, tmp_path: Path
) -> None:
    records = Records(db.connection)
    for number in range(1, 6):
        await records.account(f"desk-{number}")
        await records.cursor(f"desk-{number}", hours=100 + number)
    await records.gap("desk-5", hours=30)
    await records.run("desk-5", state="failed", errors=4)

    for_people = await health(database, tmp_path)
    for_programs = await health(database, tmp_path, "--json")

    assert (for_people.code, for_programs.code) == (1, 1)
    assert for_people.out.startswith("recovery is critical\n")
    assert "desk-5: looked through 4 days ago, a gap since 1 day ago" in " ".join(for_people.out.split())
    assert "and 2 more" in for_people.out
    assert for_people.err.startswith("hint: docs/operations/recovery-health.md")
    assert json.loads(for_programs.out)["dimensions"]["cursors"]["figures"]["not_listed"] == 2
    assert SAID not in for_people.out + for_programs.out


async def test_settings_decide(database: ClonedDatabase, db: Database, tmp_path: Path) -> None:
    await stale_account(db)

    assert (await health(database, tmp_path)).code == 1
    assert (await health(database, tmp_path, NADIA_RECOVERY_HEALTH_STALE_HOURS="48")).code == 0


async def test_the_launcher_prints_what_the_command_prints(
    database: ClonedDatabase, db: Database, tmp_path: Path
) -> None:
    await stale_account(db)

    ended = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, str(LAUNCHER)],
        cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "DATABASE_URL": database.app_dsn},
        capture_output=True,
        text=True,
    )

    assert (ended.returncode, json.loads(ended.stdout)["summary"]) == (1, "warning: cursors")
    assert len(LAUNCHER.read_text(encoding="utf-8").splitlines()) <= 10
