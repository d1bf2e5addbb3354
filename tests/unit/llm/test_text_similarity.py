import string

from hypothesis import given
from hypothesis import strategies as st

from nadia.llm.similarity import SimilarityIndex

TEXTS = ["where is my parcel", "my parcel is broken", "thank you very much", "¿dónde está mi paquete?"]


def best(text: str) -> tuple[str, float]:
    scores = SimilarityIndex(TEXTS).scores(text)
    position = max(range(len(scores)), key=scores.__getitem__)
    return TEXTS[position], scores[position]


def test_the_same_words_score_one() -> None:
    text, score = best("Where is MY parcel?!")
    assert text == "where is my parcel"
    assert score > 0.999


def test_misspelt_words_and_missing_accents_still_match() -> None:
    assert best("were is my parcl")[0] == "where is my parcel"
    assert best("donde esta mi paquete")[1] > 0.999


def test_nothing_in_common_scores_zero() -> None:
    assert SimilarityIndex(TEXTS).scores("xqz 你好") == [0.0] * 4
    assert SimilarityIndex(TEXTS).scores("") == [0.0] * 4
    assert SimilarityIndex([]).scores("hello") == []


def test_unknown_words_lower_the_score() -> None:
    assert best("where is my parcel")[1] > best("where is my parcel zebra umbrella")[1] > 0.3


def test_numbers_are_alike() -> None:
    (score,) = SimilarityIndex(["my order is 10432"]).scores("my order is #99")
    assert score > 0.999


@given(st.text(max_size=200), st.lists(st.text(alphabet=string.ascii_letters + " é1", max_size=40), max_size=6))
def test_scores_lie_between_zero_and_one_and_repeat(query: str, texts: list[str]) -> None:
    index = SimilarityIndex(texts)
    scores = index.scores(query)
    assert scores == SimilarityIndex(texts).scores(query)
    assert len(scores) == len(texts)
    assert all(0 <= score <= 1 for score in scores)
