"""Whom this connection has heard of."""

from collections import OrderedDict
from collections.abc import Iterable
from typing import Final

from telethon.tl import TLObject, types

from nadia.telegram.entities import ResolvedPeer
from nadia.telegram.gateway import Peer
from nadia.telegram.telethon.translation import peer_of, stranger

_MOST: Final = 10_000
"""Held in memory; about 5 MB."""


class People:
    """Names and access hashes, as answers and updates bring them along.

    Parameters
    ----------
    own_id : int
        The account itself, whose chat with itself is nobody's business.
    """

    def __init__(self, *, own_id: int) -> None:
        self._own = Peer(user_id=own_id, name=str(own_id), is_person=False)
        self._known: OrderedDict[int, tuple[Peer, int | None]] = OrderedDict()

    def meet(self, users: Iterable[TLObject]) -> None:
        """Take note of users.

        A ``min`` user comes with groups' messages: its name may be cut down, and its hash is of no use in a private
        chat (core.telegram.org/api/min).
        """
        for user in users:
            if not isinstance(user, types.User) or (user.min and user.id in self._known):
                continue
            self._known[user.id] = (peer_of(user), None if user.min else user.access_hash)
            self._known.move_to_end(user.id)
        while len(self._known) > _MOST:
            self._known.popitem(last=False)

    def knows(self, user_id: int) -> bool:
        """Tell whether more is known than the number."""
        return user_id in self._known or user_id == self._own.user_id

    def find(self, user_id: int) -> Peer:
        """Return who it is."""
        if user_id == self._own.user_id:
            return self._own
        known = self._known.get(user_id)
        return stranger(user_id) if known is None else known[0]

    def resolved(self, user_ids: Iterable[int]) -> list[ResolvedPeer]:
        """Return those of them whom this account can address, as far as is known here."""
        known = ((user_id, self._known.get(user_id)) for user_id in user_ids)
        return [ResolvedPeer(user_id, entry[1]) for user_id, entry in known if entry and entry[1] is not None]
