"""The recovery agent of one account: finds what was missed, as often as it takes until nothing is."""

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Final

import structlog

from nadia.clock import Clock, utc_now
from nadia.conversations.messages import NotOwnerError
from nadia.errors import NadiaError, UnavailableError
from nadia.inbound.intake import Intake
from nadia.inbound.recording import Recording
from nadia.notices import Notice
from nadia.recovery import metrics
from nadia.recovery.config import RecoveryConfig, RecoveryTier
from nadia.recovery.errors import RecoveryStoppedError
from nadia.recovery.listing import ChatListing
from nadia.recovery.models import Chat, Gap, OperationState, Reason, Request, RequestKind
from nadia.recovery.reading import ChatReader
from nadia.recovery.requests import RecoveryRequests
from nadia.recovery.store import STOPPED, RecoveryStore
from nadia.resilience import BreakerState, CircuitBreaker
from nadia.telegram.errors import (
    AccountRevokedError,
    FloodWaitError,
    GatewayDisconnectedError,
    HistoryUnavailableError,
)
from nadia.telegram.gateway import Gateway
from nadia.telegram.history import TelegramHistoryManager
from nadia.telegram.limiter import RequestLimiter
from nadia.telegram.ownership import Ownership

log = structlog.get_logger(__name__)

_LOOK_SECONDS: Final = 1.0
"""How often it looks whether something is asked for, or missing."""

_DUE_LOOK_SECONDS: Final = 60.0
"""How often it looks whether the regular look is due, which is after hours."""

_FIRST_REST_SECONDS: Final = 30.0
_LONGEST_REST_SECONDS: Final = 3_600.0
"""Between runs that failed; each rest is twice as long as the one before."""


@dataclass(frozen=True, slots=True)
class _Connection:
    """What a run needs of the present connection."""

    gateway: Gateway
    ownership: Ownership
    history: TelegramHistoryManager
    listing: ChatListing


@dataclass(frozen=True, slots=True)
class _Run:
    """A run, and what the clock and the limiter said when it began."""

    operation_id: int
    begun: float
    flooded: float


class RecoveryAgent:
    """Looks for what an account missed, beside listening and delivery.

    It outlives connections: how fast Telegram allows to read, and how long to rest after failures, is remembered.

    Parameters
    ----------
    account_id : str
        The Telegram account.
    intake : Intake
        The one that takes in what comes live: one place where duplicates are known.
    store : RecoveryStore
        Gaps, runs and chats on record.
    requests : RecoveryRequests
        What people ask for.
    settings : RecoveryConfig
        Tiers and limits.
    limiter : RequestLimiter, optional
        How fast the account may read; one of its own when absent.
    clock : callable
        The present.
    monotonic : callable
        This process's clock, seconds.
    sleep : callable
        Waits so many seconds.
    """

    def __init__(
        self,
        *,
        account_id: str,
        intake: Intake,
        store: RecoveryStore,
        requests: RecoveryRequests,
        settings: RecoveryConfig,
        limiter: RequestLimiter | None = None,
        clock: Clock = utc_now,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._account_id = account_id
        self._intake = intake
        self._store = store
        self._requests = requests
        self._settings = settings
        self._limiter = limiter or RequestLimiter(account_id=account_id)
        self._clock = clock
        self._monotonic = monotonic
        self._sleep = sleep
        # Two: that chats can be listed says nothing about those that cannot be read.
        self._listing, self._reading = self._new_breaker("listing"), self._new_breaker("reading")
        self._rests_until = 0.0
        self._fencing_token: int | None = None
        self._failures = 0
        self._due_look_at = monotonic()
        metrics.OPEN_GAP.labels(account_id)

    async def connected(self, ownership: Ownership) -> None:
        """Put on record that something may be missing; to be called before anything of the connection is read.

        Raises
        ------
        NotOwnerError
            If this process no longer owns the account.
        UnavailableError
            If PostgreSQL is away: then nothing may be read either.
        """
        is_start = self._fencing_token != ownership.fencing_token
        self._fencing_token = ownership.fencing_token
        if self._settings.enabled:
            await self._store.open_gap(ownership, Reason.START if is_start else Reason.RECONNECT)

    async def run(self, gateway: Gateway, ownership: Ownership) -> None:
        """Look for what is missing whenever something may be, until cancelled.

        Raises
        ------
        NotOwnerError
            If this process no longer owns the account.
        AccountRevokedError
            If Telegram no longer accepts the session.
        """
        history = TelegramHistoryManager(gateway=gateway, limiter=self._limiter, clock=self._clock)
        listing = ChatListing(history=history, store=self._store, settings=self._settings, clock=self._clock)
        connection = _Connection(gateway, ownership, history, listing)
        while True:
            try:
                await self._look(connection)
            except (NotOwnerError, AccountRevokedError):
                raise
            except NadiaError as exc:
                log.info("recovery.waits", account=self._account_id, reason=exc.message)
            except Exception:  # listening and delivery beside it must not end because of it
                log.exception("recovery.crashed", account=self._account_id)
            await self._sleep(_LOOK_SECONDS)

    async def _look(self, connection: _Connection) -> None:
        request = await self._requests.take(connection.ownership)
        if request is not None and request.kind is RequestKind.PLAN:
            await self._answer_plan(connection, request)
            return
        if request is not None:  # a person who asks knows better than any rest
            self._rest(0)
            gap: Gap | None = await self._store.open_gap(connection.ownership, Reason.REQUEST)
        else:
            gap = await self._gap(connection.ownership)
        metrics.OPEN_GAP.labels(self._account_id).set(gap is not None)
        if gap is None or self._monotonic() < self._rests_until:
            return
        operation_id = await self._store.begin_operation(connection.ownership, gap)
        if request is not None:
            await self._requests.answer(connection.ownership, request, answer={"operation": operation_id})
        await self._recover(connection, gap, operation_id)

    async def _gap(self, ownership: Ownership) -> Gap | None:
        """Return the gap to work on; one is opened when the account was not looked through for long."""
        if not self._settings.enabled:
            return None
        gap = await self._store.find_gap(self._account_id)
        if gap is None and self._monotonic() >= self._due_look_at:
            self._due_look_at = self._monotonic() + _DUE_LOOK_SECONDS
            if await self._store.is_due(self._account_id):
                return await self._store.open_gap(ownership, Reason.SCHEDULE)
        return gap

    def _rest(self, seconds: float) -> None:
        """Begin no run for so many seconds; then anew."""
        self._rests_until = self._monotonic() + seconds
        self._listing, self._reading = self._new_breaker("listing"), self._new_breaker("reading")

    def _new_breaker(self, what: str) -> CircuitBreaker:
        return CircuitBreaker(
            name=f"{what} chats of {self._account_id}",
            failures=self._settings.most_failures,
            counts=lambda exc: not isinstance(exc, NotOwnerError | AccountRevokedError | HistoryUnavailableError),
            clock=self._monotonic,
        )

    async def _answer_plan(self, connection: _Connection, request: Request) -> None:
        try:
            after, not_before = await self._store.low_mark(self._account_id)
            plan = await connection.listing.plan(after, not_before, rate=self._limiter.rate)
        except (NotOwnerError, AccountRevokedError):
            raise
        except NadiaError as exc:
            await self._requests.answer(connection.ownership, request, error=exc.message)
        else:
            await self._requests.answer(connection.ownership, request, answer=asdict(plan))

    async def _recover(self, connection: _Connection, gap: Gap, operation_id: int) -> None:
        """Work on a gap until it is closed or something stops this; whatever that is goes on record."""
        run = _Run(operation_id, self._monotonic(), self._limiter.flood_wait_seconds)
        log.info("recovery.begun", account=self._account_id, operation=operation_id, reason=gap.reason.value)
        try:
            await self._close(connection, gap, operation_id)
        except (asyncio.CancelledError, NotOwnerError, AccountRevokedError):
            with suppress(NadiaError):  # else the next run says so
                await self._end(connection, run, OperationState.INTERRUPTED, "the process stopped, or lost the account")
            raise
        except HistoryUnavailableError as exc:
            await self._leave_to_updates(connection, gap, exc)
            await self._end(connection, run, OperationState.DONE, exc.message)
        except FloodWaitError as exc:
            self._rest(exc.seconds)
            await self._end(connection, run, OperationState.INTERRUPTED, exc.message)
        except UnavailableError as exc:
            if any(breaker.state is not BreakerState.CLOSED for breaker in (self._listing, self._reading)):
                await self._stop(connection, run, exc)
            else:
                await self._end(connection, run, OperationState.INTERRUPTED, exc.message, errors=1)
        except Exception as exc:
            if not isinstance(exc, NadiaError):
                log.exception("recovery.crashed", account=self._account_id)
            await self._stop(connection, run, exc)
        else:
            self._failures = 0
            await self._end(connection, run, OperationState.DONE)

    async def _close(self, connection: _Connection, gap: Gap, operation_id: int) -> None:
        """List and read chats until nothing is missing."""
        ownership, unread = connection.ownership, 0
        while True:
            async with self._listing:
                listing = await connection.listing.list_chats(ownership, gap)
            await self._store.listed(ownership, gap, operation_id, dialogs=listing.dialogs)
            unread += await self._read_chats(connection, gap, operation_id)
            if unread and not await self._is_wider(gap):
                raise RecoveryStoppedError(f"{unread} {'chat' if unread == 1 else 'chats'} could not be read")
            if await self._store.close_gap(ownership, gap, through=listing.newest) is not None:
                return
            gap = await self._store.find_gap(self._account_id) or gap  # wider by now: what was read stays read

    async def _read_chats(self, connection: _Connection, gap: Gap, operation_id: int) -> int:
        """Read what is listed, the most urgent tier first; returns how many chats could not be read.

        Those that failed in an earlier run come after all others: whatever they do to the run, the others are read.
        It ends early when the gap is opened wider: then the list is looked at again first.
        """
        reader = ChatReader(
            gateway=connection.gateway,
            limiter=self._limiter,
            history=connection.history,
            ownership=connection.ownership,
            recording=Recording(
                intake=self._intake, ownership=connection.ownership, network=connection.gateway.network
            ),
            store=self._store,
            settings=self._settings,
            gap=gap,
            operation_id=operation_id,
            clock=self._clock,
            monotonic=self._monotonic,
        )

        async def read(chat: Chat) -> bool:
            return await self._read_chat(connection, reader, gap, operation_id, chat)

        unread = 0
        for failed_before, tier in itertools.product((False, True), RecoveryTier):
            pace = self._settings.pace(tier)
            while chats := await self._store.pending(
                gap, operation_id, tier, failed_before=failed_before, limit=pace.batch_size
            ):
                unread += await _read_side_by_side(read, chats, pace.concurrency)
                if len(chats) == pace.batch_size:
                    await self._sleep(pace.delay_seconds)
                if await self._is_wider(gap):  # all replies wait until it is known again which chats are behind
                    return unread
        return unread

    async def _is_wider(self, gap: Gap) -> bool:
        """Tell whether something more was missed since the chats of a gap were listed."""
        present = await self._store.find_gap(self._account_id)
        return present is not None and present.generation != gap.generation

    async def _read_chat(
        self, connection: _Connection, reader: ChatReader, gap: Gap, operation_id: int, chat: Chat
    ) -> bool:
        """Read one chat; False if it is this chat that could not be read, not all of them."""
        try:
            async with self._reading:
                await reader.read(chat)
        except GatewayDisconnectedError as exc:
            await self._store.fail_chat(connection.ownership, gap, operation_id, chat, error=exc.message, counts=False)
            raise
        except (NotOwnerError, AccountRevokedError, FloodWaitError, HistoryUnavailableError, UnavailableError):
            raise
        except Exception as exc:
            metrics.CHATS.labels(str(chat.tier.value), "failed").inc()
            if isinstance(exc, NadiaError):
                log.warning("recovery.chat_failed", account=self._account_id, reason=exc.message)
            else:
                log.exception("recovery.chat_crashed", account=self._account_id)
            error = exc.message if isinstance(exc, NadiaError) else type(exc).__name__
            await self._store.fail_chat(connection.ownership, gap, operation_id, chat, error=error, counts=True)
            return False
        return True

    async def _leave_to_updates(self, connection: _Connection, gap: Gap, exc: HistoryUnavailableError) -> None:
        """Close the gap of a bot: what its updates did not bring cannot be had, and a person is told if that is any."""
        is_lost = gap.updates_lost_at is not None and gap.not_before is None
        await self._store.close_gap(
            connection.ownership, gap, through=gap.after_message_id, unreadable=exc.message if is_lost else None
        )

    async def _stop(self, connection: _Connection, run: _Run, exc: Exception) -> None:
        """End a run that failed, and rest; twice as long as after the failure before."""
        rest = min(_LONGEST_REST_SECONDS, _FIRST_REST_SECONDS * 2.0 ** min(self._failures, 10))
        self._failures += 1
        self._rest(rest)
        notice = None
        if not isinstance(exc, RecoveryStoppedError):  # single chats that cannot be read are told of one by one
            notice = Notice(
                topic=STOPPED,
                summary=f"Looking for missed messages of account {self._account_id} failed and stopped itself; replies "
                "to chats that were not read yet wait. `nadia recover status` says why. It is tried again in "
                f"{rest:.0f} s.",
                labels={"account": self._account_id},
            )
        error = exc.message if isinstance(exc, NadiaError) else type(exc).__name__
        await self._end(connection, run, OperationState.FAILED, error, errors=1, notice=notice)

    async def _end(
        self,
        connection: _Connection,
        run: _Run,
        state: OperationState,
        error: str | None = None,
        *,
        errors: int = 0,
        notice: Notice | None = None,
    ) -> None:
        seconds = self._monotonic() - run.begun
        await self._store.end_operation(
            connection.ownership,
            run.operation_id,
            state,
            error=error,
            errors=errors,
            flood_wait_seconds=self._limiter.flood_wait_seconds - run.flooded,
            notice=notice,
        )
        metrics.OPERATIONS.labels(state.value).inc()
        metrics.OPERATION_SECONDS.observe(seconds)
        log.info(
            "recovery.ended",
            account=self._account_id,
            operation=run.operation_id,
            state=state.value,
            seconds=round(seconds, 1),
            reason=error,
        )


async def _read_side_by_side(read: Callable[[Chat], Awaitable[bool]], chats: Sequence[Chat], concurrency: int) -> int:
    """Read chats, so many at once; returns how many could not be read.

    What stops one lets the others end the chat they are at, and begin no more.
    """
    waiting = iter(chats)
    stops: list[Exception] = []

    async def read_on() -> int:
        unread = 0
        for chat in waiting:
            try:
                unread += not await read(chat)
            except Exception as exc:
                stops.append(exc)
            if stops:
                break
        return unread

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(read_on()) for _ in range(min(concurrency, len(chats)))]
    for stop in sorted(stops, key=lambda exc: not isinstance(exc, NotOwnerError | AccountRevokedError)):
        raise stop
    return sum(task.result() for task in tasks)
