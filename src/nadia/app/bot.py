"""The bot role: owns Telegram accounts, takes in what customers write, and delivers what was approved."""

import asyncio
import random
from collections.abc import Callable, Mapping
from typing import Final

import structlog

from nadia.app import metrics
from nadia.app.context import ProcessContext
from nadia.app.supervision import Part
from nadia.conversations.messages import NotOwnerError
from nadia.delivery.sender import Delivery
from nadia.delivery.typing import TypingSimulator
from nadia.errors import NadiaError, UnavailableError
from nadia.inbound.listener import AccountListener
from nadia.notices import Notice, Severity
from nadia.notices import record as record_notice
from nadia.telegram.errors import AccountRevokedError
from nadia.telegram.gateway import Gateway
from nadia.telegram.ownership import Ownership
from nadia.telegram.sandbox.gateway import SandboxGateway

log = structlog.get_logger(__name__)

_ASK_AGAIN_SECONDS: Final = 1.0
_FIRST_RECONNECT_SECONDS: Final = 0.2
_LONGEST_RECONNECT_SECONDS: Final = 10.0
_FIRST_REVOKED_SECONDS: Final = 600.0
_LONGEST_REVOKED_SECONDS: Final = 21_600.0
"""A revoked session is a person's to mend; trying again and again would only take it from whoever uses it."""

_ORDERLY_END_SECONDS: Final = 3.0
"""For what is just being sent to be put on record, and for the account to be given back."""

MakeGateway = Callable[[], Gateway]


def bot_parts(context: ProcessContext) -> Mapping[str, Part]:
    """Return what a bot runs: one part for each Telegram account."""
    account_id = context.config.telegram.account

    def make_gateway() -> Gateway:
        return SandboxGateway(
            account_id=account_id,
            address=context.endpoints.sandbox,
            request_timeout=context.config.telegram.request_timeout,
        )

    return {f"account.{account_id}": AccountRunner(context=context, make_gateway=make_gateway).run}


class AccountRunner:
    """Acts for one Telegram account, as long as this process owns it.

    Parameters
    ----------
    context : ProcessContext
        The process.
    make_gateway : callable
        Returns an unconnected gateway for the account.
    """

    def __init__(self, *, context: ProcessContext, make_gateway: MakeGateway) -> None:
        self._context = context
        self._make_gateway = make_gateway
        self._times_revoked = 0
        self._is_revocation_told = False

    async def run(self) -> None:
        """Wait for the ownership, act, give it back; over and over until cancelled."""
        gateway = self._make_gateway()
        metrics.OWNED.labels(gateway.account_id).set(0)
        await self._context.ownerships.register(gateway.account_id, gateway.network)
        while True:
            ownership = await self._context.ownerships.acquire(gateway.account_id)
            if ownership is None:
                await asyncio.sleep(_ASK_AGAIN_SECONDS)
                continue
            log.info("account.owned", account=ownership.account_id, fencing_token=ownership.fencing_token)
            metrics.OWNED.labels(gateway.account_id).set(1)
            try:
                await self._act(ownership)
            finally:
                metrics.OWNED.labels(gateway.account_id).set(0)
                log.info("account.given_up", account=ownership.account_id)

    async def _act(self, ownership: Ownership) -> None:
        """Listen and deliver until the ownership ends."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._renew(ownership))
                group.create_task(self._stay_connected(ownership))
        except* NotOwnerError:
            log.warning("account.lost", account=ownership.account_id)
        finally:
            await _finish(asyncio.create_task(self._release(ownership)), within=_ORDERLY_END_SECONDS)

    async def _renew(self, ownership: Ownership) -> None:
        """Prolong the ownership; end everything when it is lost or may have run out."""
        interval = self._context.config.telegram.lease_seconds / 3
        while True:
            await asyncio.sleep(interval if ownership.lives else 0)
            try:
                kept = await self._context.ownerships.renew(ownership)
            except UnavailableError as exc:
                log.warning("account.renewal_failed", account=ownership.account_id, reason=exc.message)
                kept = ownership.lives
                interval = _ASK_AGAIN_SECONDS
            else:
                interval = self._context.config.telegram.lease_seconds / 3
            if not kept:
                raise NotOwnerError("the ownership of the Telegram account is lost")

    async def _stay_connected(self, ownership: Ownership) -> None:
        delay = _FIRST_RECONNECT_SECONDS
        while True:
            if not ownership.lives:  # connecting now would take the account from its new owner
                raise NotOwnerError("the ownership of the Telegram account has run out")
            gateway = self._make_gateway()
            try:
                await gateway.connect(ownership.state)
                delay = _FIRST_RECONNECT_SECONDS
                self._times_revoked, self._is_revocation_told = 0, False
                await self._serve(gateway, ownership)
            except* NotOwnerError:
                raise
            except* AccountRevokedError as revoked:
                delay = revoked_pause(self._times_revoked)
                self._times_revoked += 1
                await self._tell_revoked(ownership, reason=str(revoked.exceptions[0]), retry_seconds=delay)
            except* NadiaError as problems:
                for problem in problems.exceptions:
                    log.warning("account.disconnected", account=ownership.account_id, reason=str(problem), delay=delay)
            finally:
                await gateway.close()
            await asyncio.sleep(delay)
            delay = min(2 * delay, _LONGEST_RECONNECT_SECONDS)

    async def _serve(self, gateway: Gateway, ownership: Ownership) -> None:
        """Listen and deliver on one connection."""
        settings = self._context.config.delivery
        listener = AccountListener(
            gateway=gateway, ownership=ownership, ownerships=self._context.ownerships, intake=self._context.intake
        )
        delivery = Delivery(
            database=self._context.database,
            gateway=gateway,
            ownership=ownership,
            pauses=self._context.pauses,
            events=self._context.events,
            simulator=TypingSimulator(settings=settings, rng=random.Random()),
            settings=settings,
        )
        async with asyncio.TaskGroup() as group:
            group.create_task(listener.run())
            group.create_task(_deliver(delivery, ownership))

    async def _tell_revoked(self, ownership: Ownership, *, reason: str, retry_seconds: float) -> None:
        """Say once that a person has to log the account in again; what is queued stays queued."""
        account = ownership.account_id
        log.error("account.revoked", account=account, reason=reason, retry_seconds=retry_seconds)
        if self._is_revocation_told:
            return
        try:
            async with self._context.database.connection() as conn:
                await record_notice(
                    conn,
                    Notice(
                        topic="telegram.account_revoked",
                        summary=f"Telegram no longer accepts the session of account {account}: log it in again.",
                        severity=Severity.CRITICAL,
                        labels={"account": account},
                    ),
                )
        except UnavailableError as exc:
            log.warning("notice.lost", topic="telegram.account_revoked", reason=exc.message)
        else:
            self._is_revocation_told = True

    async def _release(self, ownership: Ownership) -> None:
        try:
            await self._context.ownerships.release(ownership)
        except UnavailableError:
            log.info("account.release_skipped", account=ownership.account_id)  # it runs out by itself


def revoked_pause(times: int) -> float:
    """Return the seconds until a session is tried again that was revoked, and then so many times more."""
    return min(_LONGEST_REVOKED_SECONDS, _FIRST_REVOKED_SECONDS * 2.0 ** min(times, 10))


async def _deliver(delivery: Delivery, ownership: Ownership) -> None:
    """Deliver until cancelled; then let what is just being sent be put on record, as long as the account is ours."""
    running = asyncio.create_task(delivery.run(), name="delivery")
    try:
        await asyncio.shield(running)
    except asyncio.CancelledError:
        delivery.stop()
        await _finish(running, within=min(_ORDERLY_END_SECONDS, ownership.remaining))
        raise


async def _finish(task: asyncio.Task[None], *, within: float) -> None:
    """Wait so many seconds for a task's end, however often this is cancelled meanwhile; then cancel the task."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + within
    cancelled: asyncio.CancelledError | None = None
    while not task.done() and (left := deadline - loop.time()) > 0:
        try:
            await asyncio.wait({task}, timeout=left)
        except asyncio.CancelledError as exc:
            cancelled = exc
    while not task.done():  # asked again each second: a library may lose a cancellation
        task.cancel()
        await asyncio.wait({task}, timeout=1.0)
    if not task.cancelled() and (problem := task.exception()):
        log.info("account.end_cut_short", task=task.get_name(), reason=str(problem))
    if cancelled:
        raise cancelled
