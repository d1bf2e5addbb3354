"""What is on record of a batch's way, and the spans that tell it.

The ids follow from the record: told twice, after a crash or by two workers, it is the same trace. No span holds what
anybody wrote.
"""

import hashlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

Attributes = Mapping[str, str | int | float | bool]

_STATE_SPANS: Final[Mapping[str, str]] = {
    "sealed": "waiting for a draft",
    "drafted": "waiting for a reviewer",
    "in_review": "review",
    "approved": "waiting to send",
    "sending": "delivery",
    "parked": "parked",
}

_DECIDED_IN: Final[Mapping[str, Collection[str]]] = {
    "drafted": ("reject", "redraft"),
    "in_review": ("approve", "reject", "redraft"),
    "approved": ("undo",),
}

_SAME_TRANSACTION: Final = timedelta(seconds=1)
"""The decision and its transition are written one after the other, by the clock's time of each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageStep:
    """A customer's message: when Telegram had it, and when it was on record."""

    id: int
    kind: str
    sent_at: datetime
    received_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """A transition, or a claim."""

    at: datetime
    state: str | None
    claimed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DraftStep:
    """A draft, when it was stored."""

    at: datetime
    seconds: float
    model: str
    revision: int
    input_tokens: int
    output_tokens: int
    cost_usd: float


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionStep:
    """What a reviewer decided."""

    at: datetime
    decision: str
    edited: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class BubbleStep:
    """A message of the reply that was sent."""

    position: int
    attempts: int
    begun_at: datetime
    sent_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Journey:
    """A batch that ended, and how it came there, each list in the order of time."""

    batch_id: int
    conversation_id: int
    account: str
    outcome: str
    sealed_at: datetime
    ended_at: datetime
    messages: Sequence[MessageStep]
    moves: Sequence[Move]
    drafts: Sequence[DraftStep]
    decisions: Sequence[DecisionStep]
    bubbles: Sequence[BubbleStep]


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A stretch of a message's way.

    Parameters
    ----------
    trace_id, span_id, parent_id : bytes
        16, 8 and 8 of them; no parent for the whole way.
    name : str
        One of few.
    begun_at, ended_at : datetime
        UTC; never in the wrong order, whatever the clocks said.
    attributes : mapping
        Numbers and names.
    asks_others : bool
        Whether another service did the work.
    is_error : bool
        Whether it should not have happened.
    """

    trace_id: bytes
    span_id: bytes
    parent_id: bytes = b""
    name: str
    begun_at: datetime
    ended_at: datetime
    attributes: Attributes = field(default_factory=dict)
    asks_others: bool = False
    is_error: bool = False


def trace_id_of(message: MessageStep) -> bytes:
    """Return the id of a message's trace, the same for ever; of another installation's message it is another."""
    return hashlib.sha256(f"{message.id} {message.received_at.timestamp():.6f}".encode()).digest()[:16]


def spans_of(journey: Journey, message: MessageStep) -> Sequence[Span]:
    """Return the trace of one message: its whole way, and the stages in it."""
    begun = min(message.sent_at, message.received_at)
    teller = _Teller(trace_id=trace_id_of(message), begun_at=begun, ended_at=max(begun, journey.ended_at))
    whole = teller.span(
        "message",
        begun,
        journey.ended_at,
        {
            "nadia.outcome": journey.outcome,
            "nadia.account": journey.account,
            "nadia.conversation.id": journey.conversation_id,
            "nadia.batch.id": journey.batch_id,
            "nadia.batch.messages": len(journey.messages),
            "nadia.message.id": message.id,
            "nadia.message.kind": message.kind,
        },
    )
    teller.within = whole.span_id
    return [
        whole,
        teller.span("intake", message.sent_at, message.received_at),
        teller.span("pacing", message.received_at, _joined_at(journey, message)),
        *_stages(journey, message, teller),
    ]


def _joined_at(journey: Journey, message: MessageStep) -> datetime:
    """Return when a message became part of its batch: with its sealing, or later, when it was sealed again."""
    if message.received_at <= journey.sealed_at:
        return journey.sealed_at
    return next(
        (move.at for move in journey.moves if move.state == "sealed" and move.at >= message.received_at),
        message.received_at,
    )


def _stages(journey: Journey, message: MessageStep, teller: "_Teller") -> Iterator[Span]:
    moves = [move for move in journey.moves if move.state is not None]
    ends = [*(move.at for move in moves[1:]), journey.ended_at]
    for move, end in zip(moves, ends, strict=False):
        name = _STATE_SPANS.get(move.state or "")
        if name is None or (end <= message.received_at and end < journey.ended_at):
            continue  # over before this message came
        begin = max(move.at, message.received_at)
        attributes = dict(_found_out(journey, move.state or "", begin, end))
        stage = teller.span(name, begin, end, attributes, is_error=move.state == "parked")
        yield stage
        yield from _details(journey, move.state or "", begin, end, teller, stage.span_id)


def _found_out(
    journey: Journey, state: str, begin: datetime, end: datetime
) -> Iterator[tuple[str, str | int | float | bool]]:
    """Return what was decided at the end of a stage, and how long nobody had claimed the item."""
    for decision in journey.decisions:
        if decision.decision in _DECIDED_IN.get(state, ()) and begin <= decision.at <= end + _SAME_TRANSACTION:
            yield "nadia.decision", decision.decision
            yield "nadia.edited", decision.edited
    claims = [move.at for move in journey.moves if move.claimed and begin <= move.at <= end]
    if state == "in_review" and claims:
        yield "nadia.claimed_after_seconds", round((claims[0] - begin).total_seconds(), 3)


def _details(
    journey: Journey, state: str, begin: datetime, end: datetime, teller: "_Teller", stage: bytes
) -> Iterator[Span]:
    if state == "sealed":
        for draft in journey.drafts:
            if begin <= draft.at <= end:
                yield teller.span(
                    "drafting",
                    max(begin, draft.at - timedelta(seconds=draft.seconds)),
                    draft.at,
                    {
                        "gen_ai.response.model": draft.model,
                        "gen_ai.usage.input_tokens": draft.input_tokens,
                        "gen_ai.usage.output_tokens": draft.output_tokens,
                        "nadia.cost_usd": draft.cost_usd,
                        "nadia.draft.revision": draft.revision,
                    },
                    parent=stage,
                    asks_others=True,
                )
    elif state == "sending":
        for bubble in journey.bubbles:
            if begin <= bubble.begun_at <= end:
                yield teller.span(
                    "bubble",
                    bubble.begun_at,
                    min(bubble.sent_at, end),
                    {"nadia.bubble.position": bubble.position, "nadia.bubble.attempts": bubble.attempts},
                    parent=stage,
                    asks_others=True,
                )


class _Teller:
    """Makes the spans of one trace, each with the next id; none goes beyond the whole."""

    def __init__(self, *, trace_id: bytes, begun_at: datetime, ended_at: datetime) -> None:
        self._trace_id = trace_id
        self._begun_at = begun_at
        self._ended_at = ended_at
        self._number = 0
        self.within = b""

    def span(
        self,
        name: str,
        begin: datetime,
        end: datetime,
        attributes: Attributes | None = None,
        *,
        parent: bytes | None = None,
        asks_others: bool = False,
        is_error: bool = False,
    ) -> Span:
        self._number += 1
        begin = min(max(begin, self._begun_at), self._ended_at)
        return Span(
            trace_id=self._trace_id,
            span_id=hashlib.sha256(self._trace_id + self._number.to_bytes(4, "big")).digest()[:8],
            parent_id=self.within if parent is None else parent,
            name=name,
            begun_at=begin,
            ended_at=min(max(begin, end), self._ended_at),
            attributes=attributes or {},
            asks_others=asks_others,
            is_error=is_error,
        )
