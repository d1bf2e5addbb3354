"""Ports for servers of the tests that a killed server still finds free when it comes back."""

import random
import socket
from contextlib import ExitStack, suppress

_OUTSIDE_EPHEMERAL = range(10_000, 22_000)
"""Below what Linux (32,768) and others (49,152) give to outgoing connections; with an offset of 10,000 too."""


def free_ports(count: int, *, with_offset: int = 0) -> list[int]:
    """Return ports of loopback that are free.

    Parameters
    ----------
    count : int
        How many, each at most once.
    with_offset : int
        A further port that must be free beside each, so much above it.
    """
    found: set[int] = set()
    while len(found) < count:
        port = random.choice(_OUTSIDE_EPHEMERAL)
        if all(_is_free(wanted) for wanted in {port, port + with_offset}):
            found.add(port)
    return list(found)


def _is_free(port: int) -> bool:
    with ExitStack() as stack, suppress(OSError):
        stack.enter_context(socket.socket()).bind(("127.0.0.1", port))
        return True
    return False
