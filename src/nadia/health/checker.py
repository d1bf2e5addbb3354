"""`HealthChecker` (baseline 1.1): every probe at once, each with its own time-out."""

import asyncio
import time
from collections.abc import Collection, Sequence
from typing import Final

import structlog

from nadia.clock import Clock, utc_now
from nadia.errors import InvalidInputError, UnavailableError
from nadia.health.models import HealthReport, HealthStatus, ProbeResult
from nadia.health.probe import Finding, Probe

log = structlog.get_logger(__name__)

DOCS: Final = "docs/operations/health.md"

GROUPS: Final = ("postgres", "redis", "queues", "memory", "telegram", "models", "system", "installation", "jobs")
"""The parts that probes belong to, in the order in which people read them."""


class HealthChecker:
    """Runs probes and reports. One that hangs or fails delays and spoils no other.

    Parameters
    ----------
    probes : sequence of Probe
        What to look at.
    timeout_seconds : float
        Longest that one probe may take.
    clock : callable
        Returns the present.
    """

    def __init__(self, *, probes: Sequence[Probe], timeout_seconds: float, clock: Clock = utc_now) -> None:
        self._probes = tuple(sorted(probes, key=lambda probe: GROUPS.index(probe.group)))
        self._timeout_seconds = timeout_seconds
        self._clock = clock

    @property
    def probes(self) -> Sequence[Probe]:
        """What is looked at, in the order of reports."""
        return self._probes

    async def check_all(self) -> bool:
        """Say whether everything is healthy (baseline 1.1); `report` says what is not."""
        return (await self.report()).status is HealthStatus.HEALTHY

    async def check_redis_connection(self) -> list[ProbeResult]:
        """Look at Redis: whether it answers, and its memory, 200 MB by default (baseline 1.1)."""
        return await self._group("redis")

    async def check_message_queues(self) -> list[ProbeResult]:
        """Look at what waits: 100 sealed batches, 50 items of review by default (baseline 1.1)."""
        return await self._group("queues")

    async def check_conversation_memory(self) -> list[ProbeResult]:
        """Look at the conversations' memory in Redis: parsable, in order, bounded, as PostgreSQL has it."""
        return await self._group("memory")

    async def check_system_resources(self) -> list[ProbeResult]:
        """Look at CPU (80 %), memory (85 %) and disk (90 % by default) of this machine or container (baseline 1.1)."""
        return await self._group("system")

    async def report(self, only: Collection[str] = ()) -> HealthReport:
        """Run the probes and report.

        Parameters
        ----------
        only : collection of str
            Ids of the probes to run; all when empty.

        Raises
        ------
        InvalidInputError
            If there is no such probe.
        """
        known = [probe.id for probe in self._probes]
        for wanted in only:
            if wanted not in known:
                raise InvalidInputError(
                    f"there is no probe {wanted!r}", field="probe", hint=f"there are {', '.join(known)}"
                )
        chosen = [probe for probe in self._probes if not only or probe.id in only]
        checked_at, begun = self._clock(), time.monotonic()
        results = await self._run(chosen)
        status = HealthStatus.worst(result.status for result in results)
        return HealthReport(
            checked_at=checked_at,
            status=status,
            summary=_summary(results),
            seconds=time.monotonic() - begun,
            probes=results,
        )

    async def _group(self, group: str) -> list[ProbeResult]:
        return await self._run([probe for probe in self._probes if probe.group == group])

    async def _run(self, probes: Sequence[Probe]) -> list[ProbeResult]:
        return list(await asyncio.gather(*(self._look(probe) for probe in probes)))

    async def _look(self, probe: Probe) -> ProbeResult:
        begun = time.monotonic()
        try:
            async with asyncio.timeout(self._timeout_seconds):
                finding = await probe.measure()
        except TimeoutError:
            finding = Finding(
                status=HealthStatus.UNKNOWN,
                summary=f"did not answer within {self._timeout_seconds:g} s",
                hint="something it asks hangs: look at what else is not healthy",
            )
        except UnavailableError as exc:
            finding = Finding(status=HealthStatus.UNKNOWN, summary=f"cannot be judged: {exc.message}", hint=exc.hint)
        except Exception as exc:  # a probe that is wrong must not hide what the others found
            log.exception("health.probe_failed", probe=probe.id)
            finding = Finding(
                status=HealthStatus.UNKNOWN,
                summary=f"the probe itself failed ({type(exc).__name__})",
                hint="the log has the traceback: please report it",
            )
        return ProbeResult(
            id=probe.id,
            title=probe.title,
            group=probe.group,
            status=finding.status,
            summary=finding.summary,
            value=finding.value,
            unit=finding.unit,
            threshold=finding.threshold,
            hint=finding.hint,
            docs=f"{DOCS}#{probe.id}",
            seconds=time.monotonic() - begun,
            figures=dict(finding.figures),
        )


def _summary(results: Sequence[ProbeResult]) -> str:
    concerned = [result for result in results if result.status is not HealthStatus.HEALTHY]
    if not concerned:
        return "everything is well"
    concerned.sort(key=lambda result: list(HealthStatus).index(result.status), reverse=True)
    return "; ".join(f"{result.title}: {result.summary}" for result in concerned[:3]) + (
        f"; and {len(concerned) - 3} more" if len(concerned) > 3 else ""
    )
