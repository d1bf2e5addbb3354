"""`security-check`: what about this installation would help somebody who means harm."""

import asyncio
from collections.abc import Sequence
from typing import ClassVar

from nadia.accounts.models import Role
from nadia.clock import Clock, utc_now
from nadia.errors import NadiaError, UnavailableError
from nadia.health.models import HealthStatus
from nadia.workflows.report import ReportTable, WorkflowFinding, WorkflowReport
from nadia.workflows.security.scan import Scan, Scanner
from nadia.workflows.workflow import Arguments, Effect, Inquiry


class SecurityCheckArguments(Arguments):
    """Nothing: it looks at this installation."""


class SecurityCheck:
    """Runs every scanner; what one cannot see is said and hides nothing that the others found.

    Parameters
    ----------
    scanners : sequence of Scanner
        In the order of the report.
    clock : callable
        Returns the present.
    """

    name: ClassVar[str] = "security-check"
    question: ClassVar[str] = "What about this installation would help somebody who means harm?"
    arguments: ClassVar[type[Arguments]] = SecurityCheckArguments
    role: ClassVar[Role] = Role.ADMIN

    def __init__(self, *, scanners: Sequence[Scanner], clock: Clock = utc_now) -> None:
        self._scanners = tuple(scanners)
        self._clock = clock

    def effect(self, arguments: SecurityCheckArguments) -> Effect:
        """Return that it only reads."""
        return Effect.NONE

    async def run(self, arguments: SecurityCheckArguments) -> WorkflowReport:
        """Scan."""
        inquiry = Inquiry(self, clock=self._clock)
        scans = await asyncio.gather(*map(_scan, self._scanners))
        unreachable = [name for _, away in scans for name in away]
        findings = [finding for scan, _ in scans for finding in scan.findings]
        rows = [
            [scanner.title, scan.looked_at, len(scan.findings), scan.not_looked_at]
            for scanner, (scan, _) in zip(self._scanners, scans, strict=True)
        ]
        return inquiry.report(
            _answer(
                findings,
                unseen=[scanner.title for scanner, (_, away) in zip(self._scanners, scans, strict=True) if away],
            ),
            findings=findings,
            unreachable=unreachable,
            tables=[ReportTable(title="scans", columns=["what", "looked at", "findings", "not looked at"], rows=rows)],
        )


async def _scan(scanner: Scanner) -> tuple[Scan, list[str]]:
    try:
        return await scanner.scan(), []
    except UnavailableError as exc:
        return Scan(looked_at="nothing", not_looked_at=exc.message), ["PostgreSQL"]
    except NadiaError as exc:
        finding = WorkflowFinding(
            status=HealthStatus.UNKNOWN,
            subject=scanner.title,
            message=f"could not be looked at: {exc.message}",
            remedy=exc.hint,
        )
        return Scan(looked_at="nothing", findings=(finding,), not_looked_at=exc.message), []


def _answer(findings: Sequence[WorkflowFinding], *, unseen: Sequence[str]) -> str:
    grave = sum(finding.status is HealthStatus.CRITICAL for finding in findings)
    if not findings:
        said = "nothing that was found"
    elif grave:
        said = f"{_count(len(findings), 'thing')}, of which {grave} can be used today"
    else:
        said = f"{_count(len(findings), 'thing')}, none of which can be used by itself"
    return said + (f"; not looked at: {', '.join(unseen)}" if unseen else "")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
