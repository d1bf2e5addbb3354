"""What a scanner is: one look for one kind of weakness. No finding ever holds the secret that it is about."""

from dataclasses import dataclass
from typing import Protocol

from nadia.health.models import HealthStatus
from nadia.workflows.report import WorkflowFinding


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """What a scanner did.

    Parameters
    ----------
    looked_at : str
        How much it saw, such as ``12 files``.
    findings : tuple of WorkflowFinding
        What it found.
    not_looked_at : str or None
        What it could not see, and why.
    """

    looked_at: str
    findings: tuple[WorkflowFinding, ...] = ()
    not_looked_at: str | None = None


class Scanner(Protocol):
    """Looks for one kind of weakness; changes nothing."""

    @property
    def title(self) -> str:
        """What it looks through, for people."""

    async def scan(self) -> Scan:
        """Look.

        Raises
        ------
        UnavailableError
            If what it needs is away.
        """


def critical(subject: str, message: str, remedy: str) -> WorkflowFinding:
    """Return a finding that somebody could use today."""
    return WorkflowFinding(status=HealthStatus.CRITICAL, subject=subject, message=message, remedy=remedy)


def warning(subject: str, message: str, remedy: str) -> WorkflowFinding:
    """Return a finding that makes another one worse, or will be one."""
    return WorkflowFinding(status=HealthStatus.WARNING, subject=subject, message=message, remedy=remedy)
