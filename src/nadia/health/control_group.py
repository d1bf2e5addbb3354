"""The limits of the container that this process runs in: control groups of Linux, version 2 and version 1.

Their files are described in the kernel's Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_MICROSECONDS: Final = 1e-6
_NANOSECONDS: Final = 1e-9

_BOUNDLESS: Final = 1 << 60
"""Version 1 writes "no limit" as the largest multiple of a page that fits; no machine has this much."""


@dataclass(frozen=True, slots=True)
class CpuLimit:
    """How much CPU a group may use, and how much it has used.

    Parameters
    ----------
    cores : float
        Most that it may use at once.
    used_seconds : float
        CPU time since the group was made.
    group : str
        Its folder; tells one group's counter from another's.
    """

    cores: float
    used_seconds: float
    group: str


@dataclass(frozen=True, slots=True)
class MemoryLimit:
    """How much memory a group may use, and how much it cannot do without, bytes."""

    limit: int
    used: int


class ControlGroup:
    """What limits this process, of its own group and those around it.

    Parameters
    ----------
    root : Path
        Where the groups' folders are.
    membership : Path
        Where the kernel tells of which groups this process is a member.
    """

    def __init__(self, *, root: Path = Path("/sys/fs/cgroup"), membership: Path = Path("/proc/self/cgroup")) -> None:
        self._root = root
        self._membership = membership

    def cpu(self) -> CpuLimit | None:
        """Return the tightest limit of CPU time; None where there is none."""
        found = [*self._cpu_of_version_2(), *self._cpu_of_version_1()]
        return min(found, key=lambda limit: limit.cores, default=None)

    def memory(self) -> MemoryLimit | None:
        """Return the limit of memory that is nearest; None where there is none.

        What is used is what counts against the limit, less the pages of files that the kernel takes back first.
        """
        found = [*self._memory_of_version_2(), *self._memory_of_version_1()]
        return max(found, key=lambda limit: limit.used / limit.limit, default=None)

    def _cpu_of_version_2(self) -> Iterator[CpuLimit]:
        for folder in self._folders(""):
            quota, _, period = _text(folder / "cpu.max").partition(" ")
            used = _fields(folder / "cpu.stat").get("usage_usec")
            if quota.isdecimal() and period.isdecimal() and used is not None:
                yield CpuLimit(int(quota) / int(period), used * _MICROSECONDS, str(folder))

    def _cpu_of_version_1(self) -> Iterator[CpuLimit]:
        for folder in self._folders("cpu"):
            quota, period = _number(folder / "cpu.cfs_quota_us"), _number(folder / "cpu.cfs_period_us")
            accounts = self._root / "cpuacct" / folder.relative_to(self._root / "cpu")
            used = _number(accounts / "cpuacct.usage")
            if quota is not None and quota > 0 and period and used is not None:
                yield CpuLimit(quota / period, used * _NANOSECONDS, str(folder))

    def _memory_of_version_2(self) -> Iterator[MemoryLimit]:
        for folder in self._folders(""):
            limit, used = _number(folder / "memory.max"), _number(folder / "memory.current")
            if limit is not None and limit > 0 and used is not None:
                yield MemoryLimit(limit, max(0, used - _fields(folder / "memory.stat").get("inactive_file", 0)))

    def _memory_of_version_1(self) -> Iterator[MemoryLimit]:
        for folder in self._folders("memory"):
            limit = _number(folder / "memory.limit_in_bytes")
            used = _number(folder / "memory.usage_in_bytes")
            if limit is not None and 0 < limit < _BOUNDLESS and used is not None:
                inactive = _fields(folder / "memory.stat").get("total_inactive_file", 0)
                yield MemoryLimit(limit, max(0, used - inactive))

    def _folders(self, controller: str) -> Iterator[Path]:
        """Yield the folders of this process's group and of those around it; of version 2 without a controller."""
        top = self._root / controller
        path = self._path_of(controller)
        if path is None or not top.is_dir():
            return
        own = top / path
        # In a container the kernel may name the group as the machine sees it, while its folder is the topmost.
        folder = own if own.is_dir() and own.is_relative_to(top) else top
        while folder != top:
            yield folder
            folder = folder.parent
        yield top

    def _path_of(self, controller: str) -> str | None:
        for line in _text(self._membership).splitlines():
            _, separator, rest = line.partition(":")
            controllers, _, path = rest.partition(":")
            if separator and controller in controllers.split(","):
                return path.strip("/")
        return None


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""


def _number(path: Path) -> int | None:
    text = _text(path)
    return int(text) if text.removeprefix("-").isdecimal() else None


def _fields(path: Path) -> dict[str, int]:
    found = (line.partition(" ") for line in _text(path).splitlines())
    return {name: int(value) for name, _, value in found if value.isdecimal()}
