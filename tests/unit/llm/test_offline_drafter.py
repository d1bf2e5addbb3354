from decimal import Decimal
from pathlib import Path

import pytest

from nadia.llm.errors import ModelError, Outcome
from nadia.llm.models import ChatMessage, Completion
from nadia.llm.offline import OfflineDrafter, last_customer_text
from nadia.llm.registry import OfflineModel
from nadia.llm.saved_replies import SavedReplies

REPLIES = "=== Parcel\nwhen: where is my parcel\nIt is on its way.\n=== Thanks\nwhen: thank you\nYou're welcome.\n"
CATCH_ALL = "=== Else\nwhen: *\nTell us more.\n"


def drafter(folder: Path, text: str) -> OfflineDrafter:
    path = folder / "replies.txt"
    path.write_text(text)
    return OfflineDrafter(
        model=OfflineModel(provider="offline", minimum_score=0.2), replies=SavedReplies(path=path), clock=lambda: 0.0
    )


async def answer(drafter: OfflineDrafter, *messages: ChatMessage) -> Completion:
    return await drafter.complete(messages, temperature=0, max_output_tokens=1, timeout=1)


async def test_it_answers_with_the_nearest_reply_and_says_how_near(tmp_path: Path) -> None:
    completion = await answer(drafter(tmp_path, REPLIES), ChatMessage("user", "Where's my parcel?"))
    assert completion.text == "It is on its way."
    assert completion.model == "offline"
    assert completion.score is not None
    assert 0.5 < completion.score < 1
    assert (completion.cost_usd, completion.input_tokens) == (Decimal(0), 0)


async def test_the_catch_all_answers_what_nothing_resembles_and_is_not_sure(tmp_path: Path) -> None:
    completion = await answer(drafter(tmp_path, REPLIES + CATCH_ALL), ChatMessage("user", "quantum whales"))
    assert (completion.text, completion.score) == ("Tell us more.", 0.0)


async def test_a_message_without_text_gets_the_catch_all(tmp_path: Path) -> None:
    completion = await answer(drafter(tmp_path, REPLIES + CATCH_ALL), ChatMessage("user", ""))
    assert (completion.text, completion.score) == ("Tell us more.", 0.0)


async def test_without_a_catch_all_it_says_that_nothing_fits(tmp_path: Path) -> None:
    with pytest.raises(ModelError) as error:
        await answer(drafter(tmp_path, REPLIES), ChatMessage("user", "quantum whales"))
    assert error.value.outcome is Outcome.NO_MATCH


def test_only_what_came_after_the_desks_last_message_counts() -> None:
    messages = [
        ChatMessage("system", "rules"),
        ChatMessage("user", "thank you"),
        ChatMessage("assistant", "You're welcome."),
        ChatMessage("user", "hi"),
        ChatMessage("system", "a note"),
        ChatMessage("user", "where is my parcel"),
    ]
    assert last_customer_text(messages) == "hi\nwhere is my parcel"
