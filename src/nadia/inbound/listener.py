"""Listening for one Telegram account: connect, read in sequence, put on record, remember how far."""

import asyncio
import time
from collections.abc import Callable
from typing import Final

import structlog

from nadia.conversations.messages import NotOwnerError
from nadia.errors import NadiaError, UnavailableError
from nadia.inbound.intake import Intake
from nadia.telegram.gateway import Gateway, State, Update
from nadia.telegram.ownership import Ownership, Ownerships

log = structlog.get_logger(__name__)

_CHECKPOINT_SECONDS: Final = 1.0
_FIRST_RETRY_SECONDS: Final = 0.1
_LONGEST_RETRY_SECONDS: Final = 5.0

MOST_REFUSALS: Final = 5
"""After so many an update is parked (DESIGN promise 9); PostgreSQL being away is none."""


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
        try:
            async for update in self._gateway.updates():
                await self._record(update)
                if update.state is not None:
                    self._pending = update.state
                if self._monotonic() - stored_at >= _CHECKPOINT_SECONDS:
                    await self._checkpoint()
                    stored_at = self._monotonic()
        finally:
            await self._checkpoint()

    async def _record(self, update: Update) -> None:
        """Put one update on record, however long PostgreSQL is away: reading must not go on before.

        One that is refused again and again is parked: it must not hold up what follows, nor delivery beside it.
        """
        delay = _FIRST_RETRY_SECONDS
        refusals = 0
        while True:
            if not self._ownership.lives:
                raise NotOwnerError("the ownership of the Telegram account has run out")
            try:
                await self._intake.receive(update.event, ownership=self._ownership, network=self._gateway.network)
            except NotOwnerError:
                raise
            except UnavailableError as exc:
                log.warning("intake.waits", account=self._ownership.account_id, reason=exc.message, delay=delay)
            except Exception as exc:
                refusals += 1
                self._tell_refused(exc, refusals)
                if refusals >= MOST_REFUSALS and await self._park(update, exc):
                    return
            else:
                return
            await asyncio.sleep(delay)
            delay = min(2 * delay, _LONGEST_RETRY_SECONDS)

    def _tell_refused(self, error: Exception, times: int) -> None:
        account = self._ownership.account_id
        if isinstance(error, NadiaError):
            log.warning("intake.refused", account=account, times=times, reason=error.message)
        else:
            log.error("intake.crashed", account=account, times=times, exc_info=error)

    async def _park(self, update: Update, error: Exception) -> bool:
        """Keep an update aside; False if that failed too, for then it must not be passed over."""
        try:
            await self._intake.park(update.event, ownership=self._ownership, error=error)
        except NotOwnerError:
            raise
        except NadiaError as exc:
            log.warning("intake.parking_failed", account=self._ownership.account_id, reason=exc.message)
            return False
        except Exception:
            log.exception("intake.parking_crashed", account=self._ownership.account_id)
            return False
        return True

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
