"""Whether the processes that act for Telegram accounts are connected to Telegram."""

from dataclasses import dataclass
from typing import ClassVar, Final

from nadia.health.account_reading import AccountReader
from nadia.health.figures import FigureHistory
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
        # Of the others at least the owner's process has said something, unless it began a moment ago.
        known = {labels["account"] for _, labels, _ in told}
        lost = [account.id for account in owned if account.id in known - linked]
        ages = [account.position_age.total_seconds() for account in owned if account.position_age is not None]
        connected = sum(account.id in linked for account in owned)
        summary = f"{connected} of {count(len(owned), 'account')} connected"
        if lost:
            summary = f"not connected: {', '.join(lost[:3])}"
        elif connected < len(owned):
            summary += ", nothing reported yet of the rest"
        elif ages:
            summary += f"; the last update {lasting(min(ages))} ago"
        return Finding(
            status=HealthStatus.WARNING if lost else HealthStatus.HEALTHY,
            summary=summary,
            value=len(lost),
            unit="accounts",
            threshold=0,
            hint="it is tried again by itself; the log's `account.` events say what stops it" if lost else None,
            figures={"newest_update_seconds": min(ages, default=None)},
        )
