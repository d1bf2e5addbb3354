"""The bot role: owns Telegram accounts, takes in what customers write, and delivers what was approved."""

import asyncio
import random
import time
from collections.abc import Callable, Mapping
from typing import Final

import structlog

from nadia.app import metrics
from nadia.app.account_watch import AccountWatch
from nadia.app.context import ProcessContext
from nadia.app.recovery import recovery_agent
from nadia.app.revocation import FinalRevocation, PassingRevocation, Revocation
from nadia.app.session_keys import session_keys
from nadia.app.session_opening import open_session
from nadia.app.supervision import Part, keep_running
from nadia.app.telegram import telethon_gateway
from nadia.conversations.messages import NotOwnerError
from nadia.delivery.sender import Delivery
from nadia.delivery.typing import TypingSimulator
from nadia.errors import NadiaError, UnavailableError
from nadia.inbound.listener import AccountListener
from nadia.recovery.agent import RecoveryAgent
from nadia.recovery.catching_up import CatchingUp
from nadia.telegram.entities import EntityResolver
from nadia.telegram.entity_store import EntityStore
from nadia.telegram.errors import AccountRevokedError
from nadia.telegram.gateway import Gateway
from nadia.telegram.limiter import RequestLimiter
from nadia.telegram.ownership import Ownership
from nadia.telegram.sandbox.gateway import SandboxGateway
from nadia.telegram.sessions import StoredSession

log = structlog.get_logger(__name__)

_ASK_AGAIN_SECONDS: Final = 1.0
_FIRST_RECONNECT_SECONDS: Final = 0.2
_LONGEST_RECONNECT_SECONDS: Final = 10.0
_SETTLED_SECONDS: Final = 30.0
"""A connection that lasted so long works; the next one is not waited for any longer than the first."""

_ORDERLY_END_SECONDS: Final = 3.0
"""For what is just being sent to be put on record, and for the account to be given back."""

MakeGateway = Callable[[], Gateway]


def bot_parts(context: ProcessContext) -> Mapping[str, Part]:
    """Return what a bot runs: the sandbox's account, or whatever accounts are logged in."""
    if context.config.telegram.gateway == "telethon":
        watch = AccountWatch(database=context.database, part=lambda session: _act_for(context, session))
        return {"accounts": watch.run, "protocol_status": context.protocol_status.run}
    account_id = context.config.telegram.account
    limiter = RequestLimiter(account_id=account_id)

    def make_gateway() -> Gateway:
        return SandboxGateway(
            account_id=account_id,
            address=context.endpoints.sandbox,
            limiter=limiter,
            request_timeout=context.config.telegram.request_timeout,
        )

    runner = AccountRunner(
        context=context,
        make_gateway=make_gateway,
        revocation=PassingRevocation(database=context.database),
        limiter=limiter,
    )
    return {f"account.{account_id}": runner.run, "protocol_status": context.protocol_status.run}


async def _act_for(context: ProcessContext, session: StoredSession) -> None:
    """Act for an account with one session, until cancelled."""
    account_id = session.telegram_account_id
    # Before the account is kept from a process that can.
    material = await open_session(context.database, session, session_keys(context.config))
    # These outlive connections: whom one of them has met, and how fast it may read, the next need not find out.
    peers = EntityResolver(account_id=account_id, store=EntityStore(database=context.database))
    limiter = RequestLimiter(account_id=account_id)
    runner = AccountRunner(
        context=context,
        make_gateway=lambda: telethon_gateway(context.config, account_id, material, peers=peers, limiter=limiter),
        revocation=FinalRevocation(database=context.database, version=session.version),
        limiter=limiter,
    )
    looking_after_peers = asyncio.create_task(keep_running(f"peers.{account_id}", peers.run))
    try:
        await runner.run()
    finally:
        looking_after_peers.cancel()


class AccountRunner:
    """Acts for one Telegram account, as long as this process owns it.

    Parameters
    ----------
    context : ProcessContext
        The process.
    make_gateway : callable
        Returns an unconnected gateway for the account.
    revocation : Revocation
        Decides what follows when Telegram no longer accepts the session.
    limiter : RequestLimiter
        How fast the account may read; the same one as the gateways'.
    """

    def __init__(
        self,
        *,
        context: ProcessContext,
        make_gateway: MakeGateway,
        revocation: Revocation,
        limiter: RequestLimiter,
    ) -> None:
        self._context = context
        self._make_gateway = make_gateway
        self._revocation = revocation
        self._limiter = limiter

    async def run(self) -> None:
        """Wait for the ownership, act, give it back; over and over until cancelled."""
        gateway = self._make_gateway()
        metrics.OWNED.labels(gateway.account_id).set(0)
        metrics.LINKED.labels(gateway.account_id).set(0)
        await self._context.ownerships.register(gateway.account_id, gateway.network)
        recovery = recovery_agent(self._context, gateway.account_id, self._limiter)
        while True:
            ownership = await self._context.ownerships.acquire(gateway.account_id)
            if ownership is None:
                await asyncio.sleep(_ASK_AGAIN_SECONDS)
                continue
            log.info("account.owned", account=ownership.account_id, fencing_token=ownership.fencing_token)
            metrics.OWNED.labels(gateway.account_id).set(1)
            try:
                await self._act(ownership, recovery)
            finally:
                metrics.OWNED.labels(gateway.account_id).set(0)
                log.info("account.given_up", account=ownership.account_id)

    async def _act(self, ownership: Ownership, recovery: RecoveryAgent) -> None:
        """Listen and deliver until the ownership ends."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._renew(ownership))
                group.create_task(self._stay_connected(ownership, recovery))
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

    async def _stay_connected(self, ownership: Ownership, recovery: RecoveryAgent) -> None:
        """Connect and serve over and over, until the ownership or the session has come to its end."""
        delay = _FIRST_RECONNECT_SECONDS
        while not self._revocation.is_final:
            if not ownership.lives:  # connecting now would take the account from its new owner
                raise NotOwnerError("the ownership of the Telegram account has run out")
            gateway = self._make_gateway()
            try:
                await gateway.connect(ownership.state)
                await self._revocation.connected(ownership.account_id)
                metrics.LINKED.labels(ownership.account_id).set(1)
                begun = time.monotonic()
                try:
                    # In a task of its own: before Python 3.13 a task group may lose its task's cancellation, or leave
                    # one behind that nobody asked for.
                    await asyncio.create_task(self._serve(gateway, ownership, recovery), name="account.serve")
                finally:
                    if time.monotonic() - begun > _SETTLED_SECONDS:
                        delay = _FIRST_RECONNECT_SECONDS
            except* NotOwnerError:
                raise
            except* AccountRevokedError as revoked:
                await gateway.close()
                delay = await self._revocation.met(ownership.account_id, _first(revoked))
            except* NadiaError as problems:
                for problem in problems.exceptions:
                    log.warning("account.disconnected", account=ownership.account_id, reason=str(problem), delay=delay)
            finally:
                metrics.LINKED.labels(ownership.account_id).set(0)
                await gateway.close()
            _raise_lost_cancellation()
            await asyncio.sleep(delay)
            delay = min(2 * delay, _LONGEST_RECONNECT_SECONDS)

    async def _serve(self, gateway: Gateway, ownership: Ownership, recovery: RecoveryAgent) -> None:
        """Listen, deliver and look for what was missed, on one connection."""
        await recovery.connected(ownership)  # before anything is read that came later than what may be missing
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
            catching_up=CatchingUp() if self._context.config.recovery.enabled else None,
        )
        async with asyncio.TaskGroup() as group:
            group.create_task(listener.run())
            group.create_task(_deliver(delivery, ownership))
            group.create_task(recovery.run(gateway, ownership))

    async def _release(self, ownership: Ownership) -> None:
        try:
            await self._context.ownerships.release(ownership)
        except UnavailableError:
            log.info("account.release_skipped", account=ownership.account_id)  # it runs out by itself


def _raise_lost_cancellation() -> None:
    """Raise a cancellation that what was waited for has turned into a failure of its own."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


def _first(group: BaseExceptionGroup[AccountRevokedError]) -> AccountRevokedError:
    first = group.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first


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
