"""The recovery agent of an account, built from a process's services."""

from nadia.app.context import ProcessContext
from nadia.recovery.agent import RecoveryAgent
from nadia.recovery.requests import RecoveryRequests
from nadia.telegram.limiter import RequestLimiter


def recovery_agent(context: ProcessContext, account_id: str, limiter: RequestLimiter) -> RecoveryAgent:
    """Return an account's agent; one for as long as the process runs for the account."""
    return RecoveryAgent(
        account_id=account_id,
        intake=context.intake,
        store=context.recovery,
        requests=RecoveryRequests(database=context.database),
        settings=context.config.recovery,
        limiter=limiter,
    )
