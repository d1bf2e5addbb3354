"""How much of the memory is in use, of this machine or of what the container may have."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final

from nadia.health.control_group import ControlGroup, MemoryLimit
from nadia.health.models import HealthStatus
from nadia.health.probe import Finding
from nadia.health.shares import critical_above, megabytes

MEMINFO: Final = Path("/proc/meminfo")


@dataclass(frozen=True, kw_only=True)
class MainMemoryProbe:
    """Looks at the machine's memory and at the container's limit; the one that is nearer to its end counts.

    Parameters
    ----------
    percent : float
        Share in use above which there is a warning.
    limits : ControlGroup
        The container's.
    meminfo : Path
        Where Linux tells of the machine's memory.
    """

    id: ClassVar[str] = "main-memory"
    title: ClassVar[str] = "Main memory"
    group: ClassVar[str] = "system"

    percent: float
    limits: ControlGroup
    meminfo: Path = MEMINFO

    async def measure(self) -> Finding:
        """Say how much is in use."""
        machine, container = self._of_machine(), self.limits.memory()
        fullest = max(filter(None, (machine, container)), key=lambda memory: memory.used / memory.limit)
        share = 100 * fullest.used / fullest.limit
        whose = "this machine's" if fullest is machine else "the container's"
        status = HealthStatus.HEALTHY
        if share > self.percent:
            status = HealthStatus.CRITICAL if share > critical_above(self.percent) else HealthStatus.WARNING
        return Finding(
            status=status,
            summary=f"{share:.0f} % of {whose} {megabytes(fullest.limit)} in use",
            value=share,
            unit="percent",
            threshold=self.percent,
            hint=None
            if status is HealthStatus.HEALTHY
            else "`ps aux --sort=-rss | head` shows what takes it: at the end of it the system kills processes",
            figures={"used_bytes": fullest.used, "limit_bytes": fullest.limit, "container": fullest is container},
        )

    def _of_machine(self) -> MemoryLimit:
        if not self.meminfo.exists():  # not Linux
            import psutil

            memory = psutil.virtual_memory()
            return MemoryLimit(limit=memory.total, used=memory.total - memory.available)
        fields = {
            name: int(rest.split()[0]) * 1024
            for name, _, rest in (line.partition(":") for line in self.meminfo.read_text(encoding="ascii").splitlines())
            if name in ("MemTotal", "MemAvailable")
        }
        return MemoryLimit(limit=fields["MemTotal"], used=fields["MemTotal"] - fields["MemAvailable"])
