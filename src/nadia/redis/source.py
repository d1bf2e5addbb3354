"""Where a Redis is; without the driver, for those who only pass it on."""

from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, slots=True)
class RedisSource:
    """Where a Redis is and how long it may take.

    Parameters
    ----------
    url : str
        ``redis://``, ``rediss://`` or ``unix://``; for Sentinel, ``redis://`` with one or more ``host:port``.
    username, password : str, optional
        Credentials that are not in the URL. With Sentinel, those of the primary: the URL's are the sentinels'.
    mode : str
        What the URL leads to.
    sentinel_service : str
        Name of the primary, with Sentinel.
    timeout_seconds : float
        Longest that the commands sent at once may take; above a second, for which readers of streams wait.
    """

    url: str = field(repr=False)
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    mode: Literal["single", "cluster", "sentinel"] = "single"
    sentinel_service: str = "nadia"
    timeout_seconds: float = 2.0
