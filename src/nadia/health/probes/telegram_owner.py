"""Whether somebody acts for each Telegram account."""

from dataclasses import dataclass
from typing import ClassVar

from nadia.health.account_reading import AccountReader
from nadia.health.models import HealthStatus
from nadia.health.probe import Finding
from nadia.health.wording import count


@dataclass(frozen=True, kw_only=True)
class TelegramOwnerProbe:
    """Looks for accounts without a living owner: nobody reads what their customers write.

    Parameters
    ----------
    accounts : AccountReader
        The accounts in use.
    """

    accounts: AccountReader

    id: ClassVar[str] = "telegram-owner"
    title: ClassVar[str] = "Telegram accounts acted for"
    group: ClassVar[str] = "telegram"

    async def measure(self) -> Finding:
        """Look; raises UnavailableError while PostgreSQL is away."""
        accounts = [account for account in await self.accounts.read() if account.session != "revoked"]
        known = {account.id for account in accounts}
        left = [account.id for account in accounts if account.owner is None]
        left += [account_id for account_id in self.accounts.expected if account_id not in known]
        if left:
            return Finding(
                status=HealthStatus.CRITICAL,
                summary=f"nobody acts for {_named(left)}: customers wait unread",
                value=len(left),
                unit="accounts",
                threshold=0,
                hint="start a bot: `nadia run bot`, or `nadia up`",
                figures={"accounts": len(accounts)},
            )
        return Finding(
            status=HealthStatus.HEALTHY,
            summary=f"{count(len(accounts), 'account')}, each with an owner" if accounts else "no account is in use",
            value=0,
            unit="accounts",
            threshold=0,
            figures={"accounts": len(accounts)},
        )


def _named(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
