"""Intake: one event from Telegram becomes rows, a conversation's new revision, and a burst."""

import math
from collections import OrderedDict
from dataclasses import asdict, replace
from datetime import datetime
from typing import Final

import structlog

from nadia.clock import Clock, utc_now
from nadia.conversations.memory import ConversationMemory
from nadia.conversations.messages import Messages, NewMessage, Recorded
from nadia.conversations.models import Conversation
from nadia.errors import NotFoundError, UnavailableError
from nadia.inbound import metrics
from nadia.inbound.early import EarlyChanges
from nadia.inbound.losses import NotesLosses
from nadia.inbound.own_sends import OwnSends
from nadia.pacing.tracker import UserActivityTracker
from nadia.postgres.database import Connection
from nadia.quarantine.reception import Reception
from nadia.redis.events import LiveEvents
from nadia.telegram.gateway import (
    SERVICE_USER_IDS,
    Event,
    IncomingMessage,
    Media,
    MessageEdited,
    MessageKind,
    MessagesDeleted,
    Peer,
    TypingStarted,
    UpdatesLost,
)
from nadia.telegram.ownership import Ownership

log = structlog.get_logger(__name__)

_CONVERSATIONS_CACHED: Final = 10_000
_LONGEST_NAME: Final = 200
_LONGEST_ERROR: Final = 1_000


class Intake:
    """Takes events of Telegram accounts in.

    PostgreSQL comes first: when a method returns, the event is on record. Redis may be away; then pacing goes by
    PostgreSQL's clock and memories are rebuilt.

    Parameters
    ----------
    messages : Messages
        Where messages go on record.
    memory : ConversationMemory
        What drafting reads.
    tracker : UserActivityTracker
        Waits for the end of bursts.
    events : LiveEvents
        Tells pages.
    own_sends : OwnSends
        Knows replies that are just leaving: Telegram may show them before delivery has put them on record.
    losses : NotesLosses
        Where it goes on record that Telegram will not tell everything.
    reception : Reception
        Takes what silenced customers write into quarantine at once.
    clock : callable
        The present.
    """

    def __init__(
        self,
        *,
        messages: Messages,
        memory: ConversationMemory,
        tracker: UserActivityTracker,
        events: LiveEvents,
        own_sends: OwnSends,
        losses: NotesLosses,
        reception: Reception,
        clock: Clock = utc_now,
    ) -> None:
        self._messages = messages
        self._memory = memory
        self._tracker = tracker
        self._events = events
        self._own_sends = own_sends
        self._early = EarlyChanges()
        self._losses = losses
        self._reception = reception
        self._clock = clock
        self._known: OrderedDict[tuple[str, int], tuple[Peer | None, Conversation | None]] = OrderedDict()

    async def receive(
        self, event: Event, *, ownership: Ownership, network: str, recovered_by: int | None = None
    ) -> bool:
        """Take one event in.

        Parameters
        ----------
        event : Event
            What happened.
        ownership : Ownership
            This process's right to act for the account.
        network : str
            ``sandbox`` or ``telegram``.
        recovered_by : int, optional
            The recovery operation that found it; absent where Telegram told of it live.

        Returns
        -------
        bool
            Whether it changed anything on record.

        Raises
        ------
        UnavailableError
            If PostgreSQL is away: nothing was written, the same event is to be given again.
        NotOwnerError
            If this process no longer owns the account.
        """
        match event:
            case IncomingMessage():
                return await self._receive_message(event, ownership, network, recovered_by)
            case MessageEdited():
                self._early.note(ownership.account_id, event)
                changed = await self._messages.edit(
                    account_id=ownership.account_id,
                    chat_id=event.chat_id,
                    telegram_message_id=event.message_id,
                    text=storable(event.text),
                    edited_at=event.edited_at,
                    kind=None if event.kind is None else event.kind.value,
                    media=_storable_media(event.media),
                    fencing_token=ownership.fencing_token,
                )
                return await self._revised("edit", changed)
            case MessagesDeleted():
                self._early.note(ownership.account_id, event)
                changed = await self._messages.delete(
                    account_id=ownership.account_id,
                    chat_id=event.chat_id,
                    telegram_message_ids=event.message_ids,
                    fencing_token=ownership.fencing_token,
                )
                return await self._revised("deletion", changed)
            case TypingStarted():
                await self._receive_typing(event, ownership)
                return False
            case UpdatesLost():
                await self._losses.updates_lost(ownership)
                log.warning("intake.updates_lost", account=ownership.account_id, reason=event.reason)
                metrics.EVENTS.labels("lost", "recorded").inc()
                return True

    async def park(self, event: Event, *, ownership: Ownership, error: Exception) -> None:
        """Keep an event that cannot be taken in, for a person to look at.

        Raises
        ------
        UnavailableError
            If PostgreSQL is away.
        NotOwnerError
            If this process no longer owns the account.
        """
        kind = _kind_of(event)
        await self._messages.park(
            account_id=ownership.account_id,
            fencing_token=ownership.fencing_token,
            event=kind,
            payload={name: _plain(value) for name, value in asdict(event).items()},
            error=storable(f"{type(error).__name__}: {error}")[:_LONGEST_ERROR],
        )
        metrics.EVENTS.labels(kind, "parked").inc()

    async def _receive_message(
        self, message: IncomingMessage, ownership: Ownership, network: str, recovered_by: int | None
    ) -> bool:
        kind = _kind_of(message)
        if not message.peer.is_person or message.peer.user_id in SERVICE_USER_IDS:
            metrics.EVENTS.labels(kind, "ignored").inc()
            return False
        begun = self._clock()
        new = NewMessage(
            telegram_message_id=message.message_id,
            direction="out" if message.outgoing else "in",
            author="phone" if message.outgoing else "customer",
            kind=message.kind.value,
            text=storable(message.text),
            media=_storable_media(message.media),
            reply_to=message.reply_to,
            sent_at=message.sent_at,
            edited_at=message.edited_at,
            recovered_by=recovered_by,
        )
        conversation = await self._conversation(ownership, message, network)
        try:
            recorded = await self._record(conversation, new, ownership)
        except NotFoundError:  # erased since it was read: the customer begins anew
            self._known.pop((ownership.account_id, message.chat_id), None)
            conversation = await self._conversation(ownership, message, network)
            recorded = await self._record(conversation, new, ownership)
        if recorded is None:
            metrics.EVENTS.labels(kind, "duplicate").inc()
            await self._change_as_told(message, ownership, network)
            return False
        metrics.EVENTS.labels(kind, "recorded").inc()
        await self._pass_on(conversation, new, recorded)
        await self._change_as_told(message, ownership, network)
        metrics.INTAKE_SECONDS.observe(_seconds_between(begun, self._clock()))
        if recovered_by is None:
            metrics.DELAY_SECONDS.observe(_seconds_between(message.sent_at, begun))
        return True

    async def _change_as_told(self, message: IncomingMessage, ownership: Ownership, network: str) -> None:
        """Take over what was told of a message before it was on record; again, if PostgreSQL went away over it."""
        if (change := self._early.take(ownership.account_id, message.message_id)) is not None:
            await self.receive(change, ownership=ownership, network=network)

    async def _record(self, conversation: Conversation, message: NewMessage, ownership: Ownership) -> Recorded | None:
        token = ownership.fencing_token
        if message.direction == "in":
            return await self._messages.record(conversation, message, fencing_token=token)

        async def is_own(conn: Connection) -> bool:
            return message.kind == MessageKind.TEXT and await self._own_sends.is_own(
                conn, conversation, telegram_message_id=message.telegram_message_id, text=message.text
            )

        return await self._messages.record_outgoing(conversation, message, fencing_token=token, is_own=is_own)

    async def _pass_on(self, conversation: Conversation, message: NewMessage, recorded: Recorded) -> None:
        """Tell pacing, memory and pages, in one round trip; what is lost here is rebuilt from the record."""
        telling = self._events.publishing("message.received", conversation=conversation.id)
        try:
            if message.direction == "out" or await self._reception.take_in(conversation.id):
                await self._memory.append(conversation, message, recorded, along=(telling,))
            else:
                await self._tracker.handle_message(
                    conversation_id=conversation.id,
                    partition=conversation.partition,
                    text=message.text,
                    along=(self._memory.appending(conversation, message, recorded), telling),
                )
        except UnavailableError:
            log.debug("intake.redis_away", conversation_id=conversation.id)

    async def _receive_typing(self, event: TypingStarted, ownership: Ownership) -> None:
        conversation = await self._begun(ownership.account_id, event.chat_id)
        if conversation is None:  # no burst has begun that typing could prolong
            metrics.EVENTS.labels("typing", "ignored").inc()
            return
        await self._tracker.handle_typing_event(conversation_id=conversation.id, partition=conversation.partition)
        metrics.EVENTS.labels("typing", "recorded").inc()

    async def _revised(self, kind: str, conversations: list[Conversation]) -> bool:
        metrics.EVENTS.labels(kind, "recorded" if conversations else "unchanged").inc()
        for conversation in conversations:
            await self._events.publish("message.revised", conversation=conversation.id)
        return bool(conversations)

    async def _conversation(self, ownership: Ownership, message: IncomingMessage, network: str) -> Conversation:
        key = (ownership.account_id, message.chat_id)
        known = self._known.get(key)
        if known is not None and known[0] == message.peer and known[1] is not None:
            self._known.move_to_end(key)
            return known[1]
        conversation = await self._messages.ensure_conversation(
            network=network,
            account_id=ownership.account_id,
            chat_id=message.chat_id,
            user_id=message.peer.user_id,
            name=storable(message.peer.name)[:_LONGEST_NAME],
            username=None if message.peer.username is None else storable(message.peer.username)[:_LONGEST_NAME],
            fencing_token=ownership.fencing_token,
        )
        self._remember(key, message.peer, conversation)
        return conversation

    async def _begun(self, account_id: str, chat_id: int) -> Conversation | None:
        """Return a chat's conversation, if there is one; asked once: only this process begins one for the account."""
        key = (account_id, chat_id)
        if key not in self._known:
            try:
                found = await self._messages.find_conversation(account_id=account_id, chat_id=chat_id)
            except UnavailableError:  # the signal is lost, as it may be; what follows it must not wait for it
                return None
            self._remember(key, None, found)
        return self._known[key][1]

    def _remember(self, key: tuple[str, int], peer: Peer | None, conversation: Conversation | None) -> None:
        self._known[key] = (peer, conversation)
        self._known.move_to_end(key)
        if len(self._known) > _CONVERSATIONS_CACHED:
            self._known.popitem(last=False)


def _kind_of(event: Event) -> str:
    match event:
        case IncomingMessage():
            return "phone_message" if event.outgoing else "message"
        case MessageEdited():
            return "edit"
        case MessagesDeleted():
            return "deletion"
        case TypingStarted():
            return "typing"
        case UpdatesLost():
            return "lost"


def _plain(value: object) -> object:
    """Return a part of an event as JSON can hold it and PostgreSQL can store it."""
    match value:
        case str():
            return storable(value)
        case float() if not math.isfinite(value):
            return str(value)
        case datetime():
            return value.isoformat()
        case dict():
            return {name: _plain(part) for name, part in value.items()}
        case tuple():
            return [_plain(part) for part in value]
        case _:
            return value


def storable(text: str) -> str:
    """Return the text as PostgreSQL can keep it: null characters and lone surrogates become U+FFFD."""
    if text.isascii() and "\x00" not in text:
        return text
    return text.replace("\x00", "\ufffd").encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _storable_media(media: Media | None) -> Media | None:
    """Return what a sender says about a file, as PostgreSQL can keep it and people can read it."""
    if media is None:
        return None

    def short(text: str | None) -> str | None:
        return None if text is None else storable(text)[:_LONGEST_NAME]

    return replace(
        media,
        reference=storable(media.reference)[:_LONGEST_NAME],
        name=short(media.name),
        mime_type=short(media.mime_type),
        emoji=short(media.emoji),
    )


def _seconds_between(earlier: datetime, later: datetime) -> float:
    return max(0.0, (later - earlier).total_seconds())
