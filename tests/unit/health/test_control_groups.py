"""What limits a container: read from trees of files as the kernel lays them out."""

from pathlib import Path

import pytest

from nadia.health.control_group import ControlGroup, MemoryLimit

GIB = 1 << 30


def tree(root: Path, **files: str) -> None:
    """Write files; their names have ``__`` for a slash and ``_dot_`` for a dot."""
    for name, text in files.items():
        path = root / name.replace("__", "/").replace("_dot_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")


def group(root: Path, membership: str) -> ControlGroup:
    (root / "membership").write_text(membership)
    return ControlGroup(root=root / "cgroup", membership=root / "membership")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "cgroup"


def test_a_container_of_version_2_sees_its_own_group_as_the_topmost(root: Path, tmp_path: Path) -> None:
    tree(
        root,
        cpu_dot_max="150000 100000",
        cpu_dot_stat="usage_usec 2500000\nuser_usec 1",
        memory_dot_max=str(GIB),
        memory_dot_current="700",
        memory_dot_stat="anon 1\ninactive_file 300",
    )
    limits = group(tmp_path, "0::/\n")

    cpu = limits.cpu()
    assert cpu is not None
    assert (cpu.cores, cpu.used_seconds) == (1.5, 2.5)
    assert limits.memory() == MemoryLimit(limit=GIB, used=400)


def test_the_tightest_of_the_groups_around_a_process_counts(root: Path, tmp_path: Path) -> None:
    tree(root, a__cpu_dot_max="100000 100000", a__cpu_dot_stat="usage_usec 9000000")
    tree(root, a__b__cpu_dot_max="400000 100000", a__b__cpu_dot_stat="usage_usec 1000000")
    tree(root, a__memory_dot_max="1000", a__memory_dot_current="900", a__memory_dot_stat="inactive_file 0")
    tree(root, a__b__memory_dot_max="500", a__b__memory_dot_current="100", a__b__memory_dot_stat="inactive_file 0")
    limits = group(tmp_path, "0::/a/b\n")

    cpu = limits.cpu()
    assert cpu is not None
    assert (cpu.cores, cpu.used_seconds) == (1.0, 9.0)
    assert limits.memory() == MemoryLimit(limit=1000, used=900)


def test_version_1_has_a_tree_for_each_controller(root: Path, tmp_path: Path) -> None:
    tree(root, cpu__x__cpu_dot_cfs_quota_us="50000", cpu__x__cpu_dot_cfs_period_us="100000")
    tree(root, cpuacct__x__cpuacct_dot_usage="7000000000")
    tree(root, memory__x__memory_dot_limit_in_bytes=str(GIB), memory__x__memory_dot_usage_in_bytes="900")
    tree(root, memory__x__memory_dot_stat="total_inactive_file 100")
    limits = group(tmp_path, "4:memory:/x\n3:cpu,cpuacct:/x\n1:name=systemd:/x\n0::/\n")

    cpu = limits.cpu()
    assert cpu is not None
    assert (cpu.cores, cpu.used_seconds) == (0.5, 7.0)
    assert limits.memory() == MemoryLimit(limit=GIB, used=800)


def test_a_group_named_as_the_machine_sees_it_is_found_at_the_top(root: Path, tmp_path: Path) -> None:
    tree(root, memory__memory_dot_limit_in_bytes=str(GIB), memory__memory_dot_usage_in_bytes="1")

    assert group(tmp_path, "4:memory:/docker/0123abcd\n").memory() == MemoryLimit(limit=GIB, used=1)


def test_no_limit_is_none(root: Path, tmp_path: Path) -> None:
    tree(root, cpu_dot_max="max 100000", cpu_dot_stat="usage_usec 1", memory_dot_max="max", memory_dot_current="5")
    tree(root, memory__memory_dot_limit_in_bytes="9223372036854771712", memory__memory_dot_usage_in_bytes="5")
    tree(root, cpu__cpu_dot_cfs_quota_us="-1", cpu__cpu_dot_cfs_period_us="100000")
    limits = group(tmp_path, "4:memory:/\n3:cpu,cpuacct:/\n0::/\n")

    assert limits.cpu() is None
    assert limits.memory() is None


@pytest.mark.parametrize("text", ["", "nonsense", "0::/../../etc\n", "\x00\xff", "1:2\n"])
def test_what_cannot_be_read_limits_nothing(text: str, root: Path, tmp_path: Path) -> None:
    root.mkdir()
    (root / "cpu.max").write_bytes(b"\xff\xfe garbage")
    (root / "memory.max").write_text("-5\n")

    limits = group(tmp_path, text)

    assert limits.cpu() is None
    assert limits.memory() is None


def test_a_system_without_control_groups_limits_nothing(tmp_path: Path) -> None:
    limits = ControlGroup(root=tmp_path / "none", membership=tmp_path / "none")

    assert limits.cpu() is None
    assert limits.memory() is None


def test_this_very_machine_s_groups_can_be_read() -> None:
    limits = ControlGroup()

    memory, cpu = limits.memory(), limits.cpu()

    assert memory is None or 0 < memory.used <= memory.limit
    assert cpu is None or (cpu.cores > 0 and cpu.used_seconds > 0)
