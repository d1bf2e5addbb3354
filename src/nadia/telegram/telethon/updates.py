"""Reading an account's updates: in sequence, one at a time, each batch with the position that it leads to."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import Any, Final

import structlog
from telethon import TelegramClient, errors, utils
from telethon.tl import TLObject, TLRequest, functions, types

from nadia.telegram.entities import EntityResolver
from nadia.telegram.gateway import Event, IncomingMessage, State, TypingStarted, Update, UpdatesLost
from nadia.telegram.telethon.errors import reason_of
from nadia.telegram.telethon.people import People
from nadia.telegram.telethon.session import write_state
from nadia.telegram.telethon.translation import chat_of, event_of

log = structlog.get_logger(__name__)

_UNREADABLE: Final = (
    errors.PersistentTimestampEmptyError,
    errors.PersistentTimestampInvalidError,
    errors.TypeNotFoundError,
)
"""A difference that can never be read: Telegram does not know the position, or Telethon not what happened since."""

_FIRST_PAUSE_SECONDS: Final = 1.0
_LONGEST_PAUSE_SECONDS: Final = 60.0
"""Between attempts while Telegram has trouble; our choice: a minute is the most that a message then waits longer."""

_LONGEST_FLOOD_WAIT_SECONDS: Final = 600
"""Ten minutes, our choice: an account that is to read nothing for longer is not connected, and should be seen so."""


class Feed:
    """Hands updates on one at a time: the next one when whoever took the one before is done with it."""

    def __init__(self) -> None:
        self._entries: asyncio.Queue[Update | Exception] = asyncio.Queue()

    async def put(self, update: Update) -> None:
        """Hand an update on; returns when the reader asks for the next."""
        self._entries.put_nowait(update)
        await self._entries.join()

    def end(self, error: Exception) -> None:
        """Let the reader know why nothing follows."""
        self._entries.put_nowait(error)

    async def read(self) -> AsyncIterator[Update]:
        """Take the updates; raises what `end` was given."""
        while True:
            entry = await self._entries.get()
            if isinstance(entry, Exception):
                raise entry
            yield entry
            self._entries.task_done()


class ReadingClient(TelegramClient):  # type: ignore[misc]  # Telethon is untyped
    """A client that gives its updates to a feed, in the place of event handlers.

    Handlers get an update after Telethon's own position has been moved past the whole batch that it belongs to, and
    their exceptions are swallowed. So the batches are taken where they are complete, before they are dispatched; what
    is taken there holds up the reading, and what fails there ends it.
    """

    def read_into(self, feed: Feed, *, own_id: int, people: People, peers: EntityResolver, lost: str | None) -> None:
        """Say where updates go; to be called before ``connect``.

        Parameters
        ----------
        feed : Feed
            Takes them.
        own_id : int
            The account's user.
        people : People
            Learns whom updates mention.
        peers : EntityResolver
            Learns how to address them.
        lost : str or None
            Why reading cannot go on where it ended, if it cannot.
        """
        self._feed = feed
        self._own_id = own_id
        self._people = people
        self._peers = peers
        self._lost = lost
        self._set_aside: list[TLObject] = []
        self._told: State | None = None
        self._reading_failed: Exception | None = None

    @property
    def why_it_ended(self) -> Exception | None:
        """What made Telethon give up reading, if that was it."""
        return self._reading_failed or self._updates_error

    async def __call__(
        self, request: TLRequest, ordered: bool = False, flood_sleep_threshold: int | None = None
    ) -> Any:
        """Make a request; those for differences, which Telethon's own loop makes, are seen to."""
        match request:
            case functions.updates.GetDifferenceRequest():
                return await self._difference(request)
            case functions.updates.GetChannelDifferenceRequest():
                # Nobody reads channels here; to this answer Telethon forgets them until they speak again.
                raise errors.ChannelPrivateError(request)
            case _:
                return await self._ask(request)

    async def _ask(self, request: TLRequest) -> Any:
        """Ask once, and leave it to whoever asked what comes next.

        Telethon's own way sleeps on trouble, refuses for a while whatever is of a kind that met a flood wait, and
        follows to another data centre with a new key.
        """
        await request.resolve(self, utils)
        return await self._sender.send(request)

    async def _ask_in_time(self, request: TLRequest) -> Any:
        """Ask for the reading itself, which would wait for ever; whoever else asks has a limit of the link's."""
        async with asyncio.timeout(self._timeout):
            return await self._ask(request)

    async def _difference(self, request: TLRequest) -> TLObject:
        """Return the difference; an error, which Telethon would take for "nothing new", ends the reading."""
        try:
            difference = await self._readable_difference(request)
        except Exception as exc:
            self._reading_failed = exc
            await self.disconnect()
            raise
        if isinstance(difference, types.updates.DifferenceTooLong):
            self._lost = self._lost or "difference too long"
        elif isinstance(difference, types.updates.Difference | types.updates.DifferenceSlice):
            self._set_aside, difference.other_updates = _sorted_out(difference.other_updates)
        return difference

    async def _readable_difference(self, request: TLRequest) -> TLObject:
        try:
            return await self._ask_patiently(request)
        except _UNREADABLE as exc:
            log.warning("telegram.updates.unreadable", user_id=self._own_id, reason=type(exc).__name__)
            self._lost = self._lost or "difference unreadable"
        state = await self._ask_patiently(functions.updates.GetStateRequest())
        return types.updates.DifferenceTooLong(state.pts)

    async def _ask_patiently(self, request: TLRequest) -> Any:
        """Ask until Telegram is able to answer: a new connection would not be answered any better."""
        pause = _FIRST_PAUSE_SECONDS
        while True:
            try:
                return await self._ask_in_time(request)
            except errors.FloodError as exc:
                seconds = getattr(exc, "seconds", None)
                if seconds is None or seconds > _LONGEST_FLOOD_WAIT_SECONDS:
                    raise
                log.warning("telegram.updates.flood_wait", user_id=self._own_id, seconds=seconds)
                await asyncio.sleep(seconds)
            except (errors.ServerError, errors.TimedOutError) as exc:
                log.warning("telegram.updates.trouble", user_id=self._own_id, reason=reason_of(exc), seconds=pause)
                await asyncio.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)

    async def _preprocess_updates(
        self, updates: list[TLObject], users: list[TLObject], chats: list[TLObject]
    ) -> list[TLObject]:
        """Take a batch; called by Telethon for each, also an empty one, when its position has been moved past it."""
        await super()._preprocess_updates(updates, users, chats)
        batch, self._set_aside = [*updates, *self._set_aside], []
        try:
            await self._take(batch, users)
        except Exception as exc:
            self._reading_failed = exc
            raise
        return []

    async def _take(self, batch: list[TLObject], users: list[TLObject]) -> None:
        """Hand a batch on; returns when all of it is done with."""
        state = write_state(user_id=self._own_id, **self._message_box.session_state()[0])
        self._people.meet(users)
        for update in batch:
            chat_id = chat_of(update)
            if chat_id is not None and not self._people.knows(chat_id):
                await self._meet(update)
        events = [event for update in batch if (event := self._event_of(update))]
        if self._lost:
            events.insert(0, UpdatesLost(self._lost))
            self._lost = None
        await self._peers.remember(
            self._people.resolved({event.chat_id for event in events if isinstance(event, IncomingMessage)})
        )
        for update in _with_state(events, state, told=self._told):
            await self._feed.put(update)
        self._told = state

    def _event_of(self, update: TLObject) -> Event | None:
        """Return what an update says; one that cannot be read would come again after each reconnection."""
        try:
            return event_of(update, self._people.find)
        except Exception as exc:  # whose text may quote the customer's
            kind, reason = type(update).__name__, type(exc).__name__
            log.warning("telegram.updates.unreadable", user_id=self._own_id, update=kind, reason=reason)
            self._lost = self._lost or "an update could not be read"
            return None

    async def _meet(self, update: TLObject) -> None:
        """Learn who wrote an update in its short form, which names nobody; the difference that it is, does.

        See core.telegram.org/api/updates; a number stands in for the name where Telegram does not tell it.
        """
        if not update.pts:
            return
        request = functions.updates.GetDifferenceRequest(
            pts=update.pts - update.pts_count, date=self._message_box.date, qts=0
        )
        try:
            difference = await self._ask_in_time(request)
        except errors.RPCError as exc:
            log.warning("telegram.updates.sender_unknown", user_id=self._own_id, reason=type(exc).__name__)
        else:
            self._people.meet(getattr(difference, "users", ()))


def _sorted_out(updates: Iterable[TLObject]) -> tuple[list[TLObject], list[TLObject]]:
    """Return the edits and deletions of a difference, and the rest.

    Telethon drops those: while it fetches a difference, it takes whatever carries the account's ``pts`` for a part of
    that difference, also what stands in it.
    """
    ours: list[TLObject] = []
    rest: list[TLObject] = []
    for update in updates:
        (ours if isinstance(update, types.UpdateEditMessage | types.UpdateDeleteMessages) else rest).append(update)
    return ours, rest


def _with_state(events: list[Event], state: State, *, told: State | None) -> list[Update]:
    """Return updates of which the last lasting one leads to the state: only then is all up to there committed.

    Where there is none, as while only groups talk, the state goes alone, unless it was told already: else a restart
    would begin far back, and Telegram does not keep what happened for ever.
    """
    last = max((at for at, event in enumerate(events) if not isinstance(event, TypingStarted)), default=None)
    updates = [Update(event, state if at == last else None) for at, event in enumerate(events)]
    return [*updates, Update(None, state)] if last is None and _has_moved(state, told) else updates


def _has_moved(state: State, told: State | None) -> bool:
    """Tell whether a state leads further; the date alone, which also typing moves, does not."""
    return told is None or {**state, "date": None} != {**told, "date": None}
