import asyncio
import inspect

import pytest
from structlog.testing import capture_logs

from nadia.resilience import handle_errors


def test_a_failing_function_gives_its_default_and_one_log_entry() -> None:
    @handle_errors(default=-1, level="warning", message="sum.failed")
    def add(a: int, b: int) -> int:
        return a // (b - b)

    with capture_logs() as logs:
        assert add(1, b=2) == -1
    (entry,) = logs
    assert entry["event"] == "sum.failed"
    assert entry["log_level"] == "warning"
    assert entry["error"] == "ZeroDivisionError"
    assert isinstance(entry["exc_info"], ZeroDivisionError)
    assert str(entry["function"]).endswith("add")


def test_a_function_that_works_is_not_touched() -> None:
    @handle_errors()
    def add(a: int, b: int) -> int:
        """Sum."""
        return a + b

    with capture_logs() as logs:
        assert add(1, 2) == 3
    assert logs == []
    assert add.__doc__ == "Sum."


async def test_a_failing_coroutine_gives_its_default() -> None:
    @handle_errors(default="nothing")
    async def fetch() -> str:
        await asyncio.sleep(0)
        raise ValueError("no")

    assert inspect.iscoroutinefunction(fetch)
    with capture_logs() as logs:
        assert await fetch() == "nothing"
    assert [entry["event"] for entry in logs] == ["error.handled"]


async def test_cancellation_passes_a_handled_coroutine() -> None:
    entered = asyncio.Event()

    @handle_errors()
    async def wait() -> None:
        entered.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(wait())
    await entered.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def test_a_keyboard_interrupt_passes() -> None:
    @handle_errors()
    def interrupted() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()


def test_only_the_named_errors_are_caught() -> None:
    @handle_errors(catch=(KeyError, ValueError))
    def fail(exc: Exception) -> None:
        raise exc

    with capture_logs():
        assert fail(KeyError("x")) is None
    with pytest.raises(TypeError, match="mine"):
        fail(TypeError("mine"))


def test_catching_more_than_exceptions_is_refused() -> None:
    with pytest.raises(TypeError, match="cancellation"):
        handle_errors(catch=BaseException)  # type: ignore[arg-type]  # what the check is for


def test_a_generator_is_refused_because_its_errors_come_later() -> None:
    with pytest.raises(TypeError, match="iterated"):

        @handle_errors()
        def numbers():  # type: ignore[no-untyped-def]  # its type is beside the point
            yield 1
