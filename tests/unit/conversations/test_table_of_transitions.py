"""The table of DESIGN section 1."""

import itertools

from nadia.conversations.models import OPEN_STATES, BatchState
from nadia.conversations.transitions import ALLOWED
from nadia.metrics import render

S = BatchState


def test_the_way_of_a_message_and_its_turnings_are_allowed() -> None:
    way = [S.BUFFERING, S.SEALED, S.DRAFTED, S.IN_REVIEW, S.APPROVED, S.SENDING, S.SENT]
    for before, after in itertools.pairwise(way):
        assert after in ALLOWED[before]
    for before, after in (
        (S.APPROVED, S.IN_REVIEW),
        (S.DRAFTED, S.SEALED),
        (S.IN_REVIEW, S.SEALED),
        (S.SEALED, S.IN_REVIEW),
    ):
        assert after in ALLOWED[before]


def test_nothing_is_sent_that_was_not_in_review_and_approved() -> None:
    assert {before for before, afters in ALLOWED.items() if S.APPROVED in afters} == {S.IN_REVIEW, S.PARKED}
    assert {before for before, afters in ALLOWED.items() if S.SENDING in afters} == {S.APPROVED, S.PARKED}
    assert {before for before, afters in ALLOWED.items() if S.SENT in afters} == {S.SENDING}


def test_the_ends_are_ends() -> None:
    assert not ALLOWED[S.SENT] | ALLOWED[S.REJECTED] | ALLOWED[S.EXPIRED]


def test_every_state_has_its_row_and_every_open_one_can_be_parked() -> None:
    assert set(ALLOWED) == set(S)
    assert all(S.PARKED in ALLOWED[state] for state in OPEN_STATES)


def test_every_transition_is_counted_from_zero() -> None:
    exported = render()[0].decode()
    for before, afters in ALLOWED.items():
        for after in afters:
            assert f'nadia_batch_transitions_total{{after="{after}",before="{before}"}}' in exported
