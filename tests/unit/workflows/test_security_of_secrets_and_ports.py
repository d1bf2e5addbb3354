"""What the security check says of secrets in use and of ports that are open."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar

import psutil
import pytest
from pydantic import SecretStr

from nadia.accounts.models import Role
from nadia.errors import ConfigurationError, UnavailableError
from nadia.health.models import HealthStatus
from nadia.workflows.security.listeners import Intended, ListenerScanner, nadia_processes
from nadia.workflows.security.scan import Scan, critical, warning
from nadia.workflows.security.weak_secrets import LEAST_BITS, HeldSecret, SecretScanner, entropy_bits
from nadia.workflows.security_check import SecurityCheck, SecurityCheckArguments

RANDOM = "x9Qm2Lr7Vt4WzKp8Yb3Nc6HdJ1fGs5TaEuRo"


async def judged(
    *secrets: HeldSecret, open_values: dict[str, str] | None = None, api_id: int | None = None
) -> list[str]:
    scan = await SecretScanner(secrets=secrets, open_values=open_values or {}, telegram_api_id=api_id).scan()
    for secret in secrets:
        value = secret.value.get_secret_value()
        assert len(value) < 6 or value not in repr(scan.findings)
    return [f"{finding.status} {finding.subject}" for finding in scan.findings]


def held(value: str, *, name: str = "IT", user: str | None = None, chosen_by_us: bool = True) -> HeldSecret:
    return HeldSecret(name=name, value=SecretStr(value), user=user, chosen_by_us=chosen_by_us)


async def test_a_random_secret_is_sound() -> None:
    assert await judged(held(RANDOM, user="nadia")) == []


@pytest.mark.parametrize("value", ["changeme", "Password1", "POSTGRES", "admin1!", "123456789", "your-secret-key"])
async def test_what_everybody_tries_first_is_critical(value: str) -> None:
    assert await judged(held(value)) == ["critical IT"]


@pytest.mark.parametrize("value", ["deskuser", "DeskUser", "resuksed"])
async def test_the_user_s_own_name_is_no_password(value: str) -> None:
    assert await judged(held(value, user="deskuser")) == ["critical IT"]


@pytest.mark.parametrize("value", ["short", "k7#mQ2x!", "a" * 64, "abababababababababababab"])
async def test_what_can_be_guessed_is_weak(value: str) -> None:
    assert await judged(held(value)) == ["warning IT"]


async def test_a_key_that_another_service_made_is_as_long_as_it_is() -> None:
    assert await judged(held("k7#mQ2x!", chosen_by_us=False)) == []


async def test_one_secret_for_two_things_is_told_with_both_names() -> None:
    assert await judged(held(RANDOM, name="B"), held(RANDOM, name="A"), held(RANDOM[::-1], name="C")) == [
        "warning A, B"
    ]


async def test_a_credential_in_a_setting_that_is_shown_is_told() -> None:
    values = {"NADIA_TELEGRAM_ADDRESS": f"tcp://u:{RANDOM}@h.example:1", "NADIA_WEB_HOST": "127.0.0.1"}
    assert await judged(open_values=values) == ["critical NADIA_TELEGRAM_ADDRESS"]


async def test_a_published_application_of_telegram_is_told() -> None:
    assert await judged(api_id=94575) == ["warning API_ID"]
    assert await judged(api_id=20_481_234) == []


def test_entropy_rises_with_length_and_variety() -> None:
    assert entropy_bits("") == 0
    assert entropy_bits("aaaa") == 0
    assert entropy_bits("ab" * 8) == 16
    assert entropy_bits(RANDOM) > LEAST_BITS


@contextmanager
def listening(host: str) -> Iterator[tuple[psutil.Process, int]]:
    """A process that listens, called as NADIA is."""
    program = (
        "import socket, sys; s = socket.create_server((sys.argv[1], 0)); print(s.getsockname()[1], flush=True); "
        "sys.stdin.read()"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", program, host], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    try:
        yield psutil.Process(child.pid), int(child.stdout.readline())
    finally:
        child.communicate("")


async def test_a_port_on_loopback_is_sound_and_one_on_all_addresses_is_told() -> None:
    with listening("127.0.0.1") as (near, _), listening("0.0.0.0") as (far, port):
        scan = await ListenerScanner(processes=lambda: [near, far]).scan()
    (finding,) = scan.findings
    assert f"(process {far.pid}) on 0.0.0.0:{port}" in finding.subject
    assert scan.looked_at == "2 processes, 2 ports"


async def test_a_port_that_the_settings_open_is_meant() -> None:
    with listening("0.0.0.0") as (process, port):
        scan = await ListenerScanner(processes=lambda: [process], intended=[Intended(host="0.0.0.0", port=port)]).scan()
        other = await ListenerScanner(
            processes=lambda: [process], intended=[Intended(host="0.0.0.0", port=port + 1)]
        ).scan()
    assert scan.findings == ()
    assert len(other.findings) == 1


async def test_a_process_that_is_gone_is_passed_over() -> None:
    with listening("0.0.0.0") as (process, _):
        pass
    assert (await ListenerScanner(processes=lambda: [process]).scan()).findings == ()


def test_the_home_s_owner_and_its_children_are_nadia_s_processes_and_this_one_is_not() -> None:
    with listening("127.0.0.1") as (child, _):
        pids = {process.pid for process in nadia_processes(lambda: child.pid)}
        family = {process.pid for process in nadia_processes(os.getpid)}
    assert child.pid in pids
    assert child.pid in family
    assert os.getpid() not in family


@pytest.mark.parametrize(
    ("command", "ours"),
    [
        ("/opt/nadia/bin/nadia up", True),
        ("/usr/bin/python3 /opt/nadia/bin/nadia run bot", True),
        ("python3.11 -I -m nadia up", True),
        ("python -X dev -m nadia up", True),
        ("/usr/bin/python3 /srv/monitoring/mcp_health_daemon.py --interval 30", True),
        ("su nadia", False),
        ("vim /etc/systemd/system/nadia", False),
        ("sudo -u nadia psql", False),
        ("python3 migrate.py nadia", False),
        ("", False),
    ],
)
def test_a_process_is_nadia_s_by_what_it_runs_and_not_by_what_it_is_given(
    command: str, ours: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Listed:
        pid = 1_000_000_000
        info: ClassVar = {"cmdline": command.split()}

        def children(self, *, recursive: bool) -> list[object]:
            return []

    monkeypatch.setattr(psutil, "process_iter", lambda _: [Listed()])
    assert bool(list(nadia_processes(lambda: None))) is ours


class _Scanner:
    def __init__(self, title: str, scan: Scan | Exception) -> None:
        self.title = title
        self._scan = scan

    async def scan(self) -> Scan:
        if isinstance(self._scan, Exception):
            raise self._scan
        return self._scan


async def test_what_one_scanner_cannot_see_hides_nothing_of_the_others() -> None:
    check = SecurityCheck(
        scanners=(
            _Scanner("people", UnavailableError("PostgreSQL cannot be reached")),
            _Scanner("files", Scan(looked_at="2 files", findings=(warning("b", "is open", "close it"),))),
            _Scanner("ports", Scan(looked_at="1 port", findings=(critical("a", "is open", "close it"),))),
        )
    )
    report = await check.run(SecurityCheckArguments())
    assert report.status is HealthStatus.CRITICAL
    assert [finding.subject for finding in report.findings] == ["a", "b"]
    assert report.unreachable == ["PostgreSQL"]
    assert report.answer == "2 things, of which 1 can be used today; not looked at: people"
    assert [row[0] for row in report.tables[0].rows] == ["people", "files", "ports"]


async def test_a_scanner_that_cannot_read_its_matter_says_so_and_hides_nothing() -> None:
    check = SecurityCheck(
        scanners=(
            _Scanner("settings", ConfigurationError("a connection string cannot be read", hint="write it anew")),
            _Scanner("files", Scan(looked_at="2 files", findings=(warning("b", "is open", "close it"),))),
        )
    )
    report = await check.run(SecurityCheckArguments())
    assert [(finding.subject, finding.remedy) for finding in report.findings] == [
        ("b", "close it"),
        ("settings", "write it anew"),
    ]
    assert report.unreachable == []


async def test_nothing_found_is_healthy() -> None:
    check = SecurityCheck(scanners=(_Scanner("files", Scan(looked_at="2 files")),))
    report = await check.run(SecurityCheckArguments())
    assert (report.status, report.answer) == (HealthStatus.HEALTHY, "nothing that was found")
    assert check.role is Role.ADMIN
