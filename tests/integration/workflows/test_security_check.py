"""The security check of a whole installation: clean, and with faults planted in it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from nadia.app.security_check import security_check
from nadia.errors import UnavailableError
from nadia.health.models import HealthStatus
from nadia.postgres.database import Connection, Database
from nadia.settings import Config
from nadia.workflows.report import WorkflowReport
from nadia.workflows.security.accounts import AccountScanner
from nadia.workflows.security_check import SecurityCheckArguments

RANDOM = "x9Qm2Lr7Vt4WzKp8Yb3Nc6HdJ1fGs5TaEuRo"


async def accounts(database: Database) -> list[tuple[str, str, str]]:
    scan = await AccountScanner(connect=database.connection).scan()
    return [(finding.status, finding.subject, finding.message) for finding in scan.findings]


async def put(
    database: Database, name: str, *, role: str = "reviewer", disabled: bool = False, totp: bool = False
) -> int:
    async with database.connection() as conn:
        row = await (
            await conn.execute(
                "INSERT INTO accounts (name, role, disabled_at, totp_confirmed_at) VALUES "
                "(%s, %s, CASE WHEN %s THEN now() END, CASE WHEN %s THEN now() END) RETURNING id",
                (name, role, disabled, totp),
            )
        ).fetchone()
    assert row is not None
    return int(row["id"])


async def token(
    database: Database, account: int, name: str, *, days: int, used_days: int | None, revoked: bool = False
) -> None:
    async with database.connection() as conn:
        await conn.execute(
            "INSERT INTO account_tokens (account_id, name, token_hash, role, created_at, last_used_at, revoked_at) "
            "VALUES (%(account)s, %(name)s, convert_to(%(name)s, 'UTF8'), 'viewer', "
            "now() - make_interval(days => %(days)s), "
            "now() - make_interval(days => %(used)s::int), CASE WHEN %(revoked)s THEN now() END)",
            {"account": account, "name": name, "days": days, "used": used_days, "revoked": revoked},
        )


async def session(database: Database, account: int, *, expires_days: int = 1, revoked: bool = False) -> None:
    async with database.connection() as conn:
        await conn.execute(
            "INSERT INTO account_sessions (token_hash, account_id, expires_at, revoked_at) VALUES "
            "(%s::bytea, %s, now() + make_interval(days => %s), CASE WHEN %s THEN now() END)",
            (f"{account}/{expires_days}/{revoked}", account, expires_days, revoked),
        )


async def test_people_and_tokens_in_good_order_are_sound(desk_database: Database) -> None:
    eva = await put(desk_database, "eva", role="admin", totp=True)
    await put(desk_database, "jonas")
    gone = await put(desk_database, "gone", role="admin", disabled=True)
    await session(desk_database, eva)
    await session(desk_database, gone, revoked=True)
    await session(desk_database, gone, expires_days=-1)
    await token(desk_database, gone, "revoked", days=400, used_days=300, revoked=True)
    await token(desk_database, eva, "in use", days=300, used_days=1)
    await token(desk_database, eva, "just made", days=2, used_days=None)
    assert await accounts(desk_database) == []


async def test_an_admin_without_a_second_factor_is_told(desk_database: Database) -> None:
    await put(desk_database, "eva", role="admin")
    ((status, subject, _),) = await accounts(desk_database)
    assert (status, subject) == ("warning", "account eva")


async def test_access_that_outlived_its_owner_is_told(desk_database: Database) -> None:
    gone = await put(desk_database, "gone", disabled=True)
    await session(desk_database, gone)
    await token(desk_database, gone, "left", days=1, used_days=1)
    ((status, subject, message),) = await accounts(desk_database)
    assert (status, subject) == ("critical", "account gone")
    assert "1 sessions and 1 tokens" in message


@pytest.mark.parametrize(
    ("days", "used_days", "said"),
    [(400, 1, "is 400 days old"), (200, 100, "was not used for 100 days"), (8, None, "was never used in 8 days")],
)
async def test_forgotten_tokens_are_told(desk_database: Database, days: int, used_days: int | None, said: str) -> None:
    jonas = await put(desk_database, "jonas")
    await token(desk_database, jonas, "script", days=days, used_days=used_days)
    ((status, subject, message),) = await accounts(desk_database)
    assert (status, subject, message) == ("warning", "token 'script' of jonas (viewer)", said)


@asynccontextmanager
async def _nowhere() -> AsyncIterator[Connection]:
    raise UnavailableError("PostgreSQL cannot be reached")
    yield


async def check(folder: Path, database: Database | None = None, **environ: str) -> WorkflowReport:
    home = folder / "home"
    given = {"HOME": str(folder), "NADIA_HOME": str(home), "XDG_CONFIG_HOME": str(folder / "config")}
    config = Config.from_env({**given, **environ}, dotenv=folder / ".env")
    connect = _nowhere if database is None else database.connection
    workflow = security_check(config, connect=connect, dotenv=folder / ".env")
    return await workflow.run(SecurityCheckArguments())


@pytest.fixture
def installation(tmp_path: Path) -> Path:
    """A folder with a home as `nadia up` leaves it."""
    secrets = tmp_path / "home" / "secrets"
    (tmp_path / "home").mkdir(mode=0o700)
    secrets.mkdir(mode=0o700)
    (tmp_path / "home" / "installation-id").write_text("0" * 32)
    (secrets / "redis").write_text(f"{RANDOM}\n")
    (secrets / "redis").chmod(0o600)
    return tmp_path


def told(report: WorkflowReport) -> list[str]:
    """What is wrong, apart from what the interpreter of these tests has installed."""
    return [finding.subject for finding in report.findings if finding.subject != "packages"]


async def test_a_fresh_installation_is_sound_and_everything_is_looked_at(
    installation: Path, desk_database: Database
) -> None:
    report = await check(installation, desk_database)
    assert told(report) == []
    assert [row[0] for row in report.tables[0].rows] == [
        "settings",
        "permissions of files",
        "open ports",
        "secrets",
        "installed packages",
        "files in git",
        "people and tokens",
    ]


async def test_where_there_is_no_home_yet_nothing_is_created(tmp_path: Path, desk_database: Database) -> None:
    report = await check(tmp_path, desk_database)
    assert told(report) == []
    assert list(tmp_path.iterdir()) == []


async def test_each_planted_fault_is_found_by_the_check_of_the_whole(
    installation: Path, desk_database: Database
) -> None:
    dotenv, key, persona = installation / ".env", installation / "key.txt", installation / "persona.txt"
    dotenv.write_text("LOG_LEVEL=debug\n")
    dotenv.chmod(0o644)
    key.write_text(RANDOM)
    key.chmod(0o640)
    persona.write_text("You are the desk's assistant.\n")
    persona.chmod(0o666)
    session_key = installation / "config" / "nadia" / ("0" * 32) / "session.key"
    session_key.parent.mkdir(parents=True, mode=0o700)
    session_key.write_text("x")
    session_key.chmod(0o644)
    (installation / "home" / "secrets" / "redis").chmod(0o604)
    await put(desk_database, "eva", role="admin")
    report = await check(
        installation,
        desk_database,
        NADIA_WEB_HOST="0.0.0.0",
        NADIA_WEB_SECRET_KEY_FILE=str(key),
        NADIA_WEB_TRUSTED_PROXIES="10.0.0.0/8",
        NADIA_DRAFTING_PERSONA_FILE=str(persona),
        DATABASE_URL="postgresql://desk:desk@db.example.org/nadia",
        REDIS_URL="redis://cache.example.org",
        API_ID="94575",
    )
    assert report.status is HealthStatus.CRITICAL
    assert sorted(told(report)) == sorted(
        [
            "NADIA_WEB_HOST",
            "NADIA_WEB_TRUSTED_PROXIES",
            "LOG_LEVEL",
            "DATABASE_URL",  # no TLS
            "DATABASE_URL",  # the password is the user
            "REDIS_URL",  # no TLS
            "REDIS_URL",  # no password
            "API_ID",
            f"{dotenv} (0644)",
            f"{key} (0640)",
            f"{persona} (0666)",
            f"{session_key} (0644)",
            f"{installation / 'home' / 'secrets' / 'redis'} (0604)",
            f"{installation / 'home' / 'secrets' / 'redis'}, NADIA_WEB_SECRET_KEY",  # one secret for two things
            "account eva",
        ]
    )
    assert all(finding.remedy for finding in report.findings)
    assert RANDOM not in report.model_dump_json()


async def test_without_postgresql_the_rest_is_looked_at(installation: Path) -> None:
    report = await check(installation)
    assert report.unreachable == ["PostgreSQL"]
    assert report.answer.endswith("; not looked at: people and tokens")
    assert report.tables[0].rows[-1][-1] == "PostgreSQL cannot be reached"
