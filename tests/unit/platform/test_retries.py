from collections.abc import Iterator

import pytest
import stamina
import structlog
from stamina.instrumentation import RetryDetails, set_on_retry_hooks
from structlog.testing import capture_logs

from nadia.resilience import retry


class BusyError(Exception):
    def __init__(self, retry_after: float | None = None) -> None:
        super().__init__("busy")
        self.retry_after = retry_after


@pytest.fixture
def scheduled() -> Iterator[list[RetryDetails]]:
    """The retries that were scheduled."""
    seen: list[RetryDetails] = []

    def note(details: RetryDetails) -> None:
        seen.append(details)

    set_on_retry_hooks([note])
    yield seen
    set_on_retry_hooks(None)


@pytest.fixture
def no_waiting() -> Iterator[None]:
    with stamina.set_testing(True, attempts=3):
        yield


async def test_a_call_that_fails_twice_succeeds_the_third_time(no_waiting: None) -> None:
    calls = []

    @retry(on=BusyError, attempts=3)
    async def ask(question: str) -> str:
        calls.append(question)
        if len(calls) < 3:
            raise BusyError
        return "answer"

    assert await ask("why?") == "answer"
    assert calls == ["why?"] * 3


def test_the_last_error_comes_through_when_attempts_run_out(no_waiting: None) -> None:
    calls = 0

    @retry(on=lambda exc: isinstance(exc, BusyError), attempts=3)
    def ask() -> None:
        nonlocal calls
        calls += 1
        raise BusyError

    with pytest.raises(BusyError):
        ask()
    assert calls == 3


async def test_other_errors_are_not_retried(no_waiting: None) -> None:
    calls = 0

    @retry(on=BusyError)
    async def ask() -> None:
        nonlocal calls
        calls += 1
        raise ValueError("for good")

    with pytest.raises(ValueError, match="for good"):
        await ask()
    assert calls == 1


async def test_the_wait_is_what_the_error_asks_for(scheduled: list[RetryDetails]) -> None:
    calls = 0

    @retry(on=BusyError, attempts=2, first_wait=9, jitter=0)
    async def ask() -> str:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise BusyError(retry_after=0.03)
        return "answer"

    assert await ask() == "answer"
    assert scheduled[0].wait_for == pytest.approx(0.03)


async def test_a_longer_wait_than_allowed_is_not_waited_for(scheduled: list[RetryDetails]) -> None:
    @retry(on=BusyError, attempts=5, longest_wait=5)
    async def ask() -> None:
        raise BusyError(retry_after=3600)

    with pytest.raises(BusyError):
        await ask()
    assert scheduled == []


async def test_back_off_grows_up_to_its_bound(scheduled: list[RetryDetails]) -> None:
    @retry(on=BusyError, attempts=5, first_wait=0.01, longest_wait=0.03, jitter=0)
    async def ask() -> None:
        raise BusyError

    with pytest.raises(BusyError):
        await ask()
    assert [round(details.wait_for, 3) for details in scheduled] == [0.01, 0.02, 0.03, 0.03]


async def test_retry_log_entries_name_the_function_and_hold_no_arguments() -> None:
    structlog.reset_defaults()  # stamina's logger is bound on first use; let it be bound here

    @retry(on=BusyError, attempts=2, first_wait=0, jitter=0)
    async def ask(text: str) -> None:
        raise BusyError

    with capture_logs() as logs, pytest.raises(BusyError):
        await ask("a customer's words")
    assert "ask" in str(logs[0]["callable"])
    assert "customer" not in str(logs)
