"""The open item: what its editor begins with, and what its thread says."""

from dataclasses import replace
from datetime import timedelta

from nadia.conversations.models import BatchState
from nadia.review.models import AuditView
from nadia.web.desk_item_view import Progress, item_view, start_of
from support.desk_items import NOW, approval, detail, draft, leaving, message, queue_item

TOLD = "Replies are drafted by an AI."


def test_the_editor_starts_from_the_newest_draft() -> None:
    start = start_of(detail(made=draft("one", "two", revision=3)))
    assert (start.key, start.text) == ("d3", "one\n\ntwo")


def test_without_a_draft_it_starts_empty() -> None:
    assert start_of(detail()).bubbles == ()


def test_after_an_undo_it_starts_from_what_was_approved() -> None:
    start = start_of(
        detail(
            made=draft("drafted"),
            decisions=(approval("approved", number=4),),
            outbox=(leaving("approved", "cancelled", decision=4),),
        )
    )
    assert (start.key, start.bubbles) == ("a4", ("approved",))


def test_when_a_part_went_out_it_starts_from_the_rest() -> None:
    start = start_of(
        detail(
            made=draft("drafted"),
            decisions=(approval("first", "second"),),
            outbox=(leaving("first", "sent"), leaving("second", "cancelled", position=1)),
        )
    )
    assert start.bubbles == ("second",)


def test_a_draft_made_after_the_approval_comes_first_again() -> None:
    start = start_of(
        detail(made=draft("newer", revision=2, minutes_ago=1), decisions=(approval("approved", minutes_ago=2),))
    )
    assert start.bubbles == ("newer",)


def test_the_disclosure_is_not_in_the_editor_since_it_stands_above() -> None:
    assert start_of(detail(made=draft(TOLD, "hello"), disclosure=TOLD)).bubbles == ("hello",)
    assert start_of(detail(made=draft(TOLD, "hello"), disclosure=None)).bubbles == (TOLD, "hello")


def test_the_divider_stands_above_what_is_new_at_the_end() -> None:
    view = item_view(detail(messages=(message("a"), message("b", newer=True), message("c", newer=True))), me=1, now=NOW)
    assert [one.divider for one in view.messages] == [False, True, False]


def test_an_older_message_that_changed_since_the_draft_says_so_itself() -> None:
    view = item_view(detail(messages=(message("a", newer=True, edited=True), message("b"))), me=1, now=NOW)
    assert [one.divider for one in view.messages] == [False, False]
    assert view.messages[0].notes == ("edited", "since the draft")


def test_kinds_deletions_and_the_phone_are_named() -> None:
    view = item_view(
        detail(messages=(message("", kind="voice"), message("no", deleted=True), message("hi", author="phone"))),
        me=1,
        now=NOW,
    )
    voice, deleted, phone = view.messages
    assert voice.kind_label == "Voice message"
    assert deleted.notes == ("deleted",)
    assert (phone.side, phone.notes) == ("out", ("sent from the phone",))


def test_an_approved_reply_that_has_to_wait_says_for_what() -> None:
    item = queue_item(state=BatchState.APPROVED)
    soon = leaving("hello", "queued")
    held = replace(soon, last_error="waits until what was missed in this chat is read")
    assert item_view(detail(item=item, outbox=(soon,)), me=1, now=NOW).progress == Progress(
        "Approved: it leaves in a moment.", "good"
    )
    assert item_view(detail(item=item, outbox=(held,)), me=1, now=NOW).progress == Progress(
        "Approved: it waits until what was missed in this chat is read.", "warn"
    )


def test_a_parked_item_offers_what_resolves_it() -> None:
    parked = queue_item(state=BatchState.PARKED, parked_reason="in doubt", parked_from=BatchState.SENDING)
    in_doubt = item_view(detail(parked, outbox=(leaving("x", "parked"),)), me=1, now=NOW)
    assert [one.value for one in in_doubt.resolutions] == ["was_sent", "send_again", "reject"]
    by_hand = item_view(detail(queue_item(state=BatchState.PARKED, parked_reason="later")), me=1, now=NOW)
    assert [one.value for one in by_hand.resolutions] == ["resume", "reject"]


def test_a_reply_that_was_half_out_says_so() -> None:
    view = item_view(
        detail(
            queue_item(state=BatchState.IN_REVIEW),
            decisions=(approval("first", "second"),),
            outbox=(leaving("first", "sent"), leaving("second", "cancelled", position=1)),
        ),
        me=1,
        now=NOW,
    )
    assert view.progress is not None
    assert view.progress.text.startswith("1 of 2 messages went out")


def test_the_offline_drafters_score_is_nearness_and_it_names_neither_time_nor_cost() -> None:
    view = item_view(detail(made=draft("hi")), me=1, now=NOW)
    assert view.draft is not None
    assert view.draft.line == "Draft · by offline · 50 % near a saved reply"
    by_model = item_view(detail(made=replace(draft("hi"), model="gpt-4.1-mini")), me=1, now=NOW)
    assert by_model.draft is not None
    assert by_model.draft.line == "Draft · by gpt-4.1-mini · 50 % sure · 0.0 s · no cost"


def test_the_history_shows_what_was_approved_and_that_it_was_changed() -> None:
    def moved(before: str, after: str) -> AuditView:
        return AuditView(
            at=NOW,
            actor="account:9",
            actor_name="marta",
            action="batch.moved",
            before={"state": before},
            after={"state": after},
        )

    changed = approval("first", "of\u202e two")
    plain = replace(approval("second", number=2), edited=False)
    trail = (
        moved("in_review", "approved"),
        moved("approved", "parked"),
        moved("parked", "approved"),
        moved("approved", "in_review"),
        moved("in_review", "approved"),
    )
    lines = item_view(replace(detail(decisions=(changed, plain)), audit=trail), me=1, now=NOW).history
    assert lines[0].text == "approved with changes"
    assert lines[-1].text == "approved"
    assert [line.approved for line in lines] == [("first", "of[U+202E] two"), (), (), (), ("second",)]


def test_a_message_tells_when_it_was_changed_and_the_desks_own_are_no_events() -> None:
    messages = (message("a", edited=True), message("b"), message("c", author="desk"))
    shown = item_view(detail(messages=messages), me=1, now=NOW).messages
    assert [(one.event_id, one.changed) for one in shown] == [(1, NOW.isoformat()), (1, ""), (None, "")]


def test_an_item_that_came_late_says_when_it_was_written() -> None:
    written = NOW - timedelta(hours=14, minutes=5)
    late = replace(message("where is it?"), sent_at=written, received_at=NOW)
    view = item_view(detail(queue_item(late_since=written), messages=(late,)), me=1, now=NOW)
    assert (view.late_since, view.late_age) == (written, "14 h 05")
    assert [mark.text for mark in view.late_marks] == ["Late"]
    assert view.messages[0].notes == ("reached us 14 h 05 late",)


def test_an_item_that_came_in_time_says_nothing_of_it() -> None:
    soon = replace(message("hi"), sent_at=NOW - timedelta(minutes=29), received_at=NOW)
    desk = replace(message("hello", author="desk"), sent_at=NOW - timedelta(days=2))
    view = item_view(detail(messages=(desk, soon)), me=1, now=NOW)
    assert (view.late_since, view.late_age, view.late_marks) == (None, "", ())
    assert [entry.notes for entry in view.messages] == [(), ()]
