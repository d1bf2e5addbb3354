"""How busy the processors are, of this machine or of the container's share of it."""

import json
import os
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final, Protocol

from nadia.health.control_group import ControlGroup
from nadia.health.models import HealthStatus
from nadia.health.probe import Finding
from nadia.health.wording import lasting

SHORTEST_SECONDS: Final = 5.0
"""Less than this is a moment and no load, and mostly this very check."""

LONGEST_SECONDS: Final = 900.0
"""Over more than this, what is going on now is lost in the mean: three times as long as from one check to the next."""

_SINCE_START: Final[int] = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)

STAT: Final = Path("/proc/stat")
BOOT: Final = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True, slots=True)
class CpuCount:
    """What the kernel had counted at one moment.

    Parameters
    ----------
    of : str
        Whose counter: this start of the machine, or a group of it. Two of different counters say nothing together.
    at : float
        Seconds since the machine started.
    busy_seconds : float
        CPU time that was used.
    cores : float
        What can be used at once.
    """

    of: str
    at: float
    busy_seconds: float
    cores: float


class CpuCounts(Protocol):
    """Remembers counts from one check to the next."""

    def recall(self) -> list[CpuCount]:
        """Return what is remembered, oldest first."""

    def remember(self, counts: list[CpuCount]) -> None:
        """Remember these in the place of all others."""


class CountsInMemory:
    """For a process that goes on."""

    def __init__(self) -> None:
        self._counts: list[CpuCount] = []

    def recall(self) -> list[CpuCount]:
        """Return what is remembered, oldest first."""
        return self._counts

    def remember(self, counts: list[CpuCount]) -> None:
        """Remember these in the place of all others."""
        self._counts = counts


class CountsInFile:
    """For a command that ends; a file that cannot be read or written means that nothing is remembered.

    Parameters
    ----------
    path : Path
        The file; its folder is not made.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def recall(self) -> list[CpuCount]:
        """Return what is remembered, oldest first."""
        try:
            found = json.loads(self._path.read_text(encoding="utf-8"))
            return [CpuCount(str(of), float(at), float(busy), float(cores)) for of, at, busy, cores in found]
        except (OSError, ValueError, TypeError):
            return []

    def remember(self, counts: list[CpuCount]) -> None:
        """Remember these in the place of all others."""
        draft = self._path.with_name(f".{self._path.name}.{os.getpid()}")
        with suppress(OSError):
            draft.write_text(json.dumps([[c.of, c.at, c.busy_seconds, c.cores] for c in counts]), encoding="utf-8")
            draft.replace(self._path)


@dataclass(frozen=True, kw_only=True)
class CpuProbe:
    """Compares the kernel's counter with that of an earlier check: sampling now would measure this check's start.

    Parameters
    ----------
    percent : float
        Share in use above which there is a warning.
    counts : CpuCounts
        Where the earlier checks' counts are.
    limits : ControlGroup
        The container's.
    stat, boot : Path
        Where Linux tells what its processors did, and which start of the machine this is.
    now : callable
        Returns seconds since the machine started.
    """

    id: ClassVar[str] = "cpu"
    title: ClassVar[str] = "CPU"
    group: ClassVar[str] = "system"

    percent: float
    counts: CpuCounts
    limits: ControlGroup
    stat: Path = STAT
    boot: Path = BOOT
    now: Callable[[], float] = lambda: time.clock_gettime(_SINCE_START)

    async def measure(self) -> Finding:
        """Say how busy the processors were since an earlier check."""
        count = self._count()
        comparable = [
            past for past in self.counts.recall() if past.of == count.of and 0 <= count.at - past.at <= LONGEST_SECONDS
        ]
        old_enough = [past for past in comparable if count.at - past.at >= SHORTEST_SECONDS]
        # The one to compare with, and those that take its place when they are old enough.
        self.counts.remember([*old_enough[-1:], *comparable[len(old_enough) :][:1], count])
        if not old_enough:
            return Finding(
                status=HealthStatus.HEALTHY,
                summary="load is measured from one check to the next, and there was none in the last 15 min",
                unit="percent",
                threshold=self.percent,
                figures={"cores": count.cores},
            )
        past = old_enough[-1]
        seconds = count.at - past.at
        load = 100 * max(0.0, count.busy_seconds - past.busy_seconds) / (seconds * count.cores)
        above = load > self.percent
        return Finding(
            status=HealthStatus.WARNING if above else HealthStatus.HEALTHY,
            summary=f"{load:.0f} % of {count.cores:g} cores in use over {lasting(seconds)}",
            value=load,
            unit="percent",
            threshold=self.percent,
            hint="`top` shows which process it is; give NADIA more CPU, or move a role to another machine"
            if above
            else None,
            figures={"cores": count.cores, "over_seconds": seconds},
        )

    def _count(self) -> CpuCount:
        at = self.now()
        if limit := self.limits.cpu():
            return CpuCount(f"{self._start_of_machine()} {limit.group}", at, limit.used_seconds, limit.cores)
        return CpuCount(self._start_of_machine(), at, self._busy_seconds(), os.cpu_count() or 1)

    def _busy_seconds(self) -> float:
        if not self.stat.exists():  # not Linux
            import psutil

            times = psutil.cpu_times()
            return float(sum(times) - times.idle)
        # user, nice, system, idle, iowait, irq, softirq, steal: man 5 proc
        ticks = [int(word) for word in self.stat.read_text(encoding="ascii").partition("\n")[0].split()[1:9]]
        return (sum(ticks) - ticks[3] - ticks[4]) / os.sysconf("SC_CLK_TCK")

    def _start_of_machine(self) -> str:
        try:
            return self.boot.read_text(encoding="ascii").strip()
        except OSError:
            return ""
