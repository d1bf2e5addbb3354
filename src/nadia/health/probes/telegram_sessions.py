"""Whether Telegram still accepts the sessions of the accounts."""

from dataclasses import dataclass
from typing import ClassVar

from nadia.health.account_reading import AccountReader
from nadia.health.models import HealthStatus
from nadia.health.probe import Finding
from nadia.health.wording import count


@dataclass(frozen=True, kw_only=True)
class TelegramSessionsProbe:
    """Looks for sessions that Telegram revoked; a person has to log in again.

    Parameters
    ----------
    accounts : AccountReader
        The accounts in use.
    """

    accounts: AccountReader

    id: ClassVar[str] = "telegram-sessions"
    title: ClassVar[str] = "Telegram sessions"
    group: ClassVar[str] = "telegram"

    async def measure(self) -> Finding:
        """Look; raises UnavailableError while PostgreSQL is away."""
        if self.accounts.is_sandbox:
            return Finding(status=HealthStatus.HEALTHY, summary="the sandbox needs none")
        accounts = await self.accounts.read()
        revoked = [account for account in accounts if account.session == "revoked"]
        if revoked:
            named = ", ".join(f"{account.id} ({account.revoked_reason})" for account in revoked[:3])
            return Finding(
                status=HealthStatus.CRITICAL,
                summary=f"Telegram no longer accepts {count(len(revoked), 'session')}: {named}",
                value=len(revoked),
                unit="sessions",
                threshold=0,
                hint=f"log in again: nadia telegram login --account {revoked[0].id}",
            )
        if not accounts:
            return Finding(
                status=HealthStatus.WARNING,
                summary="no account is logged in: nobody can write to this desk",
                hint="nadia telegram login",
            )
        return Finding(
            status=HealthStatus.HEALTHY,
            summary=f"{count(len(accounts), 'session')} accepted",
            value=0,
            unit="sessions",
            threshold=0,
        )
