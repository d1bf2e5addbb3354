"""How often one address may guess.

Guesses at one account are counted in PostgreSQL (``store``), where they survive a restart. Guesses from one address
are counted here, in each process: they slow down whoever tries many names.
"""

import ipaddress
from collections import OrderedDict
from datetime import datetime, timedelta
from typing import Final

from nadia.accounts.errors import ThrottledError
from nadia.clock import Clock

_MOST_GUESSES: Final = 30
_REFILL: Final = timedelta(seconds=20)
_ADDRESSES: Final = 10_000


class AddressThrottle:
    """A bucket of guesses per address, refilled over time.

    Parameters
    ----------
    clock : Clock
        Says what time it is.
    most : int
        Guesses that may be made at once.
    refill : timedelta
        Time until one more may be made.
    """

    def __init__(self, *, clock: Clock, most: int = _MOST_GUESSES, refill: timedelta = _REFILL) -> None:
        self._clock = clock
        self._most = most
        self._refill = refill
        # When each address's bucket will be full again, longest untouched first.
        self._full_at: OrderedDict[str, datetime] = OrderedDict()

    def check(self, address: str) -> None:
        """Count nothing; raises ThrottledError if the address has no guess left."""
        self._after_one_more(address)

    def take(self, address: str) -> None:
        """Count one guess, before it is looked at.

        Raises
        ------
        ThrottledError
            If the address has none left.
        """
        full_at = self._after_one_more(address)
        key = _network(address)
        self._full_at[key] = full_at
        self._full_at.move_to_end(key)
        while len(self._full_at) > _ADDRESSES:
            self._full_at.popitem(last=False)

    def _after_one_more(self, address: str) -> datetime:
        """Return when the bucket would be full after another guess; raises ThrottledError if there is none left."""
        now = self._clock()
        full_at = max(self._full_at.get(_network(address), now), now) + self._refill
        wait = full_at - now - self._most * self._refill
        if wait > timedelta():
            raise ThrottledError(
                "too many attempts from this address", retry_after=max(1, int(wait.total_seconds() + 0.999))
            )
        return full_at

    def give_back(self, address: str) -> None:
        """Take one guess off the count: it was right."""
        key = _network(address)
        if key in self._full_at:
            self._full_at[key] -= self._refill


def _network(address: str) -> str:
    """Return what one person has at hand: an IPv4 address, or an IPv6 network of 64 bits."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.ip_network((parsed, 64), strict=False))
    return str(parsed)
