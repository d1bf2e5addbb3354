"""How an account addresses its peers: Telegram wants the access hash that it gave to this very account.

A peer is looked for in memory, in PostgreSQL, and at Telegram itself, in this order. Updates bring hashes along, so
that Telegram is asked only about people of whom this account has never seen one.
"""

import asyncio
import math
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

import structlog

from nadia.constants import HOUR_IN_SECONDS, MINUTE_IN_SECONDS
from nadia.errors import NadiaError, UnavailableError
from nadia.shared_calls import SharedCalls
from nadia.telegram.entity_store import EntityStore
from nadia.telegram.errors import (
    FloodWaitError,
    GatewayDisconnectedError,
    HistoryUnavailableError,
    SendRefusedError,
    TelegramTroubleError,
)
from nadia.telegram.lately import Lately
from nadia.telegram.metrics import ENTITIES_IN_MEMORY, ENTITY_LOOKUPS

log = structlog.get_logger(__name__)

MEMORY_SIZE: Final = 1_000
"""Peers held in memory; the one that was not used for longest goes first. As many misses are remembered."""

MISS_SECONDS: Final = 10 * MINUTE_IN_SECONDS
"""How long a person whom Telegram does not know for us is not asked for again; an update that names them ends it."""

WARM_UP_SECONDS: Final = HOUR_IN_SECONDS
"""The dialogs are walked through at most once in this time: it takes a request for each hundred of them."""

CLEANUP_SECONDS: Final = MINUTE_IN_SECONDS
"""How often what has run out is dropped, and what PostgreSQL could not take is offered to it again."""

_DIALOGS_AT_ONCE: Final = 100
_RETRY_SECONDS: Final = (0.5, 1.0, 2.0)
"""Waits before Telegram, in trouble of its own, is asked again; after the last one the caller's back-off begins."""


@dataclass(frozen=True, slots=True)
class ResolvedPeer:
    """A person as one account addresses them."""

    user_id: int
    access_hash: int = field(repr=False)
    """Signed 64-bit; of use only to the account that it was given to."""


class PeerUnresolvedError(SendRefusedError):
    """Telegram does not let this account address a person.

    The message holds the remedy too: it is what the desk shows with the parked reply.

    Parameters
    ----------
    user_id : int
        Telegram's number of the person.
    """

    def __init__(self, user_id: int) -> None:
        super().__init__(
            "PEER_UNRESOLVED",
            f"it does not tell this account how to reach user {user_id}. Once they write again, or somebody opens the "
            "chat with them in a Telegram app of this account, the reply can be taken up again",
        )
        self.user_id = user_id


class PeerDirectory(Protocol):
    """What a connected account can find out about people."""

    async def fetch(self, user_id: int) -> int | None:
        """Ask Telegram for a person's access hash; None if it knows no such person for this account.

        Raises
        ------
        GatewayError
            If it gave no answer.
        """

    def peers(self) -> AsyncIterator[ResolvedPeer]:
        """Walk through the people whom this account has a chat with, the one with the newest message first.

        Flood waits are sat out where the walk stands, within reason.

        Raises
        ------
        HistoryUnavailableError
            If the account is a bot.
        GatewayError
            If Telegram gave no answer.
        """


class EntityResolver:
    """Finds the peers of one account (baseline 2.3); one for each account of a process, whatever its connections do.

    Parameters
    ----------
    account_id : str
        The account.
    store : EntityStore
        Where peers outlive the process.
    monotonic : callable
        This process's clock, seconds.
    sleep : callable
        Waits so many seconds.
    """

    def __init__(
        self,
        *,
        account_id: str,
        store: EntityStore,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._account_id = account_id
        self._store = store
        self._monotonic = monotonic
        self._sleep = sleep
        self._directory: PeerDirectory | None = None
        self._memory: OrderedDict[int, ResolvedPeer] = OrderedDict()
        self._unsaved: OrderedDict[int, int] = OrderedDict()
        self._misses = Lately(seconds=MISS_SECONDS, size=MEMORY_SIZE, monotonic=monotonic)
        self._asked_for_typing = Lately(seconds=MISS_SECONDS, size=MEMORY_SIZE, monotonic=monotonic)
        self._look_ups: SharedCalls[int, ResolvedPeer | None] = SharedCalls()
        self._warm_ups: SharedCalls[str, int] = SharedCalls()
        self._warm_until = -math.inf
        ENTITIES_IN_MEMORY.labels(account_id).set(0)

    def attach(self, directory: PeerDirectory) -> None:
        """Put questions to this connection from now on; until the first one, only memory and PostgreSQL answer."""
        self._directory = directory

    async def run(self) -> None:
        """Look after what is kept, until cancelled."""
        while True:
            await self._sleep(CLEANUP_SECONDS)
            await self._periodic_cleanup()

    async def ensure_entity_resolved(self, user_id: int) -> ResolvedPeer:
        """Return how to address a person.

        Raises
        ------
        PeerUnresolvedError
            If Telegram does not know them for this account.
        GatewayError
            If Telegram had to be asked and gave no answer: ``FloodWaitError``, ``GatewayDisconnectedError`` and the
            others, as it gave them.
        UnavailableError
            If memory does not know them and PostgreSQL is away.
        """
        peer = self._recall(user_id)
        if peer is not None:
            ENTITY_LOOKUPS.labels("memory").inc()
            return peer
        if user_id in self._misses:
            ENTITY_LOOKUPS.labels("miss").inc()
            raise PeerUnresolvedError(user_id)
        if user_id in self._look_ups:
            ENTITY_LOOKUPS.labels("shared").inc()
        peer = await self._look_ups.run(user_id, lambda: self._find(user_id))
        if peer is None:
            raise PeerUnresolvedError(user_id)
        return peer

    async def remember(self, peers: Iterable[ResolvedPeer]) -> None:
        """Keep what Telegram said about people; costs nothing where it is known.

        While PostgreSQL is away it is kept in memory, and offered again with what comes next.
        """
        is_new = False
        for peer in peers:
            if self._recall(peer.user_id) != peer:
                is_new = True
                self._keep(peer)
                self._note(peer)
        if is_new:
            await self._save()

    async def learn(self, peers: Iterable[ResolvedPeer]) -> None:
        """Keep what a list of chats says about people; for the memory's room nobody has to go.

        Parameters
        ----------
        peers : iterable of ResolvedPeer
            The one with the newest message first: each is of less use than those before, and than all that is held.
        """
        is_new = False
        for peer in peers:
            held = self._memory.get(peer.user_id)
            if held == peer:
                continue
            is_new = True
            if held is not None:
                self._memory[peer.user_id] = peer
            elif len(self._memory) < MEMORY_SIZE:
                self._keep(peer)
                self._memory.move_to_end(peer.user_id, last=False)
            self._note(peer)
        if is_new:
            await self._save()

    async def forget(self, peer: ResolvedPeer) -> None:
        """Drop a hash that Telegram refused (``PEER_ID_INVALID``), unless a newer one is known by now.

        Raises
        ------
        UnavailableError
            If PostgreSQL is away.
        """
        if self._memory.get(peer.user_id) == peer:
            del self._memory[peer.user_id]
        if self._unsaved.get(peer.user_id) == peer.access_hash:
            del self._unsaved[peer.user_id]
        await self._store.delete(self._account_id, peer.user_id, peer.access_hash)

    async def warm_up_from_dialogs(self) -> int:
        """Learn the peers of the account's chats, unless that was done within `WARM_UP_SECONDS`.

        Nor is it begun within `MISS_SECONDS` of a walk that Telegram broke off: it might never come to an end.

        Returns
        -------
        int
            How many chats were walked through; 0 for a bot, which may not list them.

        Raises
        ------
        GatewayError
            If Telegram gave no answer; what it told before is kept.
        """
        return await self._warm_ups.run("dialogs", self._walk_dialogs)

    async def _resolve_entity_for_typing(self, user_id: int) -> ResolvedPeer | None:
        """Return how to address a person if that costs at most one question in `MISS_SECONDS`, else None.

        Raises
        ------
        GatewayError, UnavailableError
            As `ensure_entity_resolved`.
        """
        peer, result = self._recall(user_id), "memory"
        if peer is None:
            peer, result = await self._stored(user_id), "store"
        if peer is None and user_id not in self._misses and user_id not in self._asked_for_typing:
            self._asked_for_typing.add(user_id)
            peer, result = await self._ask(user_id, waits=()), "telegram"
        ENTITY_LOOKUPS.labels(result if peer else "miss").inc()
        return peer

    async def _periodic_cleanup(self) -> None:
        """Drop what has run out, and save what PostgreSQL could not take."""
        self._misses.drop_old()
        self._asked_for_typing.drop_old()
        await self._save()

    async def _find(self, user_id: int) -> ResolvedPeer | None:
        """Ask everybody in turn, and count who knew."""
        try:
            peer, result = await self._stored(user_id), "store"
            if peer is None:
                peer, result = await self._ask(user_id, waits=_RETRY_SECONDS), "telegram"
            if peer is None:
                peer, result = await self._among_dialogs(user_id), "dialogs"
        except NadiaError:
            ENTITY_LOOKUPS.labels("failed").inc()
            raise
        if peer is None:
            self._misses.add(user_id)
        ENTITY_LOOKUPS.labels(result if peer else "miss").inc()
        return peer

    async def _stored(self, user_id: int) -> ResolvedPeer | None:
        access_hash = await self._store.get(self._account_id, user_id)
        told_meanwhile = self._recall(user_id)
        if told_meanwhile is not None or access_hash is None:
            return told_meanwhile
        return self._keep(ResolvedPeer(user_id, access_hash))

    async def _ask(self, user_id: int, *, waits: Sequence[float]) -> ResolvedPeer | None:
        access_hash = await self._fetch(user_id, waits)
        if access_hash is None:
            return self._recall(user_id)
        peer = ResolvedPeer(user_id, access_hash)
        await self.remember([peer])
        return peer

    async def _fetch(self, user_id: int, waits: Sequence[float]) -> int | None:
        for wait in waits:
            try:
                return await self._connection().fetch(user_id)
            except TelegramTroubleError as exc:
                log.info("entity.question_failed", account=self._account_id, reason=exc.message, wait=wait)
            await self._sleep(wait)
        return await self._connection().fetch(user_id)

    async def _among_dialogs(self, user_id: int) -> ResolvedPeer | None:
        try:
            await self.warm_up_from_dialogs()
        except FloodWaitError as exc:  # it is for reading: whoever sends would stop sending to everybody
            log.info("entity.dialogs_put_off", account=self._account_id, seconds=exc.seconds)
        return self._recall(user_id) or await self._stored(user_id)

    async def _walk_dialogs(self) -> int:
        if self._monotonic() < self._warm_until:
            return 0
        walked, told = 0, list[ResolvedPeer]()
        try:
            async for peer in self._connection().peers():
                walked += 1
                told.append(peer)
                if len(told) == _DIALOGS_AT_ONCE:
                    await self.learn(told)
                    told = []
        except HistoryUnavailableError:
            log.debug("entity.no_dialogs", account=self._account_id)  # a bot: updates bring whom it may write to
        except (FloodWaitError, TelegramTroubleError):
            self._warm_until = self._monotonic() + MISS_SECONDS
            raise
        finally:
            await self.learn(told)
        self._warm_until = self._monotonic() + WARM_UP_SECONDS
        log.info("entity.warmed_up", account=self._account_id, dialogs=walked)
        return walked

    def _recall(self, user_id: int) -> ResolvedPeer | None:
        peer = self._memory.get(user_id)
        if peer is not None:
            self._memory.move_to_end(user_id)
        return peer

    def _keep(self, peer: ResolvedPeer) -> ResolvedPeer:
        self._memory[peer.user_id] = peer
        self._memory.move_to_end(peer.user_id)
        if len(self._memory) > MEMORY_SIZE:
            self._memory.popitem(last=False)
        ENTITIES_IN_MEMORY.labels(self._account_id).set(len(self._memory))
        return peer

    def _note(self, peer: ResolvedPeer) -> None:
        """Have it saved; Telegram knows this person for us after all."""
        self._misses.discard(peer.user_id)
        self._unsaved[peer.user_id] = peer.access_hash

    async def _save(self) -> None:
        saved = dict(self._unsaved)
        if not saved:
            return
        try:
            await self._store.put(self._account_id, saved)
        except UnavailableError as exc:
            log.warning("entity.saving_postponed", account=self._account_id, peers=len(saved), reason=exc.message)
            while len(self._unsaved) > MEMORY_SIZE:
                self._unsaved.popitem(last=False)
            return
        for user_id, access_hash in saved.items():
            if self._unsaved.get(user_id) == access_hash:
                del self._unsaved[user_id]

    def _connection(self) -> PeerDirectory:
        if self._directory is None:
            raise GatewayDisconnectedError(f"account {self._account_id} has not been connected yet")
        return self._directory
