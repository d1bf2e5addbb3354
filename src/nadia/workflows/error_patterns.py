"""Troubles that are alike: what differs from case to case taken out of their words, and how often each kind came."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from nadia.redaction import MASK, redact_text

MOST_KINDS: Final = 2_000
"""Kinds kept apart; whatever comes after that many is counted together."""

_LONGEST: Final = 240
_SOURCES: Final = 3
_FEW: Final = 3
"""Fewer do not make a trend."""

_RISE: Final = 2.0
"""Times as many an hour as before."""

# Every repetition is bounded: what stands in a log may have been written by anybody.
_VARYING: Final = (
    (re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:[.,]\d{1,9})?)?(?:Z|[+-]\d\d:?\d\d)?"), "<time>"),
    (re.compile(r"\b[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}\b"), "<id>"),
    (re.compile(r"\b(?:0x[0-9a-fA-F]{1,32}|(?=[a-fA-F]{0,63}\d)[0-9a-fA-F]{8,64})\b"), "<hex>"),
    (re.compile(r"\b\d{1,3}(?:\.\d{1,3}){3}(?::\d{1,5})?\b"), "<address>"),
    (re.compile(r"\d[\d.,]{0,40}"), "<n>"),
    (re.compile(r"\s{1,1000}"), " "),
)
_PHONE = re.compile(r"(?<![\w.:/-])\+?\d[\d ()-]{6,18}\d(?![\w.:-])")


class Trend(StrEnum):
    """How often it comes now, compared with before; the worrying ones first."""

    NEW = "new"
    RISING = "rising"
    STEADY = "steady"
    OPEN = "open"
    OVER = "over"


@dataclass(frozen=True, slots=True)
class Trouble:
    """One entry that tells of something wrong.

    Parameters
    ----------
    at : datetime
        When.
    level : str
        ``warning``, ``error`` or ``critical``.
    name : str
        Constant name of what happened, such as a log event; empty in other people's logs.
    words : str
        What it says.
    source : str
        Where it stands: a file's name, a table.
    ongoing : bool
        Whether it is still so, however long ago it began.
    """

    at: datetime
    level: str
    name: str
    words: str
    source: str
    ongoing: bool = False

    @property
    def text(self) -> str:
        """Name and words, briefly."""
        return ": ".join(part[:_LONGEST] for part in (self.name, self.words) if part)[:_LONGEST]

    def redacted(self) -> "Trouble":
        """Return it without secrets; of uncut words, for half a secret looks like none."""
        return replace(self, name=redact_text(self.name), words=redact_text(self.words))


@dataclass(slots=True)
class Kind:
    """Troubles that are alike; the example is the words of the first one."""

    signature: str
    name: str
    level: str
    example: str
    first: datetime
    last: datetime
    times: int = 0
    recent: int = 0
    earlier: int = 0
    """Those before the recent ones, within the time that is looked at."""
    ongoing: bool = False
    sources: list[str] = field(default_factory=list)

    def add(self, trouble: Trouble, *, since: datetime, recently: datetime) -> None:
        """Count one more."""
        self.times += 1
        self.recent += trouble.at >= recently
        self.earlier += since <= trouble.at < recently
        self.ongoing |= trouble.ongoing
        self.first = min(self.first, trouble.at)
        self.last = max(self.last, trouble.at)
        if trouble.level == "critical" or self.level == "warning":
            self.level = trouble.level
        if trouble.source not in self.sources and len(self.sources) < _SOURCES:
            self.sources.append(trouble.source)


class ErrorPatterns:
    """Groups troubles as they come; needs memory for the kinds only, however many troubles there are.

    Parameters
    ----------
    since : datetime
        Where the time that is looked at begins.
    now : datetime
        Where it ends.
    """

    def __init__(self, *, since: datetime, now: datetime) -> None:
        self._since = since
        # "Now" is the last hour, or of a short time its last quarter.
        self._recently = now - min(timedelta(hours=1), (now - since) / 4)
        self._recent_hours = (now - self._recently) / timedelta(hours=1)
        self._former_hours = (self._recently - since) / timedelta(hours=1)
        self._kinds: dict[str, Kind] = {}
        self._alike: dict[str, Kind] = {}
        self.troubles = 0

    @property
    def recently(self) -> datetime:
        """Where "now" begins."""
        return self._recently

    def add(self, troubles: Iterable[Trouble]) -> None:
        """Count troubles."""
        for trouble in troubles:
            # Looking for secrets takes longer than all the rest: once for those that are alike as they stand.
            likeness = signature_of(trouble)
            kind = self._alike.get(likeness)
            if kind is None:
                kind = self._kind_of(trouble.redacted())
                if len(self._alike) < MOST_KINDS:
                    self._alike[likeness] = kind
            kind.add(trouble, since=self._since, recently=self._recently)
            self.troubles += trouble.at >= self._since

    def _kind_of(self, trouble: Trouble) -> Kind:
        signature = signature_of(trouble)
        if signature not in self._kinds and len(self._kinds) >= MOST_KINDS:
            signature = "(further kinds)"
        kind = self._kinds.get(signature)
        if kind is None:
            kind = self._kinds[signature] = Kind(
                signature=signature,
                name=_without_phones(trouble.name)[:_LONGEST],
                level=trouble.level,
                example=_without_phones(trouble.words or trouble.name)[:_LONGEST],
                first=trouble.at,
                last=trouble.at,
            )
        return kind

    def kinds(self) -> list[Kind]:
        """Return the kinds: new ones first, then those that come more often; the frequent before the rare."""
        trends = list(Trend)
        return sorted(
            self._kinds.values(), key=lambda kind: (trends.index(self.trend(kind)), -kind.times, kind.signature)
        )

    def trend(self, kind: Kind) -> Trend:
        """Compare how often a kind comes now with before."""
        if not kind.recent:
            return Trend.OPEN if kind.ongoing else Trend.OVER
        if kind.first >= self._recently:
            return Trend.NEW
        if kind.recent >= _FEW and self.rate_now(kind) > _RISE * self.rate_before(kind):
            return Trend.RISING
        return Trend.STEADY

    def rate_now(self, kind: Kind) -> float:
        """Return how often it comes now, per hour."""
        return kind.recent / self._recent_hours

    def rate_before(self, kind: Kind) -> float:
        """Return how often it came before, per hour."""
        return kind.earlier / self._former_hours


def signature_of(trouble: Trouble) -> str:
    """Return what all troubles of a kind have in common: their words without numbers, ids, times and addresses."""
    text = trouble.text
    for pattern, stand_in in _VARYING:
        text = pattern.sub(stand_in, text)
    return text.strip()


def _without_phones(text: str) -> str:
    return _PHONE.sub(MASK, " ".join(text.split()))
