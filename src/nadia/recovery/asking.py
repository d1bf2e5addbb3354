"""Asking the process that owns an account, and waiting for its answer."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Final

from nadia.errors import ConflictError, NadiaError, UnavailableError
from nadia.recovery.models import AccountStatus, Operation, OperationState, RequestKind
from nadia.recovery.requests import WAITS_FOR, RecoveryRequests
from nadia.recovery.status import RecoveryStatus

PATIENCE_SECONDS: Final = 10.0
"""How long it is waited for an owner: longer than a bot needs to look for requests, or to take an account over."""

_ASK_AGAIN_SECONDS: Final = 0.2

_RENEW_SECONDS: Final = WAITS_FOR.total_seconds() / 4
"""How often it is said that somebody still waits: one that is late, or lost, does no harm."""


class OwnerQuestions:
    """Carries a person's wish to whoever owns an account.

    Parameters
    ----------
    requests : RecoveryRequests
        The way there and back.
    status : RecoveryStatus
        Tells whether there is an owner, and what it does.
    patience_seconds : float
        How long it is waited for an owner.
    monotonic : callable
        This process's clock, seconds.
    sleep : callable
        Waits so many seconds.
    """

    def __init__(
        self,
        *,
        requests: RecoveryRequests,
        status: RecoveryStatus,
        patience_seconds: float = PATIENCE_SECONDS,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._requests = requests
        self._status = status
        self._patience_seconds = patience_seconds
        self._monotonic = monotonic
        self._sleep = sleep

    async def ask(
        self, account_id: str, kind: RequestKind, *, actor: str, on_busy: Callable[[Operation], None] | None = None
    ) -> Mapping[str, object]:
        """Ask an account's owner for something and return its answer.

        Parameters
        ----------
        account_id, kind, actor
            Of whom, for what, and who asks.
        on_busy : callable, optional
            Called once if the owner is at a run, whose end the answer has to wait for.

        Raises
        ------
        NotFoundError
            If there is no such account.
        UnavailableError
            If no process that owns the account takes it up; the request is withdrawn then.
        ConflictError
            If the owner could not do it.
        """
        request_id = await self._requests.ask(account_id, kind, actor=actor)
        try:
            return await self._answer(account_id, request_id, on_busy)
        except BaseException:
            with suppress(NadiaError):  # nobody waits for it any more
                await self._requests.withdraw(request_id)
            raise

    async def _answer(
        self, account_id: str, request_id: int, on_busy: Callable[[Operation], None] | None
    ) -> Mapping[str, object]:
        hoped_at = renewed_at = self._monotonic()
        while True:
            # Before the request: a run that it had to wait for, not the one that it brought about.
            account = await self._status.account(account_id)
            request = await self._requests.find(request_id)
            if request.error is not None:
                raise ConflictError(f"the owner of account {account_id} could not do it: {request.error}")
            if request.answer is not None:
                return request.answer
            run = _present_run(account)
            if run is not None or (account.owned and request.taken_at is not None):
                hoped_at = self._monotonic()
            if run is not None and request.taken_at is None and on_busy is not None:
                on_busy(run)
                on_busy = None
            if self._monotonic() - renewed_at > _RENEW_SECONDS:
                await self._requests.renew(request_id)
                renewed_at = self._monotonic()
            if self._monotonic() - hoped_at > self._patience_seconds:
                raise UnavailableError(
                    f"no running bot answers for the Telegram account {account_id}",
                    hint="start one with `nadia up` or `nadia run bot`; only the process that owns an account may talk "
                    "to Telegram for it",
                )
            await self._sleep(_ASK_AGAIN_SECONDS)

    async def follow(self, operation_id: int) -> AsyncIterator[Operation]:
        """Yield how a run stands, over and over until it has ended."""
        while True:
            operation = await self._status.operation(operation_id)
            yield operation
            if operation.state is not OperationState.RUNNING:
                return
            await self._sleep(_ASK_AGAIN_SECONDS)


def _present_run(account: AccountStatus) -> Operation | None:
    """Return the run that an account's owner is at, if it is at one."""
    run = account.operation
    return run if account.owned and run is not None and run.state is OperationState.RUNNING else None
