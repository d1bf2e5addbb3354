"""What `nadia recover` says of a run, to people and to programs."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from nadia.cli.recover import _account_as_json, _how, _row
from nadia.recovery.models import AccountStatus, Gap, Operation, OperationState, Reason

BEGUN = datetime(2026, 3, 1, 12, tzinfo=UTC)


def operation(**changes: Any) -> Operation:
    values: dict[str, Any] = {
        "id": 7,
        "gap_id": 3,
        "reason": Reason.START,
        "state": OperationState.RUNNING,
        "started_at": BEGUN,
        "progressed_at": BEGUN + timedelta(seconds=20),
        "ended_at": None,
        "dialogs_seen": 100,
        "chats_tier_1": 50,
        "chats_tier_2": 30,
        "chats_tier_3": 20,
        "chats_done": 40,
        "messages_found": 90,
        "messages_recorded": 80,
        "messages_duplicate": 10,
        "messages_too_old": 0,
        "edits": 0,
        "deletions": 0,
        "errors": 0,
        "flood_wait_seconds": 0.0,
        "error": None,
    }
    return Operation(**values | changes)


def test_a_running_run_says_how_far_it_is_and_how_long_it_will_take() -> None:
    assert _how(operation()) == "running: 40 of 100 chats, 80 of 90 messages were missing, about 30 s left"


@pytest.mark.parametrize("changes", [{"chats_done": 0}, {"state": OperationState.DONE, "ended_at": BEGUN}])
def test_where_nothing_is_known_of_the_end_none_is_promised(changes: dict[str, Any]) -> None:
    assert operation(**changes).seconds_left is None


def test_a_chat_that_was_read_twice_promises_no_negative_time() -> None:
    assert operation(chats_done=101).seconds_left == 0


def test_a_run_that_ended_says_what_it_found_and_why_it_ended() -> None:
    said = _how(
        operation(
            state=OperationState.FAILED, ended_at=BEGUN, messages_too_old=4, edits=2, deletions=1, error="no answer"
        )
    )
    assert said == (
        "failed: 40 of 100 chats, 80 of 90 messages were missing, 4 too old to be answered, 2 edits, 1 deletions "
        "(no answer)"
    )


def test_an_account_that_was_never_looked_through_says_so() -> None:
    status = AccountStatus(account_id="desk", owned=False, message_id=None, verified_at=None, gap=None, operation=None)
    assert _row(status) == ["desk", "no", "never", "nothing", "none yet"]
    assert _account_as_json(status)["operation"] is None


def test_an_open_gap_is_shown_with_its_reason() -> None:
    gap = Gap(3, "desk", 41, None, Reason.UPDATES_LOST, BEGUN, BEGUN, 2, BEGUN)
    status = AccountStatus("desk", True, 41, BEGUN, gap, operation())
    assert _row(status)[3] == "2026-03-01 12:00:00Z (updates_lost)"
    shown = _account_as_json(status)["operation"]
    assert isinstance(shown, dict)
    assert (shown["chats"], shown["seconds_left"]) == (100, 30.0)
