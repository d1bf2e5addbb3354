"""Probes of the machine and the installation, each proven by breaking the thing for real."""

import asyncio
import os
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from nadia.clock import utc_now
from nadia.errors import UnavailableError
from nadia.health.control_group import ControlGroup
from nadia.health.models import HealthStatus
from nadia.health.postgres_reading import PostgresReader
from nadia.health.probe import Finding
from nadia.health.probes.certificate import CertificateProbe
from nadia.health.probes.clock_skew import ClockSkewProbe
from nadia.health.probes.cpu import CountsInMemory, CpuProbe
from nadia.health.probes.disk import DiskProbe
from nadia.health.probes.embedded_servers import EmbeddedServersProbe
from support.core import Core
from support.servers import short_folder, start_servers

HEALTHY, UNKNOWN, WARNING, CRITICAL = HealthStatus


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MB and 64 files, for as long as a test takes."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if (
        os.getuid() != 0
        or subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=1m,nr_inodes=64", "tmpfs", folder], check=False, capture_output=True
        ).returncode
    ):
        pytest.skip("only root may mount a small disk here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


async def disk(folder: Path) -> Finding:
    probe = DiskProbe(
        id="home-disk", title="Disk", group="installation", folders=(folder,), percent=90, hint="clean up"
    )
    return await probe.measure()


async def test_a_disk_that_fills_turns_the_probe_and_one_that_is_cleaned_turns_it_back(small_disk: Path) -> None:
    empty = await disk(small_disk)
    (small_disk / "a").write_bytes(b"x" * 970_000)
    nearly = await disk(small_disk)
    (small_disk / "b").write_bytes(b"x" * 60_000)
    full = await disk(small_disk)
    (small_disk / "a").unlink()
    cleaned = await disk(small_disk)

    assert [found.status for found in (empty, nearly, full, cleaned)] == [HEALTHY, WARNING, CRITICAL, HEALTHY]
    assert "full" in full.summary
    assert (full.hint, cleaned.hint) == ("clean up", None)


async def test_a_disk_that_has_no_room_for_another_file_is_full(small_disk: Path) -> None:
    for number in range(62):
        (small_disk / str(number)).touch()

    found = await disk(small_disk)

    assert found.status is CRITICAL
    assert "of the files" in found.summary


async def test_a_disk_that_takes_no_writes_is_full_by_nature(small_disk: Path, tmp_path: Path) -> None:
    (small_disk / "a").write_bytes(b"x" * 1_020_000)
    assert (await disk(small_disk)).status is CRITICAL

    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)

    found = await disk(small_disk)
    assert (found.status, found.value, found.summary) == (HEALTHY, None, "mounted read-only: nothing can fill it")
    beside = DiskProbe(
        id="d", title="Disk", group="system", folders=(small_disk, tmp_path), percent=0.0001, hint="clean up"
    )
    assert (await beside.measure()).summary.endswith(f"free at {tmp_path}"), "the other folder is still judged"


async def test_a_process_that_burns_cpu_turns_the_probe() -> None:
    moments = iter((0.0, 100.0))
    probe = CpuProbe(percent=0.5, counts=CountsInMemory(), limits=ControlGroup(), now=lambda: next(moments))
    await probe.measure()
    burnt = psutil.cpu_count() or 1
    # A second of work, whatever else this machine does; the clock of the probe says that it took a hundred.
    await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", f"import time\nwhile time.process_time() < {burnt}: pass"],
        check=True,
    )

    found = await probe.measure()

    assert found.status is WARNING
    assert (found.value or 0) >= 0.9


async def test_a_killed_server_turns_the_probe_until_it_runs_again() -> None:
    with short_folder() as base:
        servers = await start_servers(base)
        folder = servers.place.socket_folder
        probe = EmbeddedServersProbe(
            sockets={"PostgreSQL": folder / ".s.PGSQL.5432", "Redis": folder / "redis.sock"}, owner=lambda: os.getpid()
        )
        try:
            well = await probe.measure()
            pid = servers.pid("redis")
            assert pid is not None
            os.kill(pid, signal.SIGKILL)
            while psutil.pid_exists(pid):
                time.sleep(0.001)  # and not asyncio's, so that nobody starts it again in between
            killed = await probe.measure()
            async with asyncio.timeout(15):
                while (again := await probe.measure()).status is not HEALTHY:
                    await asyncio.sleep(0.02)
        finally:
            await servers.stop()
        stopped = await probe.measure()

    assert (well.status, well.summary) == (HEALTHY, "PostgreSQL and Redis running")
    assert (killed.status, killed.summary) == (CRITICAL, "Redis not running, or just starting again")
    assert killed.figures == {"PostgreSQL": True, "Redis": False}
    assert again.summary == "PostgreSQL and Redis running"
    assert stopped.summary.startswith("PostgreSQL and Redis not running")


async def test_a_home_that_nobody_runs_is_critical_and_configured_servers_are_no_matter(tmp_path: Path) -> None:
    nobody = EmbeddedServersProbe(sockets={"Redis": tmp_path / "redis.sock"}, owner=lambda: None)
    configured = EmbeddedServersProbe(sockets={}, owner=lambda: None)

    assert (await nobody.measure()).status is CRITICAL
    assert (await configured.measure()).status is HEALTHY


@pytest.mark.parametrize(("ahead", "status"), [(0, HEALTHY), (5, WARNING), (-5, WARNING)])
async def test_a_clock_that_goes_wrong_turns_the_probe(ahead: float, status: HealthStatus, core: Core) -> None:
    server = PostgresReader(connect=core.database.connection, clock=lambda: utc_now() + timedelta(seconds=ahead))

    found = await ClockSkewProbe(server=server, seconds=1).measure()

    assert found.status is status
    if ahead:
        assert ("ahead of" if ahead > 0 else "behind") in found.summary


class Authority:
    """Issues certificates for localhost."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a test's authority")])
        now = datetime.now(UTC)
        self._certificate = self._signed(self._name, self._key, now - timedelta(days=99), now + timedelta(days=999))

    def _signed(
        self, name: x509.Name, key: ec.EllipticCurvePrivateKey, begin: datetime, end: datetime
    ) -> x509.Certificate:
        own = key is self._key
        builder = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(begin)
            .not_valid_after(end)
            .add_extension(x509.BasicConstraints(ca=own, path_length=None), critical=True)
        )
        if not own:
            builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        return builder.sign(self._key, hashes.SHA256())

    def trust(self) -> ssl.SSLContext:
        return ssl.create_default_context(
            cadata=self._certificate.public_bytes(serialization.Encoding.PEM).decode("ascii")
        )

    @asynccontextmanager
    async def serving(self, folder: Path, *, days: float) -> AsyncIterator[str]:
        """Serve https on loopback with a certificate that ends so many days from now."""
        key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
        certificate = self._signed(name, key, now - timedelta(days=60), now + timedelta(days=days))
        file = folder / "server.pem"
        file.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
            + certificate.public_bytes(serialization.Encoding.PEM)
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0, ssl=context)
        async with server:
            yield f"https://localhost:{server.sockets[0].getsockname()[1]}"


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


@pytest.mark.parametrize(("days", "status"), [(60, HEALTHY), (13, WARNING), (-1, CRITICAL)])
async def test_a_certificate_s_end_is_told_in_time(
    days: float, status: HealthStatus, authority: Authority, tmp_path: Path
) -> None:
    async with authority.serving(tmp_path, days=days) as url:
        found = await CertificateProbe(url=url, days=14, trust=authority.trust).measure()

    assert found.status is status
    assert (found.hint is None) == (status is HEALTHY)
    assert (found.value is None) == (status is CRITICAL)


async def test_a_certificate_that_browsers_do_not_trust_is_critical(authority: Authority, tmp_path: Path) -> None:
    async with authority.serving(tmp_path, days=60) as url:
        unknown_issuer = await CertificateProbe(url=url, days=14).measure()
        port = url.rpartition(":")[2]
        other_name = await CertificateProbe(url=f"https://127.0.0.1:{port}", days=14, trust=authority.trust).measure()

    assert {unknown_issuer.status, other_name.status} == {CRITICAL}
    assert unknown_issuer.summary == "browsers do not trust it"


async def test_an_address_where_nobody_answers_leaves_it_unknown() -> None:
    with pytest.raises(UnavailableError, match="nobody answers at the public address"):
        await CertificateProbe(url="https://127.0.0.1:1", days=14).measure()


@pytest.mark.parametrize("url", [None, "http://nadia.example.org"])
async def test_without_a_public_https_address_there_is_nothing_to_end(url: str | None) -> None:
    assert (await CertificateProbe(url=url, days=14).measure()).status is HEALTHY
