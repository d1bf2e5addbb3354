"""What `RecoveryHealthChecker` reports, as data with a published schema.

The schema is ``docs/reference/recovery-health.schema.json``. A report holds numbers, names of Telegram accounts and
sentences of NADIA's own: nothing of a customer's, and no text of an error. `SCHEMA_VERSION` rises when a field goes
away or changes its meaning, not when one is added.
"""

from typing import Final, Generic, Literal, TypeVar

from pydantic import AwareDatetime, Field

from nadia.documented import Documented
from nadia.health.models import Figure, HealthStatus

SCHEMA_VERSION: Final = 1


class TierFigures(Documented):
    """How a tier is read (baseline 2.6)."""

    tier: int
    below_hours: Figure | None
    """Age of a chat's newest message up to which it is of this tier; null for the last."""
    batch_size: int
    concurrency: int
    delay_seconds: Figure


class ConfigurationFigures(Documented):
    """What recovery was told to do."""

    enabled: bool
    verify_hours: Figure
    maximum_age_hours: Figure
    tiers: list[TierFigures]


class DatabaseFigures(Documented):
    """How PostgreSQL answers."""

    reachable: bool
    latency_seconds: Figure | None
    clock_skew_seconds: Figure | None
    """PostgreSQL's clock minus that of the process which asked."""
    tables: int
    unreadable_tables: list[str]


class OperationsFigures(Documented):
    """Runs that began in the window, and all that have not ended."""

    window_hours: Figure
    done: int
    failed: int
    interrupted: int
    running: int
    silent: int
    """Of those running: without a sign of life for a quarter of an hour."""
    success_ratio: Figure | None
    """Done, of done and failed; null where there are none."""
    failing_accounts: int
    """Accounts whose latest ended run failed."""
    median_seconds: Figure | None
    longest_seconds: Figure | None
    """Of the runs that were done."""


class AccountCursor(Documented):
    """How fresh one account is."""

    account: str
    status: HealthStatus
    verified_at: AwareDatetime | None
    """When everything up to the cursor was last known to be on record."""
    gap_opened_at: AwareDatetime | None
    """Since when something may be missing; null where nothing is."""
    revoked: bool
    """Whether Telegram revoked its session."""


class CursorFigures(Documented):
    """How fresh the accounts are."""

    stale_after_hours: Figure
    accounts: int
    """Accounts in use: of the network that NADIA is set to, and once logged in."""
    not_in_use: int
    never_verified: int
    not_fresh: int
    """Not looked through for long, with a gap open for long, its session revoked, or of a time to come."""
    open_gaps: int
    oldest_cursor_hours: Figure | None
    oldest_gap_hours: Figure | None
    listed: list[AccountCursor]
    """Those that are not fresh, worst first; a few."""
    not_listed: int


class AccountErrors(Documented):
    """What went wrong for one account."""

    account: str
    errors: int
    error_ratio: Figure


class ErrorFigures(Documented):
    """What went wrong in the window."""

    window_hours: Figure
    warning_ratio: Figure
    critical_ratio: Figure
    attempts: int
    """Chats that were read, and errors."""
    errors: int
    error_ratio: Figure | None
    """Errors, of attempts; null where there are none."""
    listed: list[AccountErrors]
    """Accounts with three errors or more at or above the warning ratio, worst first; a few."""
    not_listed: int


class PerformanceFigures(Documented):
    """How fast the runs were that began in the window and have ended."""

    window_hours: Figure
    runs: int
    median_seconds: Figure | None
    p95_seconds: Figure | None
    chats_read: int
    messages_found: int
    messages_recorded: int
    messages_duplicate: int
    messages_too_old: int
    messages_per_second: Figure | None
    chats_per_second: Figure | None
    flood_wait_seconds: Figure
    """Waited because Telegram asked for it."""


FiguresT = TypeVar("FiguresT", bound=Documented)


class Dimension(Documented, Generic[FiguresT]):
    """One of the six sides of recovery that are looked at (baseline 1.2)."""

    status: HealthStatus
    summary: str
    """What there is to know, in a sentence for people."""
    figures: FiguresT | None
    """What the status follows from; null where it could not be found out."""


class ConfigurationHealth(Dimension[ConfigurationFigures]):
    """Whether what recovery was told to do can work out."""


class DatabaseHealth(Dimension[DatabaseFigures]):
    """Whether PostgreSQL answers, and has recovery's tables."""


class OperationsHealth(Dimension[OperationsFigures]):
    """How the latest runs ended."""


class CursorHealth(Dimension[CursorFigures]):
    """Whether somebody looked lately whether anything is missing."""


class ErrorHealth(Dimension[ErrorFigures]):
    """How much went wrong."""


class PerformanceHealth(Dimension[PerformanceFigures]):
    """How fast it goes."""


class Dimensions(Documented):
    """The six sides of recovery (baseline 1.2)."""

    configuration: ConfigurationHealth
    database: DatabaseHealth
    operations: OperationsHealth
    cursors: CursorHealth
    errors: ErrorHealth
    performance: PerformanceHealth


class RecoveryHealthReport(Documented):
    """How recovery after downtime is, printed by `nadia recover health --json`."""

    schema_version: Literal[1] = Field(SCHEMA_VERSION, description="Version of this schema.")
    checked_at: AwareDatetime
    """Times are UTC, ISO 8601."""
    status: HealthStatus
    """The worst of the six."""
    summary: str
    dimensions: Dimensions
