"""What figures are kept by: one number that a process counts."""

import json
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

SUM: Final = "sum"
HIGHEST: Final = "highest"


@dataclass(frozen=True, slots=True)
class Series:
    """One number that is counted.

    Parameters
    ----------
    name : str
        The metric's.
    labels : tuple of (str, str)
        In the order of their names.
    part : str
        Of a gauge: `HIGHEST`. Of a histogram: `SUM`, or the range that was counted in, such as ``0.025:0.05`` (above,
        up to); else empty. With both ends, a range can be told without knowing the others, and only those that
        counted need be kept.
    """

    name: str
    labels: tuple[tuple[str, str], ...]
    part: str = ""

    @property
    def text(self) -> str:
        """The name under which it is kept."""
        return json.dumps([self.name, dict(self.labels), *([self.part] if self.part else [])], separators=(",", ":"))

    @classmethod
    @lru_cache(maxsize=8_192)
    def read(cls, text: str) -> "Series | None":
        """Return what a name tells; None if it is not one of a series."""
        try:
            name, labels, *part = json.loads(text)
            series = cls(name, tuple(sorted(labels.items())), *part)
            hash(series)
        except (ValueError, TypeError, AttributeError):
            return None
        return series
