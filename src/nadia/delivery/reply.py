"""One reply leaves: its bubbles one after the other, each at most once."""

import time
from collections.abc import Callable
from typing import Final

import structlog

from nadia.delivery.config import DeliverySettings
from nadia.delivery.history import Ambiguous, Found, look_up
from nadia.delivery.hold import Hold
from nadia.delivery.ledger import Ledger
from nadia.delivery.metrics import BUBBLE_SECONDS, FAILURES, Failure
from nadia.delivery.models import BubbleState, Turn
from nadia.delivery.typing import Beat, TypingSimulator
from nadia.postgres.database import Database
from nadia.telegram.errors import (
    AccountRevokedError,
    FloodWaitError,
    GatewayDisconnectedError,
    GatewayError,
    PeerFloodError,
    RandomIdDuplicateError,
    SendRefusedError,
)
from nadia.telegram.gateway import Gateway

log = structlog.get_logger(__name__)

_FIRST_RETRY_SECONDS: Final = 1.0
_LONGEST_RETRY_SECONDS: Final = 8.0


class ReplySender:
    """Sends the replies of one account over one connection.

    An attempt whose answer was lost is repeated with the same ``random_id`` only by the object that began it, and only
    for ``sending_timeout``: what another process, or this one before a restart, left in ``sending`` is looked up in
    Telegram's history first, since nobody promises that a new log-in remembers the ``random_id`` of an old one.

    Parameters
    ----------
    database : Database
        Where messages are on record.
    gateway : Gateway
        The account.
    ledger : Ledger
        What happened to each bubble.
    simulator : TypingSimulator
        Reading and writing in human time.
    hold : Hold
        Keeps the whole account waiting when Telegram or the link asks for it.
    settings : DeliverySettings
        Limits.
    monotonic : callable
        This process's clock, seconds.
    """

    def __init__(
        self,
        *,
        database: Database,
        gateway: Gateway,
        ledger: Ledger,
        simulator: TypingSimulator,
        hold: Hold,
        settings: DeliverySettings,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._gateway = gateway
        self._ledger = ledger
        self._simulator = simulator
        self._hold = hold
        self._settings = settings
        self._monotonic = monotonic
        self._began = monotonic()
        self._attempts: dict[int, float] = {}
        self._sending: set[int] = set()
        self._stopping = False

    def stop(self) -> None:
        """Begin no further bubble."""
        self._stopping = True

    def is_sending(self, batch_id: int) -> bool:
        """Tell whether a reply is between an attempt and its record, where an interruption costs a look-up."""
        return batch_id in self._sending

    async def deliver(self, batch_id: int) -> None:
        """Send what is left of a reply, until it is out, has to wait, or is not ours to send any more.

        Raises
        ------
        NotOwnerError, AccountRevokedError
            If this process may or can no longer act for the account.
        ChatBehindError
            If the reply has to wait until what was missed in its chat is read.
        UnavailableError
            If PostgreSQL is away.
        """
        beats: dict[int, Beat] = {}
        while not self._must_wait and (turn := await self._ledger.turn(batch_id)):
            bubble = turn.bubble
            if bubble.state is BubbleState.QUEUED and bubble.attempts == 0:
                beats = beats or await self._read_and_plan(batch_id)
                await self._simulator.write(
                    self._gateway, chat_id=turn.conversation.chat_id, beat=beats.get(bubble.id, Beat(0, 0))
                )
                if self._must_wait:
                    return
            self._sending.add(batch_id)
            try:
                goes_on = await (self._attempt(turn) if self._may_attempt(turn) else self._find_out(turn))
            finally:
                self._sending.discard(batch_id)
            if not goes_on:
                return

    @property
    def _must_wait(self) -> bool:
        return self._stopping or self._hold.is_on

    async def _read_and_plan(self, batch_id: int) -> dict[int, Beat]:
        characters, unsent = await self._ledger.texts(batch_id)
        is_begun = bool(unsent) and unsent[0][1] > 0
        cadence = self._simulator.plan(
            characters_to_read=0 if is_begun else characters, bubbles=[text for _, _, text in unsent]
        )
        await self._simulator.read(cadence.reading)
        return {bubble_id: beat for (bubble_id, _, _), beat in zip(unsent, cadence.beats, strict=True)}

    def _may_attempt(self, turn: Turn) -> bool:
        """Tell whether sending is safe without asking the history first."""
        bubble = turn.bubble
        if bubble.state is BubbleState.QUEUED:
            return True
        return (
            not turn.stale and bubble.id in self._attempts and bubble.sending_seconds < self._settings.sending_timeout
        )

    async def _attempt(self, before: Turn) -> bool:
        """Send the bubble once; returns whether the reply may go on at once."""
        turn = await self._ledger.begin(before)
        if turn is None:
            return True  # something has changed: look again
        bubble = turn.bubble
        is_repeated = bubble.id in self._attempts
        self._attempts[bubble.id] = self._monotonic()
        self._ledger.require_ownership()
        try:
            with BUBBLE_SECONDS.time():
                sent = await self._gateway.send(
                    chat_id=turn.conversation.chat_id, text=bubble.text, random_id=bubble.random_id
                )
        except RandomIdDuplicateError:
            FAILURES.labels(Failure.DUPLICATE).inc()
            return await self._find_out(turn, is_surely_sent=True)
        except SendRefusedError as exc:
            return await self._refused(before, turn, exc)
        except AccountRevokedError as exc:
            await self._ledger.not_sent(before, failure=Failure.REVOKED, delay_seconds=0, error=exc.message)
            raise
        except GatewayError as exc:
            await self._failed(before, turn, exc, is_repeated=is_repeated)
            return False
        self._hold.clear()
        await self._ledger.sent(
            bubble, telegram_message_id=sent.message_id, sent_at=sent.sent_at, known_by="Telegram's answer"
        )
        self._attempts.pop(bubble.id, None)
        return True

    async def _refused(self, before: Turn, turn: Turn, exc: SendRefusedError) -> bool:
        if before.bubble.state is BubbleState.QUEUED:
            await self._park(turn, Failure.REFUSED, exc.message)
            return False
        try:  # an earlier attempt may have gone through all the same
            found = await look_up(self._gateway, self._database, turn)
        except AccountRevokedError:
            raise
        except GatewayError as unreadable:
            await self._unreadable(turn, unreadable)
            return False
        if isinstance(found, Found):
            await self._record_found(turn, found)
            return True
        doubt = found.reason if isinstance(found, Ambiguous) else "Telegram's history does not show it yet"
        await self._park(turn, Failure.REFUSED, f"it may have been sent already: {doubt}; then {exc.message}")
        return False

    async def _failed(self, before: Turn, turn: Turn, exc: GatewayError, *, is_repeated: bool) -> None:
        """Put off an attempt that failed for now; ``before`` is the bubble as it was without this attempt."""
        delay = self._backoff(turn.bubble.attempts)
        if isinstance(exc, FloodWaitError):
            self._hold.for_seconds(exc.seconds)
            await self._ledger.not_sent(
                before, failure=Failure.FLOOD_WAIT, delay_seconds=exc.seconds, error=exc.message
            )
        elif isinstance(exc, PeerFloodError):
            await self._ledger.not_sent(before, failure=Failure.PEER_FLOOD, delay_seconds=delay, error=exc.message)
            await self._ledger.stop_sending(f"{exc.message}. {exc.hint}; then resume sending.")
        elif isinstance(exc, GatewayDisconnectedError):
            self._hold.after_lost_link()
            await self._ledger.not_sent(before, failure=Failure.DISCONNECTED, delay_seconds=0, error=exc.message)
        elif is_repeated and turn.bubble.sending_seconds > self._settings.sending_timeout:
            await self._park(turn, Failure.AMBIGUOUS, f"it may have been sent already: {exc.message}")
        else:  # the answer was lost, or means nothing we know: it may have gone out
            FAILURES.labels(Failure.UNCERTAIN).inc()
            await self._ledger.postpone(turn.bubble, delay_seconds=delay, error=exc.message)

    async def _find_out(self, turn: Turn, *, is_surely_sent: bool = False) -> bool:
        """Look for a bubble in Telegram's history and act on it; returns whether the reply may go on at once."""
        bubble = turn.bubble
        try:
            found = await look_up(self._gateway, self._database, turn)
        except AccountRevokedError:
            raise
        except GatewayError as exc:
            await self._unreadable(turn, exc)
            return False
        if isinstance(found, Found):
            await self._record_found(turn, found)
            return True
        if isinstance(found, Ambiguous):
            await self._park(turn, Failure.AMBIGUOUS, f"it may have been sent already: {found.reason}")
            return False
        if is_surely_sent:
            return await self._sent_but_not_found(turn)
        unsettled = self._settle_time(bubble.id)
        if unsettled > 0:  # a request that is still on its way may yet turn up
            await self._ledger.postpone(bubble, delay_seconds=unsettled, error="looking whether it was sent")
            return False
        if turn.stale:
            await self._ledger.give_up(bubble)
            self._attempts.pop(bubble.id, None)
            return False
        return await self._attempt(turn)

    async def _unreadable(self, turn: Turn, exc: GatewayError) -> None:
        bubble = turn.bubble
        delay = self._backoff(bubble.attempts)
        if isinstance(exc, FloodWaitError):
            delay = float(exc.seconds)
        elif isinstance(exc, GatewayDisconnectedError):
            self._hold.after_lost_link()
        elif bubble.sending_seconds > self._settings.sending_timeout:
            await self._park(turn, Failure.AMBIGUOUS, f"it may have been sent already: {exc.message}")
            return
        await self._ledger.postpone(bubble, delay_seconds=delay, error=exc.message)

    async def _sent_but_not_found(self, turn: Turn) -> bool:
        if turn.bubble.sending_seconds > self._settings.sending_timeout:
            reason = "Telegram says that it was sent before, but its history does not show it"
            await self._park(turn, Failure.AMBIGUOUS, reason)
        else:
            delay = self._backoff(turn.bubble.attempts)
            await self._ledger.postpone(turn.bubble, delay_seconds=delay, error="sent, not in the history yet")
        return False

    async def _record_found(self, turn: Turn, found: Found) -> None:
        message = found.message
        await self._ledger.sent(
            turn.bubble, telegram_message_id=message.message_id, sent_at=message.sent_at, known_by="Telegram's history"
        )
        self._attempts.pop(turn.bubble.id, None)

    async def _park(self, turn: Turn, failure: Failure, reason: str) -> None:
        await self._ledger.park(turn.bubble.batch_id, bubble=turn.bubble, failure=failure, reason=reason)
        self._attempts.pop(turn.bubble.id, None)

    def _settle_time(self, bubble_id: int) -> float:
        """Return the seconds until the newest attempt, ours or another process's, can no longer be on its way."""
        since = self._monotonic() - self._attempts.get(bubble_id, self._began)
        return self._settings.settle_seconds - since

    def _backoff(self, attempts: int) -> float:
        return min(_LONGEST_RETRY_SECONDS, _FIRST_RETRY_SECONDS * 2.0 ** min(max(attempts - 1, 0), 10))
