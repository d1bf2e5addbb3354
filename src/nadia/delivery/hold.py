"""A hold on a whole account's sending: Telegram asked for a pause, or the link is down."""

import time
from collections.abc import Callable
from typing import Final

_FIRST_SECONDS: Final = 0.5
_LONGEST_SECONDS: Final = 15.0


class Hold:
    """Says for how long nothing of the account is to be sent.

    Parameters
    ----------
    monotonic : callable
        This process's clock, seconds.
    """

    def __init__(self, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._until = 0.0
        self._lost_links = 0

    @property
    def remaining(self) -> float:
        """Seconds that are left; 0 when sending may go on."""
        return max(0.0, self._until - self._monotonic())

    @property
    def is_on(self) -> bool:
        """Whether sending has to wait."""
        return self.remaining > 0

    def for_seconds(self, seconds: float) -> None:
        """Wait at least so long."""
        self._until = max(self._until, self._monotonic() + seconds)

    def after_lost_link(self) -> None:
        """Wait a little, longer each time, until `clear`: every reply would fail, one is enough to find out."""
        if self.is_on:
            return
        self.for_seconds(min(_LONGEST_SECONDS, _FIRST_SECONDS * 2.0 ** min(self._lost_links, 10)))
        self._lost_links += 1

    def clear(self) -> None:
        """Something went through."""
        self._lost_links = 0
