"""The operations console: its page and its JSON API."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from enum import IntEnum
from typing import Final

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from nadia.alerting.models import Alert
from nadia.alerting.service import Alerts
from nadia.clock import Clock, utc_now
from nadia.health.checker import HealthChecker
from nadia.health.figures import FigureHistory
from nadia.health.models import HealthReport
from nadia.recovery.status import RecoveryStatus
from nadia.web.console_view import STATUS_TONES, Console
from nadia.web.identity import Viewer
from nadia.web.pages import page
from nadia.workflows.run_history import RunHistory
from nadia.workflows.schedule_state import DaemonState

FRESH_SECONDS: Final = 5.0
"""How old a health report may be that a page is shown: many open pages cost one check."""


class Hours(IntEnum):
    """How far back charts can go."""

    ONE = 1
    SIX = 6
    DAY = 24


def console_router(
    *,
    health: HealthChecker,
    figures: FigureHistory,
    runs: RunHistory,
    daemon: Callable[[], Awaitable[DaemonState | None]],
    alerts: Alerts,
    recovery: RecoveryStatus,
    clock: Clock = utc_now,
) -> APIRouter:
    """Build the console's routes; `nadia.web.console_view.Console` says what each part is."""
    report = _Recent(health.report, seconds=FRESH_SECONDS)
    console = Console(
        report=report, figures=figures, runs=runs, daemon=daemon, alerts=alerts, recovery=recovery, clock=clock
    )
    router = APIRouter()

    @router.get("/operations", include_in_schema=False)
    async def operations_page(request: Request, _: Viewer, hours: Hours = Hours.SIX) -> Response:
        """Show the state of every part."""
        overview = await console.overview(hours=hours.value)
        return await page(request, "operations.html", overview=overview, tones=STATUS_TONES)

    @router.get("/api/v1/health", tags=["operations"])
    async def health_report(_: Viewer) -> HealthReport:
        """Say how every part is, as `nadia health --json` does; a few seconds old at most."""
        return await report()

    @router.get("/api/v1/alerts", tags=["operations"])
    async def firing(_: Viewer) -> list[Alert]:
        """List what is wrong and not known to be over, worst first."""
        return await alerts.current()

    @router.get("/api/v1/daemon", tags=["operations"])
    async def daemon_state(_: Viewer) -> DaemonState | None:
        """Return what the active daemon last said of itself; null if there is none."""
        return await daemon()

    return router


class _Recent:
    """Gives the last report while it is fresh; whoever asks meanwhile waits for the check that runs."""

    def __init__(self, check: Callable[[], Awaitable[HealthReport]], *, seconds: float) -> None:
        self._check = check
        self._seconds = seconds
        self._checking = asyncio.Lock()
        self._found: HealthReport | None = None
        self._until = 0.0

    async def __call__(self) -> HealthReport:
        async with self._checking:
            if self._found is None or time.monotonic() >= self._until:
                self._found = await self._check()
                self._until = time.monotonic() + self._seconds
            return self._found
