"""Putting an event on record, however long that takes: nothing may be read past it."""

import asyncio
from typing import Final

import structlog

from nadia.conversations.messages import NotOwnerError
from nadia.errors import NadiaError, UnavailableError
from nadia.inbound.intake import Intake
from nadia.telegram.gateway import Event
from nadia.telegram.ownership import Ownership

log = structlog.get_logger(__name__)

_FIRST_RETRY_SECONDS: Final = 0.1
_LONGEST_RETRY_SECONDS: Final = 5.0

MOST_REFUSALS: Final = 5
"""After so many an event is parked (DESIGN promise 9); PostgreSQL being away is none."""


class Recording:
    """Gives an account's events to intake, each until it is on record or set aside.

    Parameters
    ----------
    intake : Intake
        What takes the events in.
    ownership : Ownership
        This process's right to act for the account.
    network : str
        ``sandbox`` or ``telegram``.
    """

    def __init__(self, *, intake: Intake, ownership: Ownership, network: str) -> None:
        self._intake = intake
        self._ownership = ownership
        self._network = network

    async def record(self, event: Event, *, recovered_by: int | None = None) -> bool:
        """Put one event on record, however long PostgreSQL is away.

        One that is refused again and again is parked: it must not hold up what follows, nor delivery beside it.

        Parameters
        ----------
        event : Event
            What happened.
        recovered_by : int, optional
            The recovery operation that found it; absent where Telegram told of it live.

        Returns
        -------
        bool
            Whether it changed anything on record.

        Raises
        ------
        NotOwnerError
            If this process no longer owns the account.
        """
        delay = _FIRST_RETRY_SECONDS
        refusals = 0
        while True:
            if not self._ownership.lives:
                raise NotOwnerError("the ownership of the Telegram account has run out")
            try:
                return await self._intake.receive(
                    event, ownership=self._ownership, network=self._network, recovered_by=recovered_by
                )
            except NotOwnerError:
                raise
            except UnavailableError as exc:
                log.warning("intake.waits", account=self._ownership.account_id, reason=exc.message, delay=delay)
            except Exception as exc:
                refusals += 1
                self._tell_refused(exc, refusals)
                if refusals >= MOST_REFUSALS and await self._park(event, exc):
                    return False
            await asyncio.sleep(delay)
            delay = min(2 * delay, _LONGEST_RETRY_SECONDS)

    def _tell_refused(self, error: Exception, times: int) -> None:
        account = self._ownership.account_id
        if isinstance(error, NadiaError):
            log.warning("intake.refused", account=account, times=times, reason=error.message)
        else:
            log.error("intake.crashed", account=account, times=times, exc_info=error)

    async def _park(self, event: Event, error: Exception) -> bool:
        """Keep an event aside; False if that failed too, for then it must not be passed over."""
        try:
            await self._intake.park(event, ownership=self._ownership, error=error)
        except NotOwnerError:
            raise
        except NadiaError as exc:
            log.warning("intake.parking_failed", account=self._ownership.account_id, reason=exc.message)
            return False
        except Exception:
            log.exception("intake.parking_crashed", account=self._ownership.account_id)
            return False
        return True
