"""Edits and deletions that are told before the message itself is on record.

Recovery reads a page of a chat's history and puts its messages on record one after the other. What a customer changes
in that moment is told live, about a message that is not there yet, and the page shows it as it was before.
"""

from collections import OrderedDict
from typing import Final

from nadia.telegram.gateway import MessageEdited, MessagesDeleted

_KEPT: Final = 1_000
"""Newest changes that are kept, per process. A page is taken in within seconds; most changes concern other messages."""


class EarlyChanges:
    """Remembers the last change of each message, for those that come on record after it."""

    def __init__(self) -> None:
        self._changes: OrderedDict[tuple[str, int], MessageEdited | MessagesDeleted] = OrderedDict()

    def note(self, account_id: str, change: MessageEdited | MessagesDeleted) -> None:
        """Remember a change; call it before the change is looked for on record, so that none falls in between."""
        numbers = change.message_ids if isinstance(change, MessagesDeleted) else (change.message_id,)
        for number in numbers:
            self._changes[account_id, number] = change
            self._changes.move_to_end((account_id, number))
        while len(self._changes) > _KEPT:
            self._changes.popitem(last=False)

    def take(self, account_id: str, message_id: int) -> MessageEdited | MessagesDeleted | None:
        """Return what was told of a message that is on record now, once."""
        return self._changes.pop((account_id, message_id), None)
