"""Reading one chat: what changed of it, what is known of it, and what was missed, in that order."""

import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from nadia.clock import Clock
from nadia.errors import NadiaError
from nadia.inbound.recording import Recording
from nadia.recovery import metrics
from nadia.recovery.config import RecoveryConfig
from nadia.recovery.models import Chat, Gap, Tally
from nadia.recovery.store import RecoveryStore
from nadia.telegram.gateway import Gateway, IncomingMessage, MessageEdited, MessagesDeleted
from nadia.telegram.history import PAGE, Changed, Difference, Gone, Missing, TelegramHistoryManager
from nadia.telegram.limiter import RequestLimiter
from nadia.telegram.ownership import Ownership

_ON_RECORD_EVERY: Final = 50
"""Messages after which it goes on record how far a chat was read; so many are read again after a kill."""


@dataclass(slots=True)
class _Progress:
    """How far a chat was read, and what was met since that went on record."""

    through: int
    tally: Tally = field(default_factory=Tally)


class ChatReader:
    """Reads the chats of one gap over one connection, and gives what it finds to intake.

    Parameters
    ----------
    gateway : Gateway
        The account, connected.
    limiter : RequestLimiter
        The account's.
    history : TelegramHistoryManager
        Over the same connection.
    ownership : Ownership
        This process's right to act for the account.
    recording : Recording
        Puts on record what is found, as what comes live.
    store : RecoveryStore
        Where it goes on record how far a chat was read.
    settings : RecoveryConfig
        Ages.
    gap : Gap
        The gap.
    operation_id : int
        The run.
    clock : callable
        The present.
    monotonic : callable
        This process's clock, seconds.
    """

    def __init__(
        self,
        *,
        gateway: Gateway,
        limiter: RequestLimiter,
        history: TelegramHistoryManager,
        ownership: Ownership,
        recording: Recording,
        store: RecoveryStore,
        settings: RecoveryConfig,
        gap: Gap,
        operation_id: int,
        clock: Clock,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._gateway = gateway
        self._limiter = limiter
        self._history = history
        self._ownership = ownership
        self._recording = recording
        self._store = store
        self._settings = settings
        self._gap = gap
        self._operation_id = operation_id
        self._clock = clock
        self._monotonic = monotonic

    async def read(self, chat: Chat) -> None:
        """Read a chat from where it was left to its newest message.

        Raises
        ------
        GatewayError
            If Telegram does not let it be read now; the next run goes on where this one stopped.
        NotOwnerError
            If this process no longer owns the account.
        UnavailableError
            If PostgreSQL is away.
        """
        begun = self._monotonic()
        progress = _Progress(through=chat.through_message_id)
        try:
            await self._read(chat, progress)
        except BaseException:
            if progress.tally != Tally():
                with suppress(NadiaError):  # else it is read again
                    await self._advance(chat, progress)
            raise
        progress.through = max(progress.through, chat.top_message_id)
        await self._advance(chat, progress, took=timedelta(seconds=self._monotonic() - begun))
        metrics.CHATS.labels(str(chat.tier.value), "done").inc()

    async def _read(self, chat: Chat, progress: _Progress) -> None:
        if progress.through == 0 and chat.not_before is not None:
            progress.through = await self._newest_before(chat, chat.not_before)
        if self._gap.is_compared:
            await self._reconcile(chat, progress)
        if chat.top_message_id <= progress.through:
            return
        newest = await self._page(chat)
        # Noted before the messages are taken in: their draft may be begun a moment later.
        summary = await self._history.get_user_chat_history_summary(chat.chat_id, newest=newest)
        await self._advance(chat, progress, summary=summary)
        async with aclosing(self._missed(chat, progress.through, newest)) as missed:
            async for message in missed:
                await self._take_in(message, progress.tally)
                progress.through = message.message_id
                if progress.tally.found >= _ON_RECORD_EVERY:
                    await self._advance(chat, progress)

    async def _missed(
        self, chat: Chat, through: int, newest: list[IncomingMessage]
    ) -> AsyncGenerator[IncomingMessage, None]:
        """Yield what came after a message, ascending; most often the newest page, read already, has all of it.

        Only a page that reaches back to that message is known to: Telegram's pages may be short anywhere.
        """
        if not newest or newest[0].message_id <= through:
            for message in newest:
                if message.message_id > through:
                    yield message
            return
        missing = self._history.get_missed_messages(chat.chat_id, through, through_id=newest[-1].message_id)
        async with aclosing(missing) as missed:
            async for found in missed:
                yield found.message

    async def _newest_before(self, chat: Chat, moment: datetime) -> int:
        """Return the newest message from before a moment, 0 if there is none: reading begins after it."""
        before: int | None = None
        while page := await self._page(chat, before):
            older = [message.message_id for message in page if message.sent_at < moment]
            if older:
                return max(older)
            before = page[0].message_id
        return 0

    async def _page(self, chat: Chat, before: int | None = None) -> list[IncomingMessage]:
        return await self._limiter.call(
            lambda: self._gateway.history(chat_id=chat.chat_id, before_id=before, limit=PAGE)
        )

    async def _reconcile(self, chat: Chat, progress: _Progress) -> None:
        """Take over what was edited or deleted since it went on record, and whatever is missing between.

        What came live after the low mark is compared too; what is missing there is read afterwards, in its order.
        """
        through = max(progress.through, chat.top_message_id)
        recorded = await self._store.recorded(self._ownership.account_id, chat, through=through)
        if not recorded:
            return
        differences = self._history.verify_message_continuity(
            chat.chat_id, recorded, after_id=recorded[0].message_id - 1, through_id=recorded[-1].message_id
        )
        gone: list[int] = []
        async with aclosing(differences):
            async for difference in differences:
                if isinstance(difference, Gone):
                    gone.append(difference.message_id)
                elif isinstance(difference, Changed) or difference.found.message.message_id <= progress.through:
                    await self._take_over(chat, difference, progress.tally)
        if gone:
            deleted = MessagesDeleted(message_ids=tuple(gone), chat_id=chat.chat_id)
            if await self._recording.record(deleted, recovered_by=self._operation_id):
                progress.tally.deletions += len(gone)
                metrics.CHANGES.labels("deletion").inc(len(gone))

    async def _take_over(self, chat: Chat, difference: Difference, tally: Tally) -> None:
        match difference:
            case Missing(found=found) if not found.message.outgoing:  # our own are delivery's to put on record
                await self._take_in(found.message, tally)
            case Changed(found=found) if found.message.edited_at is not None:
                edited = MessageEdited(
                    chat_id=chat.chat_id,
                    message_id=found.message.message_id,
                    text=found.message.text,
                    edited_at=found.message.edited_at,
                    kind=found.message.kind,
                    media=found.message.media,
                )
                if await self._recording.record(edited, recovered_by=self._operation_id):
                    tally.edits += 1
                    metrics.CHANGES.labels("edit").inc()

    async def _take_in(self, message: IncomingMessage, tally: Tally) -> None:
        tally.found += 1
        if not await self._recording.record(message, recovered_by=self._operation_id):
            tally.duplicate += 1
            metrics.MESSAGES.labels("duplicate").inc()
            return
        tally.recorded += 1
        metrics.MESSAGES.labels("recorded").inc()
        if not message.outgoing and self._clock() - message.sent_at > self._settings.maximum_age:
            tally.too_old += 1
            metrics.MESSAGES.labels("too_old").inc()

    async def _advance(
        self, chat: Chat, progress: _Progress, *, took: timedelta | None = None, summary: str | None = None
    ) -> None:
        await self._store.advance(
            self._ownership,
            self._gap,
            self._operation_id,
            chat,
            through=progress.through,
            tally=progress.tally,
            took=took,
            summary=summary,
        )
        progress.tally = Tally()
