"""Whether the processes that act for Telegram accounts are connected to Telegram."""

from dataclasses import dataclass
from typing import ClassVar, Final

from nadia.health.account_reading import AccountReader
from nadia.health.figures import GAUGES_LIVE_SECONDS, FigureHistory
from nadia.health.models import HealthStatus
from nadia.health.probe import Finding
from nadia.health.wording import count, lasting

LINKED: Final = "nadia_app_account_linked"


@dataclass(frozen=True, kw_only=True)
class TelegramLinkProbe:
    """Compares who acts for an account with whether that process is connected, by the figures of the processes.

    Parameters
    ----------
    accounts : AccountReader
        The accounts in use.
    figures : FigureHistory
        What the processes say of themselves.
    """

    accounts: AccountReader
    figures: FigureHistory

    id: ClassVar[str] = "telegram-link"
    title: ClassVar[str] = "Connections to Telegram"
    group: ClassVar[str] = "telegram"

    async def measure(self) -> Finding:
        """Look; raises UnavailableError while PostgreSQL or Redis is away."""
        owned = [account for account in await self.accounts.read() if account.owner is not None]
        told = await self.figures.gauges(LINKED)
        linked = {labels["account"] for _, labels, value in told if value}
        known = {labels["account"] for _, labels, _ in told}
        lost = [account.id for account in owned if account.id in known - linked]
        # An owner that began a moment ago has had no time to say anything yet.
        silent = [
            account.id
            for account in owned
            if account.id not in known
            and account.owned_for is not None
            and account.owned_for.total_seconds() > GAUGES_LIVE_SECONDS
        ]
        ages = [account.position_age.total_seconds() for account in owned if account.position_age is not None]
        connected = sum(account.id in linked for account in owned)
        status, hint = HealthStatus.HEALTHY, None
        summary = f"{connected} of {count(len(owned), 'account')} connected"
        if lost:
            status = HealthStatus.WARNING
            hint = "it is tried again by itself; the log's `account.` events say what stops it"
            summary = f"not connected: {', '.join(lost[:3])}"
        elif silent:
            status = HealthStatus.UNKNOWN
            hint = "its owner reports no figures: can that process reach Redis?"
            summary = f"nothing reported of {', '.join(silent[:3])}"
        elif connected < len(owned):
            summary += ", nothing reported yet of the rest"
        elif ages:
            summary += f"; the last update {lasting(min(ages))} ago"
        return Finding(
            status=status,
            summary=summary,
            value=len(lost),
            unit="accounts",
            threshold=0,
            hint=hint,
            figures={"newest_update_seconds": min(ages, default=None)},
        )
