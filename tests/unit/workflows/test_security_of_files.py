"""What the security check says of files and sockets, of packages and of what git tracks."""

import os
import random
import socket
import string
import subprocess
from pathlib import Path

import pytest

from nadia.health.models import HealthStatus
from nadia.workflows.report import WorkflowFinding
from nadia.workflows.security.permissions import Keeping, PermissionScanner, Place
from nadia.workflows.security.pins import PinScanner, read_lock
from nadia.workflows.security.tracked_files import ALLOWED, TrackedFileScanner, secrets_in
from support.servers import short_folder

ROOT = Path(__file__).parents[3]
HASH = "--hash=sha256:" + "0" * 64


async def judged(*places: Place, home: Path | None = None, apart: tuple[Path, ...] = ()) -> list[WorkflowFinding]:
    scan = await PermissionScanner(places=places, home=home or places[0].path, apart=apart).scan()
    return list(scan.findings)


def secret(path: Path, *, whole: bool = False, may_be_entered: bool = False) -> Place:
    return Place(path=path, keeping=Keeping.SECRET, holds="it", whole=whole, may_be_entered=may_be_entered)


@pytest.mark.parametrize(
    ("mode", "statuses"),
    [
        (0o600, []),
        (0o400, []),
        (0o640, ["critical"]),
        (0o604, ["critical"]),
        (0o620, ["critical"]),
        (0o666, ["critical"]),
    ],
)
async def test_a_secret_is_its_owner_s_alone(tmp_path: Path, mode: int, statuses: list[str]) -> None:
    path = tmp_path / "key"
    path.write_text("x")
    path.chmod(mode)
    findings = await judged(secret(path))
    assert [finding.status for finding in findings] == statuses
    assert all(finding.remedy and str(path) in finding.remedy for finding in findings)


async def test_a_home_may_be_passed_through_only_where_the_servers_have_to(tmp_path: Path) -> None:
    tmp_path.chmod(0o711)
    assert [finding.status for finding in await judged(secret(tmp_path))] == [HealthStatus.WARNING]
    assert await judged(secret(tmp_path, may_be_entered=True)) == []
    tmp_path.chmod(0o755)
    assert [finding.status for finding in await judged(secret(tmp_path, may_be_entered=True))] == ["critical"]


async def test_everything_in_a_folder_of_secrets_is_looked_at(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    (tmp_path / "deep").mkdir(mode=0o700)
    (tmp_path / "deep" / "open").write_text("x")
    (tmp_path / "deep" / "open").chmod(0o644)
    (tmp_path / "loop").symlink_to(tmp_path)
    (tmp_path / "gone").symlink_to(tmp_path / "nowhere")
    (finding,) = await judged(secret(tmp_path, whole=True))
    assert finding.subject == f"{tmp_path / 'deep' / 'open'} (0644)"


async def test_what_decides_what_nadia_does_may_be_read_and_not_changed(tmp_path: Path) -> None:
    path = tmp_path / "persona.txt"
    path.write_text("You are the desk's assistant.")
    own = Place(path=path, keeping=Keeping.OWN, holds="what NADIA tells customers")
    path.chmod(0o644)
    assert await judged(own) == []
    path.chmod(0o646)
    (finding,) = await judged(own)
    assert "others may change what NADIA tells customers" in finding.message


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
async def test_the_owner_s_own_group_is_nobody_else(tmp_path: Path) -> None:
    path = tmp_path / "persona.txt"
    path.write_text("You are the desk's assistant.")
    path.chmod(0o664)
    own = Place(path=path, keeping=Keeping.OWN, holds="what NADIA tells customers")
    assert await judged(own) == []
    for group in (1, 54_321):  # of another user, and of nobody knows whom
        os.chown(path, 0, group)
        (finding,) = await judged(own)
        assert finding.status is HealthStatus.CRITICAL


async def test_one_mistake_with_many_files_is_told_a_few_times(tmp_path: Path) -> None:
    for number in range(40):
        (tmp_path / f"{number}.py").write_text("x")
        (tmp_path / f"{number}.py").chmod(0o666)
    tmp_path.chmod(0o755)
    findings = await judged(Place(path=tmp_path, keeping=Keeping.OWN, holds="the program", whole=True))
    assert len(findings) == 6
    assert findings[-1].message == "has 35 more files like these"
    assert findings[-1].remedy == f"chmod -R go-w {tmp_path}"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
async def test_a_file_of_somebody_else_is_theirs_to_change(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text("x")
    path.chmod(0o600)
    os.chown(path, 65534, 65534)
    (finding,) = await judged(secret(path))
    assert "another user (65534)" in finding.message


async def test_a_socket_counts_as_open_only_where_others_get_to_it() -> None:
    with short_folder() as folder, socket.socket(socket.AF_UNIX) as server:
        path = folder / "run" / "s.sock"
        path.parent.mkdir(mode=0o700)
        server.bind(str(path))
        path.chmod(0o777)
        place = Place(path=path, keeping=Keeping.SOCKET, holds="PostgreSQL")
        assert await judged(place) == []
        path.parent.chmod(0o755)
        (finding,) = await judged(place)
        assert finding.status is HealthStatus.CRITICAL
        path.chmod(0o700)
        assert await judged(place) == []


async def test_the_sessions_key_belongs_elsewhere_than_the_home(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    key = tmp_path / "session.key"
    key.write_text("x")
    key.chmod(0o600)
    (finding,) = await judged(secret(key), home=tmp_path, apart=(key,))
    assert "who copies that can open them" in finding.message
    assert await judged(secret(key), home=tmp_path / "other", apart=(key,)) == []


async def test_what_does_not_exist_is_no_concern(tmp_path: Path) -> None:
    assert await judged(secret(tmp_path / "nothing", whole=True)) == []


async def pins(tmp_path: Path, lock: str, installed: dict[str, str]) -> list[str]:
    path = tmp_path / "requirements.lock"
    path.write_text(lock)
    scan = await PinScanner(locks=(path,), installed=installed).scan()
    return [f"{finding.subject}: {finding.message}" for finding in scan.findings]


async def test_what_is_installed_as_locked_is_sound(tmp_path: Path) -> None:
    lock = (
        f"# made by a tool\nsome_Thing==1.2 \\\n    {HASH} \\\n    # via nadia\n"
        f"other[extra]==3 ; python_version < '3' \\\n {HASH}\n"
    )
    assert await pins(tmp_path, lock, {"Some.thing": "1.2", "nadia": "0.1.0", "pip": "25"}) == []


@pytest.mark.parametrize(
    ("lock", "installed", "said"),
    [
        (f"a==1 {HASH}", {"a": "2"}, "a: is installed as 2; the lock file says 1"),
        (f"a==1 {HASH}", {}, "packages: are in the lock file and not installed: a"),
        (f"a==1 {HASH}", {"a": "1", "b": "2"}, "packages: are installed beside NADIA and in no lock file: b"),
    ],
)
async def test_each_difference_is_told(tmp_path: Path, lock: str, installed: dict[str, str], said: str) -> None:
    assert await pins(tmp_path, lock, installed or {"nadia": "0.1.0"}) == [said]


@pytest.mark.parametrize(
    ("lock", "said"),
    [(f"a>=1 {HASH}", "does not say which version: a"), ("a==1", "has no hash"), ("a==1.*", "does not say")],
)
async def test_a_lock_file_that_leaves_something_open_is_told(tmp_path: Path, lock: str, said: str) -> None:
    (told,) = await pins(tmp_path, lock, {"a": "1"})
    assert said in told


async def test_without_a_lock_file_it_says_that_nothing_was_compared(tmp_path: Path) -> None:
    scan = await PinScanner(locks=(tmp_path / "requirements.lock",)).scan()
    assert scan.findings == ()
    assert scan.not_looked_at is not None


def test_this_project_s_lock_file_leaves_nothing_open() -> None:
    lines = read_lock((ROOT / "requirements.lock").read_text())
    assert len(lines) > 50
    assert [line.name for line in lines if line.version is None or not line.hashed] == []


RANDOM = "".join(random.Random(4711).choices(string.ascii_letters + string.digits + "-_", k=350))

# Put together here, so that this file holds none.
PLANTED = {
    "a private key": "-----BEGIN RSA PRIVATE" + " KEY-----\nMIIEowIBAAKCAQEAr7Xw2Zq9\n",
    "an age key": "AGE-SECRET-" + "KEY-1QL3Z7HJY54PW3HYWW5AYYFG7ZQGVC7W3J2ELW8ZMRJ2KG5SFN9AQMCAQ8X",
    "a Telegram bot's token": "token = 110201543:" + "AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw1",
    "a Telegram session": "SESSION=1" + "A" + RANDOM + "=",
    "a Telegram api hash": 'API_HASH="' + "9f4c7e01b2a86d53e0f1c3a59b7d2846" + '"',
    "an AWS access key": "AKIA" + "J7QK2ZX4MWN5RTLB",
    "an AWS secret key": "aws_secret_access_key = " + "wJalrXUtnFEMI/K7MDENG/bPxRfiCYzQ9p2Lk8Vd",
    "a Slack token": "xoxb-" + "2398471928-8471923847-aZ9kQ2mX7pLr4TvW8sYb",
    "a Slack webhook": "https://hooks.slack.com/services/" + "T02AB9XQ7/B03ZK81PL/x9Qm2Lr7Vt4WzKp8Yb3Nc6Hd",
    "an OpenAI key": "sk-proj-" + "a8Kd02mQz7XvB4tYpL9wRs3NcHf6Gj1UeOiT5",
    "a GitHub token": "ghp_" + "x9Qm2Lr7Vt4WzKp8Yb3Nc6HdJ1fGs5TaEuRo",
    "a token of NADIA's": "nadia_" + "x9Qm2Lr7Vt4WzKp8Yb3Nc6HdJ1fGs5TaEuRoW0qZ",
    "a password in a URL": "postgresql://nadia:" + "x9Qm2Lr7Vt4WzKp8" + "@db.example.org/nadia",
}


@pytest.mark.parametrize("kind", PLANTED)
def test_each_kind_of_secret_is_found_where_it_stands(kind: str) -> None:
    assert list(secrets_in(f"first line\n{PLANTED[kind]}\n")) == [(2, kind)]


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ('{"key": "-----BEGIN PRIVATE' + ' KEY-----\\nMIIEowIBAAKCAQEAr7Xw2Zq9\\n"}', "a private key"),
        ('KEY="-----BEGIN EC PRIVATE' + ' KEY-----\\\\r\\\\nMIIEowIBAAKCAQEAr7Xw2Zq9"', "a private key"),
        ("postgresql://nadia:" + "x9Qm2L/7Vt4W/Kp8" + "@db.example.org/nadia", "a password in a URL"),
    ],
)
def test_secrets_are_found_in_what_else_they_are_written_as(text: str, kind: str) -> None:
    assert list(secrets_in(text)) == [(1, kind)]


@pytest.mark.parametrize("kind", PLANTED)
def test_one_that_its_line_allows_is_passed_over(kind: str) -> None:
    assert list(secrets_in(PLANTED[kind].replace("\n", " ") + f"  # {ALLOWED}\n")) == []


@pytest.mark.parametrize(
    "text",
    [
        "API_HASH=0123456789abcdef0123456789abcdef",
        "postgresql://user:password@host/database",
        "postgresql://nadia:${POSTGRES_PASSWORD}@db.example.org/nadia",
        "redis://:of%2Fthe%40sentinel@127.0.0.1:1",
        "https://pages.example.org:8080/with/a/Long2Path9/to/v3/image@sha256",
        "nadia_web_requests_total_is_a_metric_whose_name_is_long",
        "sk-xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
    ],
)
def test_what_people_write_in_examples_is_none(text: str) -> None:
    assert list(secrets_in(text)) == []


def test_hostile_text_costs_no_time() -> None:
    text = "api_hash=" * 50_000 + "a:" * 100_000 + "x://" * 100_000
    assert list(secrets_in(text)) == []


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    return tmp_path


def track(checkout: Path, name: str, content: bytes) -> None:
    path = checkout / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    subprocess.run(["git", "-C", str(checkout), "add", "--force", "--", name], check=True)


async def test_a_tracked_secret_is_told_by_place_and_kind_only(checkout: Path) -> None:
    secret_text = PLANTED["a Slack token"]
    track(checkout, "deep/settings.ini", f"[x]\ntoken={secret_text}\n".encode())
    (checkout / "untracked.ini").write_text(secret_text)
    scan = await TrackedFileScanner(root=checkout).scan()
    assert [finding.subject for finding in scan.findings] == ["deep/settings.ini:2"]
    assert secret_text not in repr(scan)


@pytest.mark.parametrize("name", [".env", "deep/.env.production", "id_rsa", "desk.session"])
async def test_files_for_secrets_have_no_place_in_git(checkout: Path, name: str) -> None:
    track(checkout, name, b"nothing in particular\n")
    track(checkout, ".env.example", b"nothing in particular\n")
    scan = await TrackedFileScanner(root=checkout).scan()
    assert [finding.subject for finding in scan.findings] == [name]


async def test_binary_huge_linked_removed_and_oddly_named_files_do_no_harm(checkout: Path) -> None:
    planted = PLANTED["a Slack token"].encode()
    track(checkout, "binary", b"\0" + planted)
    track(checkout, "huge", b"x" * 1_100_000 + planted)
    track(checkout, "removed", planted)
    (checkout / "removed").unlink()
    (checkout / "link").symlink_to("/etc/passwd")
    subprocess.run(["git", "-C", str(checkout), "add", "link"], check=True)
    track(checkout, "new\nline\x1b[31m \udcff", b"\xff" + planted)
    scan = await TrackedFileScanner(root=checkout).scan()
    (finding,) = scan.findings
    assert finding.model_dump_json()
    assert finding.subject.startswith("new\nline")


async def test_outside_of_a_checkout_it_says_that_nothing_was_looked_at(tmp_path: Path) -> None:
    scan = await TrackedFileScanner(root=tmp_path).scan()
    assert (scan.findings, scan.not_looked_at) == ((), "NADIA does not run from a checkout of git")


async def test_this_project_tracks_no_secret() -> None:
    scan = await TrackedFileScanner(root=ROOT).scan()
    assert [f"{finding.subject}: {finding.message}" for finding in scan.findings] == []
