"""What the embedded servers tell those who started them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

ServerName = Literal["postgres", "redis"]


@dataclass(frozen=True)
class StartResult:
    """How a server came up.

    Attributes
    ----------
    server : {"postgres", "redis"}
        Which one.
    seconds : float
        From the request to the first answered probe.
    fresh : bool
        It started without data of an earlier run.
    set_aside : Path or None
        Where unreadable earlier files were moved; what they held must be rebuilt.
    reason : str or None
        Why they were moved.
    """

    server: ServerName
    seconds: float
    fresh: bool
    set_aside: Path | None = None
    reason: str | None = None


@dataclass(frozen=True)
class Exited:
    """A server died unexpectedly.

    Attributes
    ----------
    server : {"postgres", "redis"}
        Which one.
    returncode : int
        Exit status; negative is the number of the signal that killed it.
    """

    server: ServerName
    returncode: int


@dataclass(frozen=True)
class Restarted:
    """A server is back after that.

    Attributes
    ----------
    server : {"postgres", "redis"}
        Which one.
    start : StartResult
        How it came up.
    """

    server: ServerName
    start: StartResult


ServerEvent = Exited | Restarted
