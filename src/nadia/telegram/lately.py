"""What happened lately, and not what happened before."""

from collections import OrderedDict
from collections.abc import Callable


class Lately:
    """Numbers that were added lately, no more than there is room for: the ones added first go first.

    Parameters
    ----------
    seconds : float
        How long that is.
    size : int
        The room.
    monotonic : callable
        The process's clock, seconds.
    """

    def __init__(self, *, seconds: float, size: int, monotonic: Callable[[], float]) -> None:
        self._seconds = seconds
        self._size = size
        self._monotonic = monotonic
        self._since: OrderedDict[int, float] = OrderedDict()

    def __contains__(self, number: int) -> bool:
        since = self._since.get(number)
        return since is not None and self._monotonic() - since < self._seconds

    def __len__(self) -> int:
        return len(self._since)

    def add(self, number: int) -> None:
        """Begin its time, or begin it again."""
        self._since[number] = self._monotonic()
        self._since.move_to_end(number)
        if len(self._since) > self._size:
            self._since.popitem(last=False)

    def discard(self, number: int) -> None:
        """End its time."""
        self._since.pop(number, None)

    def drop_old(self) -> None:
        """Give back the room of those whose time is over."""
        while self._since and next(iter(self._since)) not in self:
            self._since.popitem(last=False)
