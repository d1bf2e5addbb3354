"""CPU, memory and disk: what a check says of figures that the kernel gave."""

import json
from pathlib import Path

import pytest

from nadia.health.control_group import ControlGroup
from nadia.health.models import HealthStatus
from nadia.health.probe import Finding
from nadia.health.probes.cpu import CountsInFile, CountsInMemory, CpuCounts, CpuProbe
from nadia.health.probes.disk import DiskProbe
from nadia.health.probes.main_memory import MainMemoryProbe

HEALTHY, UNKNOWN, WARNING, CRITICAL = HealthStatus


class Machine:
    """A container of two cores whose counter and clock a test moves."""

    def __init__(self, folder: Path) -> None:
        self.now, self.used = 1_000.0, 50.0
        self.root, self.membership, self.boot = folder / "cgroup", folder / "membership", folder / "boot"
        self.root.mkdir()
        self.membership.write_text("0::/\n")
        self.boot.write_text("first\n")
        self.tell()

    def tell(self) -> None:
        (self.root / "cpu.max").write_text("200000 100000\n")
        (self.root / "cpu.stat").write_text(f"usage_usec {int(self.used * 1e6)}\n")

    def work(self, seconds: float, *, busy: float) -> None:
        self.now, self.used = self.now + seconds, self.used + busy
        self.tell()

    async def look(self, counts: CpuCounts) -> Finding:
        limits = ControlGroup(root=self.root, membership=self.membership)
        return await CpuProbe(percent=80, counts=counts, limits=limits, boot=self.boot, now=lambda: self.now).measure()


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


@pytest.fixture(params=["memory", "file"])
def counts(request: pytest.FixtureRequest, tmp_path: Path) -> CpuCounts:
    return CountsInMemory() if request.param == "memory" else CountsInFile(tmp_path / "counts.json")


async def test_load_is_the_quota_s_share_since_the_last_check(machine: Machine, counts: CpuCounts) -> None:
    first = await machine.look(counts)
    machine.work(300, busy=540)
    second = await machine.look(counts)
    machine.work(300, busy=60)
    third = await machine.look(counts)

    assert (first.status, first.value) == (HEALTHY, None)
    assert (second.status, second.value, second.summary) == (WARNING, 90.0, "90 % of 2 cores in use over 5 min")
    assert (third.status, third.value, third.hint) == (HEALTHY, 10.0, None)


async def test_a_check_right_after_another_looks_further_back(machine: Machine, counts: CpuCounts) -> None:
    await machine.look(counts)
    machine.work(100, busy=20)
    await machine.look(counts)
    machine.work(1, busy=2)

    found = await machine.look(counts)

    assert found.figures["over_seconds"] == 101, "a second would mostly be the check itself"
    assert found.value == pytest.approx(100 * 22 / 202)


async def test_checks_in_quick_succession_always_have_one_to_compare_with(machine: Machine, counts: CpuCounts) -> None:
    found = []
    for _ in range(30):
        found.append(await machine.look(counts))
        machine.work(2, busy=1)

    over = [one.figures["over_seconds"] for one in found if one.value is not None]
    assert len(over) == 27
    assert all(isinstance(seconds, float) and 5 <= seconds <= 10 for seconds in over)
    assert len(counts.recall()) <= 3


async def test_a_count_of_long_ago_says_nothing_of_now(machine: Machine, counts: CpuCounts) -> None:
    await machine.look(counts)
    machine.work(901, busy=1802)

    found = await machine.look(counts)
    assert (found.status, found.value) == (HEALTHY, None)
    assert found.summary == "load is measured from one check to the next, and there was none in the last 15 min"

    machine.work(10, busy=20)
    found = await machine.look(counts)
    assert (found.status, found.value, found.figures["over_seconds"]) == (WARNING, 100.0, 10)


async def test_counts_of_another_start_of_the_machine_say_nothing(machine: Machine, counts: CpuCounts) -> None:
    await machine.look(counts)
    machine.boot.write_text("second\n")
    machine.work(300, busy=600)

    assert (await machine.look(counts)).value is None


async def test_a_counter_or_clock_that_went_back_is_no_load(machine: Machine, counts: CpuCounts) -> None:
    await machine.look(counts)
    machine.work(100, busy=-40)
    assert (await machine.look(counts)).value == 0.0
    machine.work(-500, busy=10)
    assert (await machine.look(counts)).value is None


@pytest.mark.parametrize("text", ["", "{", "[1]", '[["x", "y", 1, 2]]', "[[]]", "null", "\x00"])
async def test_a_damaged_file_means_that_nothing_is_remembered(text: str, machine: Machine, tmp_path: Path) -> None:
    path = tmp_path / "counts.json"
    path.write_text(text)

    assert (await machine.look(CountsInFile(path))).value is None
    assert len(json.loads(path.read_text())) == 1, "and it is whole again"


async def test_a_home_that_is_not_there_is_not_made(machine: Machine, tmp_path: Path) -> None:
    counts = CountsInFile(tmp_path / "home" / "counts.json")

    assert (await machine.look(counts)).status is HEALTHY
    assert not (tmp_path / "home").exists()


async def test_without_a_quota_the_whole_machine_counts(tmp_path: Path) -> None:
    stat = tmp_path / "stat"
    moments = iter((100.0, 200.0))
    probe = CpuProbe(
        percent=80,
        counts=CountsInMemory(),
        limits=ControlGroup(root=tmp_path, membership=tmp_path / "none"),
        stat=stat,
        now=lambda: next(moments),
    )
    # user nice system idle iowait irq softirq steal guest guest_nice, in ticks
    stat.write_text("cpu  100 0 100 1000 500 0 0 0 7 7\ncpu0 1 1 1 1\n")
    await probe.measure()
    stat.write_text("cpu  1100 0 100 9000 9000 0 0 0 8 8\ncpu0 1 1 1 1\n")

    found = await probe.measure()

    cores = found.figures["cores"]
    assert isinstance(cores, int)
    assert found.value == pytest.approx(10 / cores), "1000 ticks are 10 s, of 100 s of each core"


def memory_probe(tmp_path: Path, *, available: int, limit: int | None = None, used: int = 0) -> MainMemoryProbe:
    (tmp_path / "meminfo").write_text(f"MemTotal: 1000 kB\nMemFree: 1 kB\nMemAvailable: {available} kB\nHuge: 0\n")
    (tmp_path / "membership").write_text("0::/\n")
    if limit is not None:
        (tmp_path / "memory.max").write_text(str(limit))
        (tmp_path / "memory.current").write_text(str(used))
    limits = ControlGroup(root=tmp_path, membership=tmp_path / "membership")
    return MainMemoryProbe(percent=85, limits=limits, meminfo=tmp_path / "meminfo")


@pytest.mark.parametrize(("available", "status"), [(500, HEALTHY), (150, HEALTHY), (149, WARNING), (60, CRITICAL)])
async def test_memory_of_the_machine(available: int, status: HealthStatus, tmp_path: Path) -> None:
    found = await memory_probe(tmp_path, available=available).measure()

    assert found.status is status
    assert "this machine's 1.0 MB" in found.summary
    assert (found.hint is None) == (status is HEALTHY)


async def test_a_container_at_its_limit_is_in_danger_on_an_idle_machine(tmp_path: Path) -> None:
    found = await memory_probe(tmp_path, available=900, limit=1000, used=980).measure()

    assert (found.status, found.value, found.figures["container"]) == (CRITICAL, 98.0, True)
    assert "the container's" in found.summary


async def test_a_container_without_need_on_a_full_machine_is_in_danger_too(tmp_path: Path) -> None:
    found = await memory_probe(tmp_path, available=50, limit=1000, used=100).measure()

    assert (found.status, found.figures["container"]) == (CRITICAL, False)


def disk_probe(*folders: Path, percent: float = 90) -> DiskProbe:
    return DiskProbe(id="d", title="Disk", group="system", folders=folders, percent=percent, hint="clean up")


async def test_a_folder_that_is_not_there_yet_is_judged_by_the_one_that_it_will_be_made_in(tmp_path: Path) -> None:
    there = await disk_probe(tmp_path, percent=100).measure()
    not_there = await disk_probe(tmp_path / "a" / "b", percent=100).measure()

    assert there.value == pytest.approx(not_there.value, abs=1)
    assert str(tmp_path / "a" / "b") in not_there.summary


async def test_the_threshold_decides(tmp_path: Path) -> None:
    found = await disk_probe(tmp_path, percent=0.0001).measure()

    assert (found.status, found.hint) == (WARNING, "clean up") or found.status is CRITICAL
    assert 0 < (found.value or 0) <= 100
