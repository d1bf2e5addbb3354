"""Delivery for one Telegram account: replies that are due leave side by side, each in its own task."""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import structlog

from nadia.conversations.messages import NotOwnerError
from nadia.conversations.pauses import Pauses
from nadia.delivery import metrics
from nadia.delivery.catching_up import CatchesUp
from nadia.delivery.config import DeliverySettings
from nadia.delivery.hold import Hold
from nadia.delivery.ledger import ChatBehindError, Ledger
from nadia.delivery.metrics import Failure
from nadia.delivery.reply import ReplySender
from nadia.delivery.typing import TypingSimulator
from nadia.errors import NadiaError, UnavailableError
from nadia.postgres.database import Database
from nadia.redis.events import LiveEvents
from nadia.telegram.errors import AccountRevokedError
from nadia.telegram.gateway import Gateway
from nadia.telegram.ownership import Ownership

log = structlog.get_logger(__name__)

_POLL_SECONDS: Final = 1.0
_RETRY_SECONDS: Final = 1.0
_FIRST_HOLD_SECONDS: Final = 1.0
_LONGEST_HOLD_SECONDS: Final = 16.0
"""Reading what was missed can take minutes; a thousand replies that wait for it are to cost little meanwhile."""

_MOST_FAILURES: Final = 5
"""After so many failures that nobody foresaw, a reply is left to a person."""


class Delivery:
    """Sends what was approved, in the process that owns the account.

    Replies of one conversation leave in the order of approval, because it has at most one open batch; those of
    different conversations do not wait for each other.

    Parameters
    ----------
    database : Database
        Where the outbox is.
    gateway : Gateway
        The account, connected; it may lose and regain its link meanwhile.
    ownership : Ownership
        This process's right to act for the account.
    pauses : Pauses
        Stops sending when Telegram limits the account.
    events : LiveEvents
        Tells pages.
    simulator : TypingSimulator
        Reading and writing in human time.
    settings : DeliverySettings
        Limits.
    catching_up : CatchesUp, optional
        Knows which chats may hold messages that are not on record yet; replies to them wait.
    monotonic : callable
        This process's clock, seconds.
    """

    def __init__(
        self,
        *,
        database: Database,
        gateway: Gateway,
        ownership: Ownership,
        pauses: Pauses,
        events: LiveEvents,
        simulator: TypingSimulator,
        settings: DeliverySettings,
        catching_up: CatchesUp | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._account_id = ownership.account_id
        self._concurrency = settings.concurrency
        self._monotonic = monotonic
        self._hold = Hold(monotonic=monotonic)
        self._ledger = Ledger(
            database=database, ownership=ownership, pauses=pauses, events=events, catching_up=catching_up
        )
        self._replies = ReplySender(
            database=database,
            gateway=gateway,
            ledger=self._ledger,
            simulator=simulator,
            hold=self._hold,
            settings=settings,
            monotonic=monotonic,
        )
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._failures: dict[int, int] = {}
        self._resting: dict[int, float] = {}
        self._held: dict[int, _Held] = {}
        self._hint = asyncio.Event()
        self._stopping = False
        self._shown_waiting = 0

    def stop(self) -> None:
        """End `run` soon: waits are cut short, what is just being sent is still put on record."""
        self._stopping = True
        self._replies.stop()
        for batch_id, task in self._tasks.items():
            if not self._replies.is_sending(batch_id):
                task.cancel()
        self._hint.set()

    async def run(self) -> None:
        """Deliver until stopped or cancelled. Cancelled at any moment, nothing is lost and nothing sent twice.

        Raises
        ------
        NotOwnerError
            If this process no longer owns the account.
        AccountRevokedError
            If the account's session is no longer valid.
        """
        try:
            async with asyncio.TaskGroup() as group:
                while not self._stopping:
                    await self._wait(await self._start_due(group))
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from None
        finally:
            self._show_waiting(0)

    async def _start_due(self, group: asyncio.TaskGroup) -> float:
        """Start tasks for what is due; returns after how many seconds to look again."""
        self._hint.clear()
        if self._hold.is_on:
            return min(_POLL_SECONDS, self._hold.remaining)
        free = self._concurrency - len(self._tasks)
        if free <= 0:
            return _POLL_SECONDS
        excluded = [*self._tasks, *self._still_resting()]
        try:
            waiting = await self._ledger.waiting(working_on=excluded, held=self._still_held(), limit=free)
        except NadiaError as exc:
            log.warning("delivery.cannot_look", account=self._account_id, reason=exc.message)
            return _POLL_SECONDS
        self._show_waiting(waiting.total)
        pause = _POLL_SECONDS
        for batch_id, due_in in waiting.due_in.items():
            if due_in > 0:
                return min(pause, due_in)
            self._start(group, batch_id)
        return pause

    def _start(self, group: asyncio.TaskGroup, batch_id: int) -> None:
        task = group.create_task(self._deliver(batch_id), name=f"delivery.batch-{batch_id}")
        self._tasks[batch_id] = task
        task.add_done_callback(lambda _: self._ended(batch_id))

    def _ended(self, batch_id: int) -> None:
        was_full = len(self._tasks) >= self._concurrency
        self._tasks.pop(batch_id, None)
        if was_full:
            self._hint.set()

    async def _deliver(self, batch_id: int) -> None:
        """Deliver one reply; its trouble stays its own."""
        try:
            await self._replies.deliver(batch_id)
        except (NotOwnerError, AccountRevokedError):
            raise
        except ChatBehindError:
            self._keep_waiting(batch_id)
            return
        except UnavailableError as exc:
            log.warning("delivery.postponed", batch_id=batch_id, reason=exc.message)
            self._rest(batch_id, _RETRY_SECONDS)
        except Exception:
            log.exception("delivery.failed", batch_id=batch_id)
            await self._failed(batch_id)
        else:
            self._failures.pop(batch_id, None)
        self._held.pop(batch_id, None)

    async def _failed(self, batch_id: int) -> None:
        """Count a failure that nobody foresaw; after several the reply is parked, so that it is not tried for ever."""
        count = self._failures[batch_id] = self._failures.get(batch_id, 0) + 1
        self._rest(batch_id, _RETRY_SECONDS * 2**count)
        if count < _MOST_FAILURES:
            metrics.FAILURES.labels(Failure.INTERNAL).inc()
            return
        del self._failures[batch_id]
        try:
            await self._ledger.park(
                batch_id, bubble=None, failure=Failure.INTERNAL, reason="sending it failed repeatedly; the log says why"
            )
        except NotOwnerError:
            raise
        except NadiaError:
            log.exception("delivery.cannot_park", batch_id=batch_id)

    def _rest(self, batch_id: int, seconds: float) -> None:
        self._resting[batch_id] = self._monotonic() + seconds

    def _still_resting(self) -> list[int]:
        now = self._monotonic()
        self._resting = {batch_id: until for batch_id, until in self._resting.items() if until > now}
        return list(self._resting)

    def _keep_waiting(self, batch_id: int) -> None:
        """Ask about a reply again later, and later each time: those whose chats are read must get their turn."""
        before = self._held.get(batch_id)
        seconds = _FIRST_HOLD_SECONDS if before is None else min(2 * before.seconds, _LONGEST_HOLD_SECONDS)
        self._held[batch_id] = _Held(seconds=seconds, until=self._monotonic() + seconds)

    def _still_held(self) -> list[int]:
        now = self._monotonic()
        return [batch_id for batch_id, held in self._held.items() if held.until > now]

    def _show_waiting(self, total: int) -> None:
        metrics.WAITING.inc(total - self._shown_waiting)
        self._shown_waiting = total

    async def _wait(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._hint.wait()


@dataclass(frozen=True, slots=True)
class _Held:
    """For how long, and until when by this process's clock, a reply is not asked about."""

    seconds: float
    until: float
