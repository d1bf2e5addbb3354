"""What strangers wrote, so that it can be read and cannot rearrange a page."""

import unicodedata
from typing import Final

# Letters and signs that take up room and show nothing.
_BLANK: Final = frozenset("\u115f\u1160\u2800\u3164\uffa0\u034f\u17b4\u17b5")
# Join emoji into one, and letters in Persian and the scripts of India; elsewhere they only hide.
_JOINERS: Final = frozenset("\u200c\u200d")
_VIRAMA: Final = 9
"""The combining class of signs after which a joiner shapes a letter, also at the end of a word."""
# The flags of England, Scotland and Wales are a black flag and letters that show nothing (Unicode TR 51).
_BLACK_FLAG: Final = "\U0001f3f4"
_TAGS: Final = frozenset(map(chr, range(0xE0020, 0xE0080)))
# Format characters that are seen: they stand over a number or a verse in Arabic, Syriac and Kaithi.
_SEEN: Final = frozenset("\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u070f\u0890\u0891\u08e2\U000110bd\U000110cd")
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
    return " ".join(_marked(name[:_LONGEST]).split()) or "No name"


def legible_text(text: str) -> str:
    """Return a text with everything invisible in it made visible.

    Parameters
    ----------
    text : str
        As it came from Telegram, or as it would be sent.

    Returns
    -------
    str
        Marked as `legible_name` does; spaces, lines and tabs stay, and so do emoji that are made of several characters.
    """
    return _marked(text)


def _marked(text: str) -> str:
    shown: list[str] = []
    last_hidden = ""
    for position, character in enumerate(text):
        if not _is_hidden(text, position):
            shown.append(character)
            last_hidden = ""
        elif character != last_hidden:
            shown.append(f"[U+{ord(character):04X}]")
            last_hidden = character
    return "".join(shown)


def _is_hidden(name: str, position: int) -> bool:
    character = name[position]
    if character in _JOINERS:
        around = name[max(0, position - 1) : position] + name[position + 1 : position + 2]
        if position > 0 and unicodedata.combining(name[position - 1]) == _VIRAMA:
            return False
        return len(around) < 2 or any(_joins_nothing(other) for other in around)
    if character in _TAGS:
        return name[:position].rstrip("".join(_TAGS))[-1:] != _BLACK_FLAG
    if character in "\n\t" or character in _SEEN:
        return False
    return character in _BLANK or unicodedata.category(character) in ("Cc", "Cf", "Cs", "Co", "Zl", "Zp")


def _joins_nothing(character: str) -> bool:
    return character.isascii() or character in _BLANK or unicodedata.category(character) in ("Cc", "Cf", "Zs")
