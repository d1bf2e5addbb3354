"""What Telegram's own history says: which messages were missed, and whether the record still agrees with it.

Everything streams: a page of a chat at a time, and a caller that was interrupted goes on after the last message it has.
"""

import itertools
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Iterator, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, TypeAlias

from nadia.clock import Clock, utc_now
from nadia.telegram.errors import FloodWaitError, GatewayError
from nadia.telegram.gateway import Dialog, Gateway, IncomingMessage
from nadia.telegram.limiter import MOST_FLOOD_WAITS, RequestLimiter
from nadia.telegram.summary import summarise

PAGE: Final = 100
"""Messages or dialogs that one request brings (Telegram API, messages.getHistory and messages.getDialogs)."""


@dataclass(frozen=True, slots=True)
class TelegramMessage:
    """A message as a chat's history has it (baseline 2.3), and when the history said so.

    Parameters
    ----------
    message : IncomingMessage
        What intake takes in.
    read_at : datetime
        What happened to it later is not in it.
    """

    message: IncomingMessage
    read_at: datetime

    @property
    def age(self) -> timedelta:
        """How long before the reading it was written."""
        return self.read_at - self.message.sent_at


@dataclass(frozen=True, slots=True)
class Recorded:
    """A message as NADIA has it on record, not marked as deleted."""

    message_id: int
    edited_at: datetime | None


@dataclass(frozen=True, slots=True)
class Missing:
    """The history has a message that is not on record."""

    found: TelegramMessage


@dataclass(frozen=True, slots=True)
class Changed:
    """A message was edited since it went on record."""

    found: TelegramMessage


@dataclass(frozen=True, slots=True)
class Gone:
    """A message on record is no longer in the history: it was deleted."""

    message_id: int


Difference: TypeAlias = Missing | Changed | Gone


class TelegramHistoryManager:
    """Reads histories of one account, no faster than Telegram allows (baseline 2.3).

    The gateway takes the turns; flood waits are sat out here, within reason. Everything else that the gateway raises
    passes through; the caller goes on later from the last message that it was given.

    Parameters
    ----------
    gateway : Gateway
        The account, connected.
    limiter : RequestLimiter
        The account's; it outlives its connections.
    clock : callable
        The present.
    """

    def __init__(self, *, gateway: Gateway, limiter: RequestLimiter, clock: Clock = utc_now) -> None:
        self._gateway = gateway
        self._limiter = limiter
        self._clock = clock

    async def get_missed_messages(
        self, chat_id: int, after_id: int, *, through_id: int | None = None
    ) -> AsyncGenerator[TelegramMessage, None]:
        """Yield a chat's messages after one that is on record, ascending by id; a page is held at a time.

        Parameters
        ----------
        chat_id : int
            The chat.
        after_id : int
            The newest message that is on record, 0 for the whole chat.
        through_id : int, optional
            The newest message that is wanted, such as the dialog's top: it saves the request that finds nothing more.
        """
        while through_id is None or after_id < through_id:
            page = await self._page(chat_id, after_id=after_id)
            read_at = self._clock()
            for message in page:
                if through_id is not None and message.message_id > through_id:
                    return
                yield TelegramMessage(message, read_at)
            if not page:
                return
            after_id = page[-1].message_id

    async def scan_all_dialogs(self, *, above: int = 0) -> AsyncGenerator[Dialog, None]:
        """Yield the chats whose newest message is above one, the one with the newest message first.

        A chat that gets a message while the list is being read moves to its head, past the reader; so the head is read
        again until nothing in it is new. Such a chat may come twice.

        Parameters
        ----------
        above : int
            Id of the newest message for which nothing can be missing.
        """
        while True:
            newest = above
            async with aclosing(self._walk(above)) as walk:
                async for dialog in walk:
                    newest = max(newest, dialog.top_message_id)
                    yield dialog
            if newest == above:
                return
            above = newest

    async def verify_message_continuity(
        self, chat_id: int, recorded: Iterable[Recorded], *, after_id: int = 0, through_id: int | None = None
    ) -> AsyncGenerator[Difference, None]:
        """Compare a stretch of a chat's history with the record and yield how they differ, ascending by id.

        Parameters
        ----------
        chat_id : int
            The chat.
        recorded : iterable of Recorded
            All that is on record of the stretch, ascending by id.
        after_id, through_id : int
            The stretch: messages after the one and up to the other; absent, to the newest.

        Raises
        ------
        ValueError
            If the record is not in order, or reaches beyond the stretch.
        """
        records = _in_order(recorded, after_id=after_id, through_id=through_id)
        record = next(records, None)
        async with aclosing(self.get_missed_messages(chat_id, after_id, through_id=through_id)) as history:
            async for found in history:
                message_id = found.message.message_id
                while record is not None and record.message_id < message_id:
                    yield Gone(record.message_id)
                    record = next(records, None)
                if record is None or record.message_id > message_id:
                    yield Missing(found)
                    continue
                if _is_edited(found.message, record):
                    yield Changed(found)
                record = next(records, None)
        for gone in itertools.chain([] if record is None else [record], records):
            yield Gone(gone.message_id)

    async def get_user_chat_history_summary(
        self,
        chat_id: int,
        *,
        before_id: int | None = None,
        messages: int = 20,
        longest: int = 4_000,
        newest: Sequence[IncomingMessage] | None = None,
    ) -> str:
        """Return the chat's newest messages as plain text: who wrote what, when, and how long ago that is.

        Parameters
        ----------
        chat_id : int
            The chat.
        before_id : int, optional
            Only what stands before this message.
        messages : int
            How many at most, 1 to 100.
        longest : int
            Characters at most; the oldest messages are left out first.
        newest : sequence of IncomingMessage, optional
            The chat's newest messages, where the caller has just read them: it saves the request.
        """
        if newest is not None:
            return summarise(newest[-messages:], now=self._clock(), longest=longest)
        page = await self._limiter.call(
            lambda: self._gateway.history(chat_id=chat_id, before_id=before_id, limit=messages)
        )
        return summarise(page, now=self._clock(), longest=longest)

    async def _page(self, chat_id: int, *, after_id: int) -> list[IncomingMessage]:
        page = await self._limiter.call(lambda: self._gateway.history(chat_id=chat_id, after_id=after_id, limit=PAGE))
        ids = [after_id, *(message.message_id for message in page)]
        if any(later <= earlier for earlier, later in itertools.pairwise(ids)):
            raise GatewayError(f"Telegram's history of chat {chat_id} is not in order after message {after_id}")
        return page

    async def _walk(self, above: int) -> AsyncGenerator[Dialog, None]:
        """Walk down the list of dialogs once.

        A gateway's list cannot be entered in the middle: after a flood wait it is begun again, and what was yielded is
        passed over, and what has moved to the head too, which is for the caller's next walk.
        """
        lowest: int | None = None
        floods = 0
        while True:
            await self._limiter.sit_out()
            try:
                async with _closing(self._gateway.dialogs()) as dialogs:
                    async for dialog in dialogs:
                        if dialog.top_message_id <= above:
                            return
                        if lowest is None or dialog.top_message_id < lowest:
                            lowest, floods = dialog.top_message_id, 0
                            yield dialog
            except FloodWaitError as exc:
                self._limiter.slow_down(exc)
                floods += 1
                if floods > MOST_FLOOD_WAITS:
                    raise
            else:
                return


@asynccontextmanager
async def _closing(dialogs: AsyncIterator[Dialog]) -> AsyncGenerator[AsyncIterator[Dialog], None]:
    """Close what may be a generator, so that it does not wait half-read for the garbage collector."""
    try:
        yield dialogs
    finally:
        if isinstance(dialogs, AsyncGenerator):
            await dialogs.aclose()


def _in_order(recorded: Iterable[Recorded], *, after_id: int, through_id: int | None) -> Iterator[Recorded]:
    last = after_id
    for record in recorded:
        if record.message_id <= last or (through_id is not None and record.message_id > through_id):
            raise ValueError(f"message {record.message_id} is out of order, or outside of the stretch to compare")
        last = record.message_id
        yield record


def _is_edited(message: IncomingMessage, record: Recorded) -> bool:
    """Tell whether it was edited after it was recorded, be it the text or what it carries."""
    if message.edited_at is None:
        return False
    return record.edited_at is None or message.edited_at > record.edited_at
