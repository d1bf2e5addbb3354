"""Who asks for the same thing at the same time shares one call."""

import asyncio

import pytest

from nadia.shared_calls import SharedCalls
from support.eventually import eventually


class Question:
    """Counts how often it is asked; answers when the test says so."""

    def __init__(self) -> None:
        self.asked = 0
        self.cancelled = 0
        self.answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def __call__(self) -> str:
        self.asked += 1
        try:
            return await asyncio.shield(self.answer)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise


@pytest.fixture
async def question() -> Question:
    return Question()


@pytest.fixture
def calls() -> SharedCalls[str, str]:
    return SharedCalls()


async def waiting(
    calls: SharedCalls[str, str], question: Question, count: int, key: str = "x"
) -> list[asyncio.Task[str]]:
    tasks = [asyncio.create_task(calls.run(key, question)) for _ in range(count)]
    await eventually(lambda: question.asked > 0)
    return tasks


async def test_all_get_the_one_answer(calls: SharedCalls[str, str], question: Question) -> None:
    tasks = await waiting(calls, question, 50)
    assert "x" in calls
    question.answer.set_result("yes")
    assert await asyncio.gather(*tasks) == ["yes"] * 50
    assert question.asked == 1
    assert "x" not in calls


async def test_all_get_the_one_error_and_the_next_asks_anew(calls: SharedCalls[str, str], question: Question) -> None:
    tasks = await waiting(calls, question, 3)
    question.answer.set_exception(OSError("no"))
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [OSError] * 3
    with pytest.raises(OSError, match="no"):
        await calls.run("x", question)
    assert question.asked == 2


async def test_the_first_ones_cancellation_is_its_own(calls: SharedCalls[str, str], question: Question) -> None:
    first, second = await waiting(calls, question, 2)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    question.answer.set_result("yes")
    assert await second == "yes"
    assert (question.asked, question.cancelled) == (1, 0)


async def test_a_call_that_nobody_waits_for_any_more_is_cancelled(
    calls: SharedCalls[str, str], question: Question
) -> None:
    tasks = await waiting(calls, question, 3)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await eventually(lambda: question.cancelled == 1)
    assert "x" not in calls


async def test_nobody_joins_a_call_that_is_being_cancelled(calls: SharedCalls[str, str], question: Question) -> None:
    (first,) = await waiting(calls, question, 1)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    next_question = Question()
    next_question.answer.set_result("later")
    assert await calls.run("x", next_question) == "later"


async def test_different_questions_are_asked_side_by_side(calls: SharedCalls[str, str], question: Question) -> None:
    other = Question()
    await waiting(calls, question, 1, key="x")
    (task,) = await waiting(calls, other, 1, key="y")
    other.answer.set_result("y")
    assert await task == "y"
    assert "x" in calls
    question.answer.set_result("x")
