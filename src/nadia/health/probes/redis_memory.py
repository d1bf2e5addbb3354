"""How much memory Redis uses (baseline 1.1: 200 MB)."""

from dataclasses import dataclass
from typing import ClassVar, Final

from nadia.health.models import HealthStatus
from nadia.health.probe import Finding
from nadia.health.redis_reading import RedisReader

NEARLY_FULL: Final = 0.9
"""Share of the server's own limit from which it is critical: beyond it, `noeviction` refuses every write."""


@dataclass(frozen=True, kw_only=True)
class RedisMemoryProbe:
    """Compares the memory in use with a bound, and with the server's own limit.

    Parameters
    ----------
    server : RedisReader
        Whom to ask; of a cluster, the fullest primary counts.
    megabytes : float
        Memory above which there is a warning, 10^6 bytes.
    """

    server: RedisReader
    megabytes: float

    id: ClassVar[str] = "redis-memory"
    title: ClassVar[str] = "Redis memory"
    group: ClassVar[str] = "redis"

    async def measure(self) -> Finding:
        """Look; raises UnavailableError while Redis is away."""
        servers = (await self.server.read()).servers
        used = max(server.used_bytes for server in servers)
        threshold = self.megabytes * 1e6
        status, summary, hint = HealthStatus.HEALTHY, f"{used / 1e6:.1f} MB in use", None
        if used > threshold:
            status = HealthStatus.WARNING
            hint = "`nadia workflow redis-health` says which keys take it; NADIA itself needs far less"
        for server in servers:
            if server.most_bytes and server.used_bytes >= NEARLY_FULL * server.most_bytes:
                used, threshold, status = server.used_bytes, NEARLY_FULL * server.most_bytes, HealthStatus.CRITICAL
                summary = f"{used / 1e6:.1f} MB of the server's limit of {server.most_bytes / 1e6:.1f} MB in use"
                hint = "raise its maxmemory: when it is full it refuses every write"
        return Finding(status=status, summary=summary, value=used, unit="bytes", threshold=threshold, hint=hint)
