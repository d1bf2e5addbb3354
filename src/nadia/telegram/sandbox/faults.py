"""What goes wrong on purpose, by seeded chance or at the next occasion."""

import random
from collections import deque
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field

_RATE = Field(0.0, ge=0.0, le=1.0)


class FaultKind(StrEnum):
    """The ways in which the sandbox fails."""

    REFUSE_CONNECTION = "refuse_connection"
    """A log-in is cut off."""
    DISCONNECT = "disconnect"
    """The connection is cut before the request has any effect."""
    DROP_ANSWER = "drop_answer"
    """The message is stored, then the connection is cut instead of answering."""
    SLOW_ANSWER = "slow_answer"
    """The request has its effect, its answer is late."""
    FLOOD_WAIT = "flood_wait"
    """The request is refused for some seconds."""
    PEER_FLOOD = "peer_flood"
    """The message is refused because the account is limited."""
    DUPLICATE_UPDATE = "duplicate_update"
    """An update is delivered twice."""


_CHANCE_STRIKES: dict[FaultKind, frozenset[str]] = {
    FaultKind.REFUSE_CONNECTION: frozenset({"account.login"}),
    FaultKind.DISCONNECT: frozenset(
        {"account.send", "account.typing", "account.history", "account.dialogs", "account.difference"}
    ),
    FaultKind.DROP_ANSWER: frozenset({"account.send"}),
    FaultKind.SLOW_ANSWER: frozenset({"account.send", "account.history", "account.dialogs"}),
    FaultKind.FLOOD_WAIT: frozenset({"account.send"}),
    FaultKind.PEER_FLOOD: frozenset({"account.send"}),
    FaultKind.DUPLICATE_UPDATE: frozenset({"account.difference"}),
}
"""The methods that each kind strikes unless a forced fault names another."""


class FaultPlan(BaseModel):
    """How often each fault strikes: a share of the occasions, 0 to 1. The seed makes a run repeatable."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    seed: int = 0
    refuse_connection: float = _RATE
    disconnect: float = _RATE
    drop_answer: float = _RATE
    slow_answer: float = _RATE
    flood_wait: float = _RATE
    peer_flood: float = _RATE
    duplicate_update: float = _RATE
    flood_wait_seconds: int = Field(5, ge=1, le=86_400)
    slow_answer_seconds: float = Field(1.0, ge=0.0, le=300.0)

    def rate(self, kind: FaultKind) -> float:
        """Return the share of occasions at which a kind strikes."""
        return {
            FaultKind.REFUSE_CONNECTION: self.refuse_connection,
            FaultKind.DISCONNECT: self.disconnect,
            FaultKind.DROP_ANSWER: self.drop_answer,
            FaultKind.SLOW_ANSWER: self.slow_answer,
            FaultKind.FLOOD_WAIT: self.flood_wait,
            FaultKind.PEER_FLOOD: self.peer_flood,
            FaultKind.DUPLICATE_UPDATE: self.duplicate_update,
        }[kind]


class ForcedFault(BaseModel):
    """A fault that strikes at the next occasions, whatever the plan says."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: FaultKind
    method: str | None = Field(None, description="Strike this method instead of those that the kind usually strikes.")
    times: int = Field(1, ge=1, le=1_000)
    seconds: float | None = Field(None, ge=0.0, le=86_400.0, description="Instead of the plan's wait or delay.")


class Faults:
    """Decides at each occasion whether a fault strikes."""

    def __init__(self, plan: FaultPlan | None = None) -> None:
        self.plan = plan or FaultPlan()
        self._random = random.Random(self.plan.seed)
        self._forced: deque[ForcedFault] = deque(maxlen=1_000)

    def follow(self, plan: FaultPlan) -> None:
        """Replace the plan and start its chances over; forced faults that have not struck are forgotten."""
        self.plan = plan
        self._random = random.Random(plan.seed)
        self._forced.clear()

    def force(self, fault: ForcedFault) -> None:
        """Let a fault strike at its next occasions."""
        self._forced.extend(fault.model_copy(update={"times": 1}) for _ in range(fault.times))

    def strike(self, kind: FaultKind, method: str) -> bool:
        """Say whether a fault strikes this request."""
        return self._take_forced(kind, method) is not None or self._by_chance(kind, method)

    def strike_seconds(self, kind: FaultKind, method: str) -> float | None:
        """Say for how long a fault strikes this request; None where it does not."""
        default = self.plan.flood_wait_seconds if kind is FaultKind.FLOOD_WAIT else self.plan.slow_answer_seconds
        forced = self._take_forced(kind, method)
        if forced is not None:
            return default if forced.seconds is None else forced.seconds
        return default if self._by_chance(kind, method) else None

    def _by_chance(self, kind: FaultKind, method: str) -> bool:
        rate = self.plan.rate(kind)
        return rate > 0.0 and method in _CHANCE_STRIKES[kind] and self._random.random() < rate

    def _take_forced(self, kind: FaultKind, method: str) -> ForcedFault | None:
        for fault in self._forced:
            strikes = {fault.method} if fault.method else _CHANCE_STRIKES[kind]
            if fault.kind is kind and method in strikes:
                self._forced.remove(fault)
                return fault
        return None
