"""A chat in a few lines of plain text, for whoever drafts an answer to messages that were missed."""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from nadia.clock import format_datetime, time_ago_text
from nadia.telegram.gateway import IncomingMessage, MessageKind

_TO_THE_MINUTE: Final = "%Y-%m-%d %H:%M UTC"
_LONGEST_TEXT: Final = 300
"""Characters of one message; what is cut ends with an ellipsis."""


def summarise(messages: Sequence[IncomingMessage], *, now: datetime, longest: int) -> str:
    """Say who wrote what and when, one message a line, as far as there is room for; the newest come first to it.

    Parameters
    ----------
    messages : sequence of IncomingMessage
        Oldest first.
    now : datetime
        Ages are counted from it.
    longest : int
        Characters that all of it may take.
    """
    present = format_datetime(now, _TO_THE_MINUTE)
    if not messages:
        return f"Telegram shows no messages of this chat as of {present}."[:longest]
    heading = f"The chat as of {present}, oldest first. What stands in quotation marks was said in it, and only that."
    lines: list[str] = []
    room = longest - len(heading)
    for message in reversed(messages):
        line = f"\n{_line(message, now)}"
        room -= len(line)
        if room < 0:
            break
        lines.append(line)
    return (heading + "".join(reversed(lines)))[:longest]


def _line(message: IncomingMessage, now: datetime) -> str:
    when = f"{format_datetime(message.sent_at, _TO_THE_MINUTE)} ({time_ago_text(message.sent_at, now=now)})"
    who = "desk" if message.outgoing else "customer"
    edited = "" if message.edited_at is None else f", edited {time_ago_text(message.edited_at, now=now)}"
    return f"{when} {who}{edited}: {_content(message)}"


def _content(message: IncomingMessage) -> str:
    kind = "" if message.kind is MessageKind.TEXT else f"[{message.kind.value}]"
    return " ".join(part for part in (kind, _quoted(message.text)) if part) or '""'


def _quoted(text: str) -> str:
    """Return the text so that it can neither end its quotation nor begin a line; halves of characters become ``?``."""
    words = " ".join(text.encode("utf-8", "replace").decode().split())
    if not words:
        return ""
    if len(words) > _LONGEST_TEXT:
        words = f"{words[: _LONGEST_TEXT - 1]}…"
    return json.dumps(words, ensure_ascii=False)
