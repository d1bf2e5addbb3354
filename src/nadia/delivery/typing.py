"""How long a person would take to read and write, shown to the customer (baseline 2.4)."""

import asyncio
import math
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import structlog

from nadia.constants import MINUTE_IN_SECONDS
from nadia.delivery.config import DeliverySettings

log = structlog.get_logger(__name__)

_CHARACTERS_PER_WORD: Final = 5
"""Of the word in words per minute, spaces included: the typists' standard word."""

_REFRESH_SECONDS: Final = 4.5
"""A typing signal is good for 6 s (Telegram API, messages.setTyping); this leaves time for the way."""


class ShowsTyping(Protocol):
    """What of a gateway the simulation needs."""

    async def set_typing(self, *, chat_id: int, active: bool = True) -> None:
        """Show, or stop showing, that the desk is writing."""


@dataclass(frozen=True, slots=True)
class Beat:
    """Seconds before and during the writing of one bubble."""

    pause: float
    typing: float


@dataclass(frozen=True, slots=True)
class Cadence:
    """The timing of one reply: seconds of reading, then a beat for each bubble."""

    reading: float
    beats: tuple[Beat, ...]

    @property
    def total(self) -> float:
        """Seconds that all of it takes."""
        return self.reading + sum(beat.pause + beat.typing for beat in self.beats)

    def scaled(self, factor: float) -> "Cadence":
        """Return it so many times as long."""
        return Cadence(
            reading=self.reading * factor,
            beats=tuple(Beat(pause=beat.pause * factor, typing=beat.typing * factor) for beat in self.beats),
        )


class TypingSimulator:
    """Plans a reply's cadence and plays it.

    Parameters
    ----------
    settings : DeliverySettings
        Speeds, variance, the upper bound on the total.
    rng : random.Random
        Source of the variance.
    sleep : callable
        Waits so many seconds.
    """

    def __init__(
        self,
        *,
        settings: DeliverySettings,
        rng: random.Random,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._settings = settings
        self._rng = rng
        self._sleep = sleep
        self._signals: set[asyncio.Task[None]] = set()

    def reading_time(self, characters: int) -> float:
        """Return the seconds that reading so many characters takes."""
        return (
            self._vary(characters / _CHARACTERS_PER_WORD / self._settings.reading_words_per_minute) * MINUTE_IN_SECONDS
        )

    def typing_time(self, text: str) -> float:
        """Return the seconds that writing a bubble takes."""
        return self._vary(len(text) / _CHARACTERS_PER_WORD / self._settings.words_per_minute) * MINUTE_IN_SECONDS

    def pause_time(self) -> float:
        """Return the seconds between two bubbles."""
        return self._vary(self._settings.bubble_pause_seconds)

    def plan(self, *, characters_to_read: int, bubbles: Sequence[str]) -> Cadence:
        """Return the cadence of a reply, shortened evenly where it would be longer than the bound.

        Parameters
        ----------
        characters_to_read : int
            Of the customer's messages; 0 when they have been read.
        bubbles : sequence of str
            What is to be written.
        """
        cadence = Cadence(
            reading=self.reading_time(characters_to_read),
            beats=tuple(
                Beat(pause=self.pause_time() if position else 0.0, typing=self.typing_time(text))
                for position, text in enumerate(bubbles)
            ),
        )
        bound = self._settings.max_total_seconds
        fit = min(1.0, bound / cadence.total) if cadence.total else 1.0
        return cadence.scaled(fit / self._settings.speed)

    async def read(self, seconds: float) -> None:
        """Take the time to read."""
        if seconds > 0:
            await self._sleep(seconds)

    async def write(self, gateway: ShowsTyping, *, chat_id: int, beat: Beat) -> None:
        """Pause, then show the typing indicator as long as writing takes; its failures are nobody's concern."""
        if beat.pause > 0:
            await self._sleep(beat.pause)
        if beat.typing <= 0:
            return
        # Apart, so that a signal that takes long or fails holds up nothing.
        signals = asyncio.create_task(self._signal(gateway, chat_id, beat.typing), name="delivery.typing")
        self._signals.add(signals)
        signals.add_done_callback(self._signals.discard)
        try:
            await self._sleep(beat.typing)
        finally:
            signals.cancel()

    async def _signal(self, gateway: ShowsTyping, chat_id: int, seconds: float) -> None:
        try:
            for _ in range(math.ceil(seconds / _REFRESH_SECONDS)):
                await gateway.set_typing(chat_id=chat_id)
                await self._sleep(_REFRESH_SECONDS)
        except Exception as exc:  # whatever it is, the message goes out
            log.info("typing.not_shown", chat_id=chat_id, error=type(exc).__name__)

    def _vary(self, value: float) -> float:
        spread = self._settings.variance
        return value * self._rng.triangular(1 - spread, 1 + spread, 1)
