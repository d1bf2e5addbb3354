"""Where it goes on record that Telegram will not tell everything."""

from typing import Protocol

from nadia.telegram.ownership import Ownership


class NotesLosses(Protocol):
    """Remembers that updates were lost, so that the histories are read; recovery writes it."""

    async def updates_lost(self, ownership: Ownership) -> None:
        """Put it on record, before anything that came later is."""
