"""How alike texts are: TF-IDF over words and over the letters inside them.

Words carry the meaning; sequences of letters carry it across spelling mistakes, endings and missing accents.
"""

import math
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from typing import Final

_WORD = re.compile(r"\w+")
_NUMBER = re.compile(r"\d+")
_GRAM_LENGTHS: Final = (3, 4)
_WORDS_SHARE: Final = 0.5
"""Weight of words in the result; letters have the rest."""
_LONGEST_TEXT: Final = 1_000
"""Characters of a query that count, the last ones: bounds the time, and the end of a burst holds the question."""


class SimilarityIndex:
    """Texts that others are compared with.

    Parameters
    ----------
    texts : sequence of str
        The texts; results refer to them by position.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        self._size = len(texts)
        self._words = _Space([Counter(_words(text)) for text in texts])
        self._grams = _Space([Counter(_grams(text)) for text in texts])

    def scores(self, text: str) -> list[float]:
        """Return the similarity of each indexed text with this one, 0 (nothing in common) to 1 (the same words)."""
        query = text[-_LONGEST_TEXT:]
        by_word = self._words.cosines(Counter(_words(query)))
        by_gram = self._grams.cosines(Counter(_grams(query)))
        return [
            min(1.0, _WORDS_SHARE * by_word.get(position, 0.0) + (1 - _WORDS_SHARE) * by_gram.get(position, 0.0))
            for position in range(self._size)
        ]


class _Space:
    """Cosine similarity in one space of features, by inverted lists."""

    def __init__(self, documents: Sequence[Counter[str]]) -> None:
        spread: Counter[str] = Counter()
        for features in documents:
            spread.update(features.keys())
        # Smoothed as is usual, so that a feature of every text still weighs something.
        self._rarity = {name: 1 + math.log((1 + len(documents)) / (1 + count)) for name, count in spread.items()}
        # What no text has is as rare as can be: a query full of unknown words resembles nothing much.
        self._rarity_of_unknown = 1 + math.log(1 + len(documents))
        self._lists: defaultdict[str, list[tuple[int, float]]] = defaultdict(list)
        for position, features in enumerate(documents):
            for name, weight in self._unit_vector(features).items():
                self._lists[name].append((position, weight))

    def cosines(self, features: Counter[str]) -> dict[int, float]:
        found: defaultdict[int, float] = defaultdict(float)
        for name, weight in self._unit_vector(features).items():
            for position, other in self._lists.get(name, ()):
                found[position] += weight * other
        return found

    def _unit_vector(self, features: Counter[str]) -> dict[str, float]:
        weights = {
            name: (1 + math.log(count)) * self._rarity.get(name, self._rarity_of_unknown)
            for name, count in features.items()
        }
        length = math.sqrt(sum(weight * weight for weight in weights.values()))
        return {name: weight / length for name, weight in weights.items()} if length else {}


def _words(text: str) -> list[str]:
    plain = unicodedata.normalize("NFKD", text.casefold())
    bare = "".join(char for char in plain if not unicodedata.combining(char))
    return _WORD.findall(_NUMBER.sub("0", bare))  # one order number is as good as another


def _grams(text: str) -> Iterator[str]:
    for word in _words(text):
        padded = f" {word} "
        for length in _GRAM_LENGTHS:
            for start in range(len(padded) - length + 1):
                yield padded[start : start + length]
