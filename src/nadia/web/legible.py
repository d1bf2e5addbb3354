"""Names that strangers chose, so that they can be read and cannot rearrange a page."""

import unicodedata
from typing import Final

# Letters and signs that take up room and show nothing.
_BLANK: Final = frozenset("\u115f\u1160\u2800\u3164\uffa0\u034f\u17b4\u17b5")
# Join emoji into one, and letters in Persian and the scripts of India; elsewhere they only hide.
_JOINERS: Final = frozenset("\u200c\u200d")
_LONGEST: Final = 120


def legible_name(name: str) -> str:
    """Return a name with everything invisible in it made visible.

    Parameters
    ----------
    name : str
        As it came from Telegram.

    Returns
    -------
    str
        Controls, direction marks, zero-width and blank characters stand as ``[U+202E]``, a run of one of them once;
        joiners stay between characters that they may join. Never empty.
    """
    shown: list[str] = []
    last_hidden = ""
    for position, character in enumerate(name[:_LONGEST]):
        if not _is_hidden(name, position):
            shown.append(character if not character.isspace() else " ")
            last_hidden = ""
        elif character != last_hidden:
            shown.append(f"[U+{ord(character):04X}]")
            last_hidden = character
    return " ".join("".join(shown).split()) or "No name"


def _is_hidden(name: str, position: int) -> bool:
    character = name[position]
    if character in _JOINERS:
        around = name[position - 1 : position] + name[position + 1 : position + 2]
        return len(around) < 2 or any(_joins_nothing(other) for other in around)
    if character in "\n\t":
        return False
    return character in _BLANK or unicodedata.category(character) in ("Cc", "Cf", "Cs", "Co", "Zl", "Zp")


def _joins_nothing(character: str) -> bool:
    return character.isascii() or character in _BLANK or unicodedata.category(character) in ("Cc", "Cf", "Zs")
