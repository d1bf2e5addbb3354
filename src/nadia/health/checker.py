"""`HealthChecker` (baseline 1.1): every probe at once, each with its own time-out."""

import asyncio
import time
from collections.abc import Callable, Collection, Sequence
from typing import Final

import structlog

from nadia.clock import Clock, utc_now
from nadia.errors import InvalidInputError, UnavailableError
from nadia.health.models import HealthReport, HealthStatus, ProbeResult
from nadia.health.probe import Finding, Probe

log = structlog.get_logger(__name__)

DOCS: Final = "docs/operations/health.md"

_LAST_WORDS_SECONDS: Final = 0.1

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
    told : callable, optional
        Is handed each report, such as `nadia.health.metrics.show`.
    """

    def __init__(
        self,
        *,
        probes: Sequence[Probe],
        timeout_seconds: float,
        clock: Clock = utc_now,
        told: Callable[[HealthReport], None] | None = None,
    ) -> None:
        self._probes = tuple(sorted(probes, key=lambda probe: GROUPS.index(probe.group)))
        self._timeout_seconds = timeout_seconds
        self._clock = clock
        self._told = told
        self._left_behind: set[asyncio.Task[ProbeResult]] = set()

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
        report = HealthReport(
            checked_at=checked_at,
            status=status,
            summary=_summary(results),
            seconds=time.monotonic() - begun,
            probes=results,
        )
        if self._told is not None:
            self._told(report)
        return report

    async def _group(self, group: str) -> list[ProbeResult]:
        return await self._run([probe for probe in self._probes if probe.group == group])

    async def _run(self, probes: Sequence[Probe]) -> list[ProbeResult]:
        looks = [asyncio.create_task(self._look(probe), name=f"health.{probe.id}") for probe in probes]
        in_time: set[asyncio.Task[ProbeResult]] = set()
        try:
            if looks:
                in_time, _ = await asyncio.wait(looks, timeout=self._timeout_seconds)
        finally:
            await self._give_up([look for look in looks if not look.done()])
        return [
            look.result() if look in in_time else self._result(probe, self._unanswered(), self._timeout_seconds)
            for probe, look in zip(probes, looks, strict=True)
        ]

    async def _give_up(self, looks: Collection[asyncio.Task[ProbeResult]]) -> None:
        """Cancel what hangs, and leave behind what hangs even then: nobody waits for it."""
        # Twice, because psycopg answers the first by asking the server to end its statement, and may wait for that.
        for _ in range(2):
            for look in looks:
                look.cancel()
            if looks:
                _, looks = await asyncio.wait(looks, timeout=_LAST_WORDS_SECONDS)
        for look in looks:
            self._left_behind.add(look)
            look.add_done_callback(self._left_behind.discard)

    async def _look(self, probe: Probe) -> ProbeResult:
        begun = time.monotonic()
        try:
            finding = await probe.measure()
        except UnavailableError as exc:
            finding = Finding(status=HealthStatus.UNKNOWN, summary=f"cannot be judged: {exc.message}", hint=exc.hint)
        except Exception as exc:  # a probe that is wrong must not hide what the others found
            log.exception("health.probe_failed", probe=probe.id)
            finding = Finding(
                status=HealthStatus.UNKNOWN,
                summary=f"the probe itself failed ({type(exc).__name__})",
                hint="the log has the traceback: please report it",
            )
        return self._result(probe, finding, time.monotonic() - begun)

    def _unanswered(self) -> Finding:
        return Finding(
            status=HealthStatus.UNKNOWN,
            summary=f"did not answer within {self._timeout_seconds:g} s",
            hint="something it asks hangs: look at what else is not healthy",
        )

    def _result(self, probe: Probe, finding: Finding, seconds: float) -> ProbeResult:
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
            seconds=seconds,
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
