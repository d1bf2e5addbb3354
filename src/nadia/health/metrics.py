"""What the last health check of this process found."""

from collections.abc import Mapping
from typing import Final

from nadia.health.models import HealthReport, HealthStatus
from nadia.metrics import gauge

STATUS = gauge(
    "nadia_health_status",
    "What this process's last health check found: 0 healthy, 1 unknown, 2 warning, 3 critical.",
    ("probe",),
)
CHECKED = gauge("nadia_health_checked_timestamp_seconds", "When this process last checked, seconds since 1970.")

LEVELS: Final[Mapping[HealthStatus, int]] = {status: level for level, status in enumerate(HealthStatus)}


def show(report: HealthReport) -> None:
    """Set the gauges to a report."""
    for probe in report.probes:
        STATUS.labels(probe.id).set(LEVELS[probe.status])
    CHECKED.set(report.checked_at.timestamp())
