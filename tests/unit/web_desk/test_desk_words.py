"""Words and marks of the desk's queue."""

from datetime import timedelta

import pytest

from nadia.conversations.models import BatchState
from nadia.review.models import DeskCounts
from nadia.telegram.gateway import Media
from nadia.web.desk_queue_view import queue_view
from nadia.web.desk_words import duration
from support.desk_items import NOW, queue_item

COUNTS = DeskCounts(sealed=0, drafted=1, in_review=0, approved=0, sending=0, parked=0)
ME = 7


def marks_of(**changes: object) -> list[str]:
    view = queue_view("waiting", [queue_item(**changes)], COUNTS, me=ME, now=NOW)
    return [mark.text for mark in view.rows[0].marks]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(-3, "0 s"), (59.9, "59 s"), (60, "1 min"), (3599, "59 min"), (3900, "1 h 05"), (86_400, "1 d"), (200_000, "2 d")],
)
def test_durations_are_short(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def test_a_plain_item_carries_no_marks() -> None:
    assert marks_of() == []


def test_an_item_says_what_a_reviewer_should_know_before_opening_it() -> None:
    marks = marks_of(priority=5, stale=True, risk=0.8, flags=("promises_refund",), messages=3, score=0.41)
    assert marks == ["Urgent", "Wrote again", "Risk 0.8", "promises refund", "3 messages", "41 %"]


def test_an_item_without_a_draft_says_so() -> None:
    assert marks_of(state=BatchState.IN_REVIEW, has_draft=False, no_draft_reason="no model") == ["No draft"]
    assert marks_of(state=BatchState.SEALED, has_draft=False) == ["Drafting"]


def test_a_claim_names_its_holder_until_it_has_run_out() -> None:
    held = {"claimed_by": "marta", "claimed_by_id": 9, "claim_expires_at": NOW + timedelta(minutes=1)}
    assert marks_of(**held) == ["marta"]
    assert marks_of(**(held | {"claimed_by_id": ME})) == ["You"]
    assert marks_of(**(held | {"claim_expires_at": NOW - timedelta(seconds=1)})) == []


def test_only_somebody_elses_claim_makes_an_item_one_to_pass_over() -> None:
    held = {"claimed_by": "marta", "claimed_by_id": 9, "claim_expires_at": NOW + timedelta(minutes=1)}
    others, own = queue_item(**held), queue_item(**(held | {"claimed_by_id": ME}))
    view = queue_view("waiting", [others, own], COUNTS, me=ME, now=NOW)
    assert [row.taken for row in view.rows] == [True, False]


def test_undo_is_offered_among_the_decided_while_it_lasts() -> None:
    decided = [
        queue_item(state=BatchState.APPROVED, undo_until=NOW + timedelta(seconds=4)),
        queue_item(state=BatchState.SENDING, undo_until=None),
    ]
    view = queue_view("recent", decided, COUNTS, me=ME, now=NOW)
    assert [row.undo_seconds for row in view.rows] == [4, 0]


def test_a_long_queue_says_how_many_more_there_are() -> None:
    counts = DeskCounts(sealed=0, drafted=250, in_review=0, approved=0, sending=0, parked=0)
    view = queue_view("waiting", [queue_item()] * 200, counts, me=ME, now=NOW)
    assert (len(view.rows), view.more) == (200, 50)


def test_every_empty_list_says_what_would_appear_there() -> None:
    for tab in ("waiting", "parked", "recent"):
        view = queue_view(tab, [], COUNTS, me=ME, now=NOW)
        assert view.empty_title
        assert view.empty_text


def test_a_line_about_late_messages_says_when_they_were_written() -> None:
    assert "Late: written 14 h 05 ago" in marks_of(late_since=NOW - timedelta(hours=14, minutes=5))
    assert not any(mark.startswith("Late") for mark in marks_of())


@pytest.mark.parametrize(
    ("preview", "kind", "media", "shown"),
    [
        ("hello", "text", None, "hello"),
        ("", "text", None, "(no text)"),
        ("", "voice", Media(reference="", duration=12), "Voice message, 0:12"),
        ("my  cat", "photo", Media(reference=""), "Photo · my cat"),
    ],
)
def test_the_queue_previews_what_is_not_text(preview: str, kind: str, media: Media | None, shown: str) -> None:
    item = queue_item(preview=preview, preview_kind=kind, preview_media=media)
    (row,) = queue_view("waiting", [item], COUNTS, me=ME, now=NOW).rows
    assert row.preview == shown
