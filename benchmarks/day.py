"""A day of a busy desk, made by dice: who writes when, and when the desk answers.

Its shape, which stands in `DayShape`: 3,000 customers, of whom a tenth write for the first time. How often they write
falls with their rank as Zipf's law has it, so that a few come back all day and most come once or not at all. The day
has two humps, before noon and in the evening, and three rushes in which many write within minutes. A conversation is a
few exchanges; in each a customer sends a burst of messages seconds apart, and a person approves a reply minutes later.
"""

import itertools
import math
import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Final, Literal

from nadia.constants import DAY_IN_SECONDS, HOUR_IN_SECONDS

_BY_HOUR: Final = (1, 1, 1, 1, 1, 2, 4, 8, 12, 15, 16, 14, 11, 10, 10, 11, 12, 14, 17, 18, 15, 10, 5, 2)
"""How many conversations begin in each hour, relative to each other."""


@dataclass(frozen=True)
class DayShape:
    """What the dice follow.

    Parameters
    ----------
    customers : int
        Everybody who may write.
    newcomers : float
        Share of them who have never written before.
    zipf_exponent : float
        A customer of rank r writes as often as r to the power of minus this.
    conversations : int
        Begun in the day, the rushes' not counted.
    exchanges, burst_messages : float
        Mean number of exchanges in a conversation, and of messages in a burst; geometric, at least 1.
    burst_gap_seconds : float
        Mean time between a burst's messages; exponential.
    reply_seconds, answer_seconds : float
        Median time until the desk has answered a burst, and the customer the desk; log-normal, sigma 1.
    rushes : tuple of float
        Hours at which one begins.
    rush_conversations : int
        Begun in each rush, by customers of any rank alike.
    rush_seconds : float
        How long a rush takes.
    """

    customers: int = 3_000
    newcomers: float = 0.1
    zipf_exponent: float = 0.9
    conversations: int = 4_000
    exchanges: float = 2.5
    burst_messages: float = 2.2
    burst_gap_seconds: float = 8.0
    reply_seconds: float = 240.0
    answer_seconds: float = 180.0
    rushes: tuple[float, ...] = (9.5, 14.0, 20.25)
    rush_conversations: int = 150
    rush_seconds: float = 600.0

    def described(self) -> dict[str, object]:
        """Return it for a report."""
        return asdict(self)


@dataclass(frozen=True, slots=True, order=True)
class DayEvent:
    """A customer's message, or a reply to one; ``at`` in seconds since midnight."""

    at: float
    customer: int
    kind: Literal["message", "reply"]


@dataclass(frozen=True, slots=True)
class Day:
    """The events in their order, and the customers who had not written before."""

    events: Sequence[DayEvent]
    newcomers: frozenset[int]


def generate_day(shape: DayShape | None = None, *, seed: int = 1) -> Day:
    """Throw the dice; the same seed gives the same day. What would happen after midnight is left out."""
    shape = shape or DayShape()
    dice = random.Random(seed)
    customers = range(1, shape.customers + 1)
    weights = list(itertools.accumulate(rank**-shape.zipf_exponent for rank in customers))
    begins = [
        (hour * HOUR_IN_SECONDS + dice.uniform(0, HOUR_IN_SECONDS), customer)
        for hour, customer in zip(
            dice.choices(range(24), _BY_HOUR, k=shape.conversations),
            dice.choices(customers, cum_weights=weights, k=shape.conversations),
            strict=True,
        )
    ]
    for hour in shape.rushes:
        begins += [
            (hour * HOUR_IN_SECONDS + dice.uniform(0, shape.rush_seconds), dice.choice(customers))
            for _ in range(shape.rush_conversations)
        ]
    events = [event for at, customer in begins for event in _conversation(dice, shape, at, customer)]
    newcomers = dice.sample(customers, round(shape.newcomers * shape.customers))
    return Day(sorted(event for event in events if event.at < DAY_IN_SECONDS), frozenset(newcomers))


def _conversation(dice: random.Random, shape: DayShape, at: float, customer: int) -> list[DayEvent]:
    events: list[DayEvent] = []
    for _ in range(_geometric(dice, shape.exchanges)):
        for _ in range(_geometric(dice, shape.burst_messages)):
            events.append(DayEvent(at, customer, "message"))
            at += dice.expovariate(1 / shape.burst_gap_seconds)
        at += _log_normal(dice, shape.reply_seconds)
        events.append(DayEvent(at, customer, "reply"))
        at += _log_normal(dice, shape.answer_seconds)
    return events


def _geometric(dice: random.Random, mean: float) -> int:
    return 1 + int(math.log(1 - dice.random()) / math.log(1 - 1 / mean))


def _log_normal(dice: random.Random, median: float) -> float:
    return dice.lognormvariate(math.log(median), 1.0)
