"""What the demo's customers write: seeded, so that the same seed is the same day."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

_NAMES: Final = (
    "Amira Haddad", "Björn Østby", "Chiara Conti", "Dmitri Orlov", "Emeka Okafor", "Freya Lind", "Goran Petrović",
    "Hana Sato", "Ibrahim Demir", "Júlia Nagy", "Kofi Mensah", "Lucía Fernández", "Mei Lin", "Noor Rahman",
    "Olivia Brown", "Paulo Costa", "Quynh Tran", "Rania Aziz", "Sven Maier", "Tamar Levi",
)  # fmt: skip

_BURSTS: Final = (
    ("hi", "I ordered a lamp last week", "and it has not arrived", "order 4412"),
    ("Hello!", "when do you open on Saturday?"),
    ("The kettle I got is broken 😕", "can I send it back?", "I have the receipt"),
    ("hola", "¿cuánto tarda el envío a Sevilla?"),
    ("do you ship to Norway", "and what does it cost"),
    ("I was charged twice", "please look at it", "this is urgent"),
    ("thanks a lot!",),
    ("are you a bot?",),
    ("Can I change the delivery address?", "to Elm Street 5", "sorry", "Elm Street 15"),
    ("one more thing", "the blue one, is it in stock?"),
    ("good morning", "I'd like to cancel my order", "number 7781"),
    ("ok", "great"),
)


@dataclass(frozen=True, slots=True)
class Burst:
    """Messages written one after the other.

    Parameters
    ----------
    texts : sequence of str
        In order.
    gap_seconds : float
        Between two of them, at the demo's speed.
    waits_for_reply : bool
        Whether the customer writes on only after the desk has answered.
    """

    texts: Sequence[str]
    gap_seconds: float
    waits_for_reply: bool


@dataclass(frozen=True, slots=True)
class Part:
    """One customer's part in the day."""

    name: str
    starts_after_seconds: float
    bursts: Sequence[Burst]

    @property
    def messages(self) -> int:
        """How many messages the customer writes."""
        return sum(len(burst.texts) for burst in self.bursts)


def write_script(*, customers: int, seed: int, window_seconds: float, spread_seconds: float) -> list[Part]:
    """Return a day's parts.

    Parameters
    ----------
    customers : int
        How many.
    seed : int
        Decides everything.
    window_seconds : float
        The pacing window: messages of a burst come faster than this.
    spread_seconds : float
        Over how long the customers begin.
    """
    chance = random.Random(seed)
    return [
        Part(
            name=_NAMES[number % len(_NAMES)] + (f" {number // len(_NAMES) + 1}" if number >= len(_NAMES) else ""),
            starts_after_seconds=chance.uniform(0, spread_seconds),
            bursts=[
                Burst(
                    texts=chance.choice(_BURSTS),
                    gap_seconds=chance.uniform(0.1, 0.6) * window_seconds,
                    waits_for_reply=chance.random() < 0.75,
                )
                for _ in range(chance.randint(1, 3))
            ],
        )
        for number in range(customers)
    ]
