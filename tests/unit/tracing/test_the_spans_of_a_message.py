"""What a trace tells of a message's way."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from nadia.tracing.journey import (
    BubbleStep,
    DecisionStep,
    DraftStep,
    Journey,
    MessageStep,
    Move,
    Span,
    spans_of,
    trace_id_of,
)

START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def moves(*steps: tuple[float, str]) -> list[Move]:
    return [Move(at=at(seconds), state=state) for seconds, state in steps]


MESSAGE = MessageStep(id=7, kind="text", sent_at=at(0), received_at=at(1))
JOURNEY = Journey(
    batch_id=3,
    conversation_id=2,
    account="desk",
    outcome="sent",
    sealed_at=at(6),
    ended_at=at(60),
    messages=[MESSAGE],
    moves=[
        *moves((6, "sealed"), (10, "drafted"), (20, "in_review")),
        Move(at=at(20), state=None, claimed=True),
        *moves((40, "approved"), (50, "sending"), (60, "sent")),
    ],
    drafts=[
        DraftStep(at=at(9), seconds=2, model="m", revision=1, input_tokens=100, output_tokens=9, cost_usd=0.002),
    ],
    decisions=[DecisionStep(at=at(39.9), decision="approve", edited=True)],
    bubbles=[
        BubbleStep(position=0, attempts=1, begun_at=at(52), sent_at=at(53)),
        BubbleStep(position=1, attempts=2, begun_at=at(55), sent_at=at(58)),
    ],
)


def told(spans: Sequence[Span]) -> list[tuple[str, float, float]]:
    return [
        (span.name, (span.begun_at - START).total_seconds(), (span.ended_at - START).total_seconds()) for span in spans
    ]


def test_the_whole_way_is_told_from_telegram_to_the_last_bubble() -> None:
    assert told(spans_of(JOURNEY, MESSAGE)) == [
        ("message", 0, 60),
        ("intake", 0, 1),
        ("pacing", 1, 6),
        ("waiting for a draft", 6, 10),
        ("drafting", 7, 9),
        ("waiting for a reviewer", 10, 20),
        ("review", 20, 40),
        ("waiting to send", 40, 50),
        ("delivery", 50, 60),
        ("bubble", 52, 53),
        ("bubble", 55, 58),
    ]


def test_what_a_stage_came_to_stands_with_it() -> None:
    spans = {span.name: span.attributes for span in spans_of(JOURNEY, MESSAGE)}
    assert spans["drafting"]["gen_ai.response.model"] == "m"
    assert spans["drafting"]["gen_ai.usage.input_tokens"] == 100
    assert spans["drafting"]["nadia.cost_usd"] == 0.002
    assert spans["review"] == {"nadia.decision": "approve", "nadia.edited": True, "nadia.claimed_after_seconds": 0.0}
    assert spans["message"]["nadia.outcome"] == "sent"
    assert spans["bubble"] == {"nadia.bubble.position": 1, "nadia.bubble.attempts": 2}


def test_a_draft_and_a_bubble_hang_below_their_stages_and_all_else_below_the_message() -> None:
    spans = spans_of(JOURNEY, MESSAGE)
    names = {span.span_id: span.name for span in spans}
    parents = {(span.name, names.get(span.parent_id)) for span in spans}
    assert {("drafting", "waiting for a draft"), ("bubble", "delivery"), ("message", None)} <= parents
    assert {parent for name, parent in parents if name not in ("drafting", "bubble", "message")} == {"message"}


def test_told_again_it_is_the_same_trace_and_another_message_is_another() -> None:
    assert spans_of(JOURNEY, MESSAGE) == spans_of(JOURNEY, MESSAGE)
    other = replace(MESSAGE, id=8)
    elsewhere = replace(MESSAGE, received_at=at(1.5))
    assert len({trace_id_of(message) for message in (MESSAGE, other, elsewhere)}) == 3


def test_a_message_that_came_later_has_only_the_stages_since_then() -> None:
    """It joined while the item was on the desk, which made a new draft necessary."""
    late = MessageStep(id=8, kind="photo", sent_at=at(24), received_at=at(25))
    journey = replace(
        JOURNEY,
        messages=[MESSAGE, late],
        moves=moves(
            (6, "sealed"), (10, "drafted"), (30, "sealed"), (40, "drafted"), (45, "in_review"), (50, "rejected")
        ),
        drafts=[],
        decisions=[DecisionStep(at=at(50), decision="reject", edited=False)],
        bubbles=[],
        outcome="rejected",
        ended_at=at(50),
    )
    assert told(spans_of(journey, late)) == [
        ("message", 24, 50),
        ("intake", 24, 25),
        ("pacing", 25, 30),
        ("waiting for a reviewer", 25, 30),
        ("waiting for a draft", 30, 40),
        ("waiting for a reviewer", 40, 45),
        ("review", 45, 50),
    ]
    assert spans_of(journey, late)[-1].attributes["nadia.decision"] == "reject"


def test_a_reply_that_was_taken_back_and_parked_shows_both() -> None:
    journey = replace(
        JOURNEY,
        moves=moves(
            (6, "sealed"),
            (10, "in_review"),
            (20, "approved"),
            (25, "in_review"),
            (30, "parked"),
            (45, "in_review"),
            (60, "rejected"),
        ),
        drafts=[],
        bubbles=[],
        decisions=[
            DecisionStep(at=at(20), decision="approve", edited=False),
            DecisionStep(at=at(25), decision="undo", edited=False),
            DecisionStep(at=at(60), decision="reject", edited=False),
        ],
    )
    spans = spans_of(journey, MESSAGE)[3:]
    assert [(span.name, span.attributes.get("nadia.decision"), span.is_error) for span in spans] == [
        ("waiting for a draft", None, False),
        ("review", "approve", False),
        ("waiting to send", "undo", False),
        ("review", None, False),
        ("parked", None, True),
        ("review", "reject", False),
    ]


def test_a_batch_of_which_nothing_more_is_on_record_is_told_as_far_as_it_is_known() -> None:
    bare = replace(JOURNEY, moves=[], drafts=[], decisions=[], bubbles=[])
    assert [span.name for span in spans_of(bare, MESSAGE)] == ["message", "intake", "pacing"]


moments = st.floats(-100, 200, allow_nan=False).map(at)
states = st.sampled_from(["buffering", "sealed", "drafted", "in_review", "approved", "sending", "parked", "strange"])


@given(
    journey=st.builds(
        replace,
        st.just(JOURNEY),
        sealed_at=moments,
        ended_at=moments,
        moves=st.lists(st.builds(Move, at=moments, state=st.none() | states, claimed=st.booleans()), max_size=8),
        drafts=st.lists(st.builds(replace, st.just(JOURNEY.drafts[0]), at=moments), max_size=3),
        decisions=st.lists(st.builds(replace, st.just(JOURNEY.decisions[0]), at=moments), max_size=3),
        bubbles=st.lists(
            st.builds(replace, st.just(JOURNEY.bubbles[0]), begun_at=moments, sent_at=moments), max_size=3
        ),
    ),
    message=st.builds(replace, st.just(MESSAGE), sent_at=moments, received_at=moments),
)
def test_whatever_the_clocks_said_spans_lie_within_the_whole_and_ids_are_unique(
    journey: Journey, message: MessageStep
) -> None:
    spans = spans_of(journey, message)
    whole = spans[0]
    assert all(whole.begun_at <= span.begun_at <= span.ended_at <= whole.ended_at for span in spans)
    assert len({span.span_id for span in spans}) == len(spans)
    assert [span for span in spans if not span.parent_id] == [spans[0]]
    assert {span.parent_id for span in spans[1:]} <= {span.span_id for span in spans}
