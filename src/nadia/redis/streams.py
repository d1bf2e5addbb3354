"""Reading the answers of stream commands."""

from typing import TypeAlias

Entry: TypeAlias = "tuple[str, dict[str, str]]"


def stream_entries(answer: object) -> list[Entry]:
    """Flatten what XREAD and XREADGROUP of one stream return.

    Parameters
    ----------
    answer : list or None
        As redis-py gives it with decoded responses: ``[[stream, [(id, fields), ...]]]``.
    """
    if not isinstance(answer, list) or not answer:
        return []
    entries: list[Entry] = answer[0][1]
    return entries
