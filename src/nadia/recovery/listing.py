"""Listing the chats in which something may be missing, each in its tier."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime

from nadia.clock import Clock
from nadia.recovery.config import RecoveryConfig, RecoveryTier
from nadia.recovery.models import Chat, Gap, Plan
from nadia.recovery.store import RecoveryStore
from nadia.telegram.gateway import SERVICE_USER_IDS, Dialog
from nadia.telegram.history import PAGE, TelegramHistoryManager
from nadia.telegram.ownership import Ownership


@dataclass(frozen=True, slots=True)
class Listing:
    """What a look at the list of chats brought.

    Parameters
    ----------
    newest : int
        The greatest message id that was seen: everything up to it is in a listed chat, or was on record before.
    dialogs : int
        How many chats were looked at.
    """

    newest: int
    dialogs: int


class ChatListing:
    """Looks at an account's list of chats over one connection.

    Parameters
    ----------
    history : TelegramHistoryManager
        Over that connection.
    store : RecoveryStore
        Where the chats go on record.
    settings : RecoveryConfig
        Bounds of the tiers.
    clock : callable
        The present.
    """

    def __init__(
        self, *, history: TelegramHistoryManager, store: RecoveryStore, settings: RecoveryConfig, clock: Clock
    ) -> None:
        self._history = history
        self._store = store
        self._settings = settings
        self._clock = clock

    async def list_chats(self, ownership: Ownership, gap: Gap) -> Listing:
        """Put every chat of a gap on record that has something newer than its low mark.

        Raises
        ------
        GatewayError
            If Telegram does not let the list be read now.
        NotOwnerError
            If this process no longer owns the account.
        UnavailableError
            If PostgreSQL is away.
        """
        newest, dialogs = gap.after_message_id, 0
        chats: dict[int, Chat] = {}  # one that gets a message meanwhile comes twice
        async with aclosing(self._dialogs(gap.after_message_id, gap.not_before)) as found:
            async for dialog in found:
                newest, dialogs = max(newest, dialog.top_message_id), dialogs + 1
                if _is_wanted(dialog, gap.not_before):
                    top = dialog.top_message_id
                    chats[dialog.chat_id] = self._chat(gap, dialog.chat_id, top, dialog.top_sent_at)
                if len(chats) == PAGE:
                    await self._store.add_chats(ownership, gap, list(chats.values()))
                    chats.clear()
        await self._store.add_chats(ownership, gap, list(chats.values()))
        if gap.is_compared:
            waiting = await self._store.chats_with_open_items(ownership.account_id)
            await self._store.add_chats(ownership, gap, [self._chat(gap, *chat) for chat in waiting])
        return Listing(newest=newest, dialogs=dialogs)

    async def plan(self, after_message_id: int, not_before: datetime | None, *, rate: float) -> Plan:
        """Say what a run would read; writes nothing.

        Parameters
        ----------
        after_message_id : int
            The low mark.
        not_before : datetime or None
            Nothing older would be looked for.
        rate : float
            Requests per second that Telegram allows at present.
        """
        tiers = dict.fromkeys(RecoveryTier, 0)
        seen: set[int] = set()
        times: list[datetime] = []
        async with aclosing(self._dialogs(after_message_id, not_before)) as found:
            async for dialog in found:
                if _is_wanted(dialog, not_before) and dialog.chat_id not in seen:
                    seen.add(dialog.chat_id)
                    tiers[self._settings.tier_of(dialog.top_sent_at, now=self._clock())] += 1
                    times = [min([*times, dialog.top_sent_at]), max([*times, dialog.top_sent_at])]
        return Plan(
            after_message_id=after_message_id,
            chats_tier_1=tiers[RecoveryTier.TIER_1],
            chats_tier_2=tiers[RecoveryTier.TIER_2],
            chats_tier_3=tiers[RecoveryTier.TIER_3],
            oldest=times[0] if times else None,
            newest=times[1] if times else None,
            seconds=len(seen) / rate,
        )

    async def _dialogs(self, above: int, not_before: datetime | None) -> AsyncGenerator[Dialog, None]:
        """Walk down the list, then look once more at its head: whoever wrote meanwhile has moved there.

        The first chat that is too old comes too: up to its newest message nothing is looked for ever again.
        """
        for _ in range(2):
            newest = above
            async with aclosing(self._history.scan_all_dialogs(above=above)) as walk:
                async for dialog in walk:
                    newest = max(newest, dialog.top_message_id)
                    yield dialog
                    if _is_older(dialog, not_before):
                        break
            above = newest

    def _chat(self, gap: Gap, chat_id: int, top_message_id: int, top_sent_at: datetime) -> Chat:
        tier = self._settings.tier_of(top_sent_at, now=self._clock())
        return Chat(chat_id, tier, top_message_id, top_sent_at, gap.after_message_id, gap.not_before)


def _is_wanted(dialog: Dialog, not_before: datetime | None) -> bool:
    is_customer = dialog.peer.is_person and dialog.peer.user_id not in SERVICE_USER_IDS
    return is_customer and not _is_older(dialog, not_before)


def _is_older(dialog: Dialog, moment: datetime | None) -> bool:
    return moment is not None and dialog.top_sent_at < moment
