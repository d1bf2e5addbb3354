"""Listening for one Telegram account: connect, read in sequence, put on record, remember how far."""

import time
from collections.abc import Callable
from typing import Final

import structlog

from nadia.errors import NadiaError
from nadia.inbound.intake import Intake
from nadia.inbound.recording import Recording
from nadia.telegram.gateway import Gateway, State
from nadia.telegram.ownership import Ownership, Ownerships

log = structlog.get_logger(__name__)

_CHECKPOINT_SECONDS: Final = 1.0


class AccountListener:
    """Reads an account's updates one after the other; each is on record before the next is read.

    Parameters
    ----------
    gateway : Gateway
        Connected.
    ownership : Ownership
        This process's right to act for the account.
    ownerships : Ownerships
        Where the update state is kept.
    intake : Intake
        What takes the events in.
    monotonic : callable
        This process's clock, seconds.
    """

    def __init__(
        self,
        *,
        gateway: Gateway,
        ownership: Ownership,
        ownerships: Ownerships,
        intake: Intake,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._gateway = gateway
        self._ownership = ownership
        self._ownerships = ownerships
        self._intake = intake
        self._monotonic = monotonic
        self._pending: State | None = None

    async def run(self) -> None:
        """Listen until the connection or the ownership is lost.

        Raises
        ------
        GatewayError
            If the connection was lost.
        NotOwnerError
            If another process owns the account now.
        """
        stored_at = self._monotonic()
        recording = Recording(intake=self._intake, ownership=self._ownership, network=self._gateway.network)
        try:
            async for update in self._gateway.updates():
                if update.event is not None:
                    await recording.record(update.event)
                if update.state is not None:
                    self._pending = update.state
                if self._monotonic() - stored_at >= _CHECKPOINT_SECONDS:
                    await self._checkpoint()
                    stored_at = self._monotonic()
        finally:
            await self._checkpoint()

    async def _checkpoint(self) -> None:
        """Store how far this account was read; all rows up to there are committed. Losing it repeats work only."""
        if self._pending is None:
            return
        try:
            await self._ownerships.store_state(self._ownership, self._pending)
        except NadiaError as exc:
            log.info("intake.checkpoint_postponed", account=self._ownership.account_id, reason=exc.message)
        else:
            self._pending = None
