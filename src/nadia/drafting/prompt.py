"""From a conversation to what a model is shown, and from its answer to the bubbles of a reply."""

import re
from collections.abc import Sequence
from typing import Final

from nadia.constants import TELEGRAM_TEXT_LIMIT
from nadia.conversations.memory import Remembered
from nadia.llm.models import ChatMessage

DRAFT_BUBBLES: Final = 4
"""A reply in more pieces than a person would send is joined."""


def build_prompt(persona: str, history: Sequence[Remembered]) -> list[ChatMessage]:
    """Return the instructions and the conversation, ending with what is to be answered.

    Parameters
    ----------
    persona : str
        Who writes, and what it holds to.
    history : sequence of Remembered
        Oldest first.
    """
    return [ChatMessage(role="system", content=persona)] + [
        ChatMessage(role="user" if entry.author == "customer" else "assistant", content=shown(entry))
        for entry in history
        if not entry.deleted
    ]


def shown(entry: Remembered) -> str:
    """Return a message as a model reads it: what is not text is named."""
    if entry.kind == "text":
        return entry.text
    return f"[{entry.kind}] {entry.text}".rstrip()


def bubbles_of(text: str) -> list[str]:
    """Split an answer into bubbles: a blank line begins a new one; each fits into one Telegram message."""
    # A model may break off within a character; neither PostgreSQL nor Telegram takes half of one.
    whole = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace").replace("\x00", "")
    pieces = [piece.strip() for piece in re.split(r"\n\s*\n", whole) if piece.strip()]
    if len(pieces) > DRAFT_BUBBLES:
        pieces = [*pieces[: DRAFT_BUBBLES - 1], "\n\n".join(pieces[DRAFT_BUBBLES - 1 :])]
    return [part for piece in pieces for part in _fitting(piece)]


def _fitting(text: str) -> list[str]:
    parts: list[str] = []
    while utf16_length(text) > TELEGRAM_TEXT_LIMIT:
        head = text.encode("utf-16-le")[: 2 * TELEGRAM_TEXT_LIMIT].decode("utf-16-le", "ignore")
        cut = max(head.rfind("\n"), head.rfind(" "))
        head = head[:cut] if cut > 0 else head
        parts.append(head.rstrip())
        text = text[len(head) :].lstrip()
    return [*parts, text] if text else parts


def utf16_length(text: str) -> int:
    """Return a text's length as Telegram counts it."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2
