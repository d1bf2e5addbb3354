"""Whether Redis answers, in good time, and takes writes."""

import asyncio
from dataclasses import dataclass
from typing import ClassVar, Final

from nadia.errors import UnavailableError
from nadia.health.models import HealthStatus
from nadia.health.probe import Finding
from nadia.health.redis_reading import RedisReader, RedisReading
from nadia.health.wording import lasting

SLOW_SECONDS: Final = 1.0
"""Far more than any command of ours takes, also on a machine that is busy with other things."""


@dataclass(frozen=True, kw_only=True)
class RedisConnectionProbe:
    """Asks Redis how it is.

    Parameters
    ----------
    server : RedisReader
        Whom to ask.
    patience_seconds : float
        After which no answer is an answer: less than the time that the checker gives a probe.
    """

    server: RedisReader
    patience_seconds: float

    id: ClassVar[str] = "redis-connection"
    title: ClassVar[str] = "Redis"
    group: ClassVar[str] = "redis"

    async def measure(self) -> Finding:
        """Look; no answer is critical here, not unknown."""
        try:
            async with asyncio.timeout(self.patience_seconds):
                reading = await self.server.read()
        except TimeoutError:
            return Finding(
                status=HealthStatus.CRITICAL,
                summary=f"did not answer within {lasting(self.patience_seconds)}",
                value=self.patience_seconds,
                unit="seconds",
                threshold=SLOW_SECONDS,
                hint="the server accepts and does not answer: is it stopped, swapping, or at a huge command?",
            )
        except UnavailableError as exc:
            return Finding(status=HealthStatus.CRITICAL, summary=exc.message, hint=exc.hint)
        status, summary, hint = _judge(reading)
        return Finding(
            status=status,
            summary=summary,
            value=reading.latency_seconds,
            unit="seconds",
            threshold=SLOW_SECONDS,
            hint=hint,
            figures={"servers": len(reading.servers), "version": reading.servers[0].version},
        )


def _judge(reading: RedisReading) -> tuple[HealthStatus, str, str | None]:
    if not all(server.is_primary for server in reading.servers):
        return HealthStatus.CRITICAL, "is a replica and takes no writes", "point REDIS_URL at the primary"
    if any(server.is_loading for server in reading.servers):
        return HealthStatus.CRITICAL, "still reads its files and serves nothing else", "wait; its log says how far"
    if not all(server.writes_files for server in reading.servers):
        return (
            HealthStatus.WARNING,
            "answers, but could not write its files the last time",
            "is its disk full? It may refuse writes until that is mended",
        )
    if reading.latency_seconds > SLOW_SECONDS:
        return (
            HealthStatus.WARNING,
            f"takes {lasting(reading.latency_seconds)} to answer",
            "`nadia workflow redis-health` shows its slow log",
        )
    return HealthStatus.HEALTHY, f"answers in {lasting(reading.latency_seconds)}", None
