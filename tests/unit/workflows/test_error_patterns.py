"""Troubles that are alike are one kind; what is new or comes more often stands first."""

import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nadia.workflows.error_patterns import MOST_KINDS, ErrorPatterns, Kind, Trend, Trouble, signature_of

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def trouble(words: str = "it broke", *, name: str = "", minutes_ago: float = 0, level: str = "error") -> Trouble:
    return Trouble(at=NOW - timedelta(minutes=minutes_ago), level=level, name=name, words=words, source="up.jsonl")


def waiting(words: str, *, hours_ago: float) -> Trouble:
    return replace(trouble(words, minutes_ago=60 * hours_ago), ongoing=True)


def shown(kinds: list[Kind]) -> str:
    return " ".join(f"{kind.name} {kind.example} {kind.signature}" for kind in kinds)


def patterns(*troubles: Trouble, hours: float = 24) -> ErrorPatterns:
    found = ErrorPatterns(since=NOW - timedelta(hours=hours), now=NOW)
    found.add(troubles)
    return found


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("batch 17 parked", "batch 23981 parked"),
        ("chat 5 at 2026-03-01T11:59:03.123Z", "chat 6 at 2025-12-24 23:00:01"),
        ("lease 0x7f3a held", "lease 0xDEADBEEF held"),
        ("commit 3f2a9bd1 failed", "commit 00ff12aa77 failed"),
        ("row 6ba7b810-9dad-11d1-80b4-00c04fd430c8", "row 6ba7b811-9dad-11d1-80b4-00c04fd430c8"),
        ("connect to 10.0.0.1:5432 refused", "connect to 192.168.12.250:6432 refused"),
        ("took 1.5 s", "took 12,000.25 s"),
        ("a  b\t c", "a b c"),
    ],
)
def test_what_differs_from_case_to_case_is_not_told_apart(one: str, other: str) -> None:
    assert signature_of(trouble(one)) == signature_of(trouble(other))


def test_what_happened_is_told_apart() -> None:
    assert signature_of(trouble("disk full")) != signature_of(trouble("disk gone"))
    assert signature_of(trouble(name="batch.parked")) != signature_of(trouble(name="reply.parked"))


def test_trends() -> None:
    found = patterns(
        trouble("only now"),
        *(trouble("more and more", minutes_ago=minutes) for minutes in (1, 2, 3, 600)),
        *(trouble("as ever", minutes_ago=30 + 60 * hour) for hour in range(24)),
        *(trouble("long ago", minutes_ago=500 + number) for number in range(50)),
    )

    assert [(kind.signature, found.trend(kind)) for kind in found.kinds()] == [
        ("only now", Trend.NEW),
        ("more and more", Trend.RISING),
        ("as ever", Trend.STEADY),
        ("long ago", Trend.OVER),
    ]


def test_what_still_waits_is_open_however_old_and_never_over() -> None:
    found = patterns(waiting("parked", hours_ago=5), waiting("parked", hours_ago=400), trouble("x", minutes_ago=500))
    parked, other = found.kinds()

    assert (parked.times, found.trend(parked), found.trend(other)) == (2, Trend.OPEN, Trend.OVER)
    assert parked.first == NOW - timedelta(hours=400)
    assert found.rate_before(parked) == pytest.approx(1 / 23), "what is older than the time looked at is no rate in it"
    assert found.troubles == 2


def test_what_comes_while_others_wait_has_its_own_trend() -> None:
    found = patterns(waiting("parked", hours_ago=90), *(trouble("parked", minutes_ago=number) for number in range(3)))

    assert [found.trend(kind) for kind in found.kinds()] == [Trend.RISING]


def test_rates_are_per_hour() -> None:
    found = patterns(*(trouble(minutes_ago=minutes) for minutes in (5, 10, 70, 80, 90)), hours=11)
    (kind,) = found.kinds()

    assert (kind.times, kind.recent) == (5, 2)
    assert (found.rate_now(kind), found.rate_before(kind)) == (2.0, 0.3)
    assert (kind.first, kind.last) == (NOW - timedelta(minutes=90), NOW - timedelta(minutes=5))


def test_of_a_short_time_the_last_quarter_is_now() -> None:
    found = patterns(trouble(minutes_ago=10), trouble(minutes_ago=20), hours=1)

    assert [found.trend(kind) for kind in found.kinds()] == [Trend.STEADY]
    assert found.recently == NOW - timedelta(minutes=15)


def test_a_kind_is_as_grave_as_its_gravest() -> None:
    levels = ["warning", "error", "critical", "error", "warning"]
    (kind,) = patterns(*(trouble(level=level) for level in levels)).kinds()

    assert kind.level == "critical"


def test_an_example_shows_no_secret_and_no_phone_number() -> None:
    found = patterns(
        trouble("cannot write to +1 555 010 0123 (token=abcdef1234567890)"),
        trouble("postgresql://nadia:SwordFish@db/nadia is away", name="password=ofTheName"),
    )
    text = shown(found.kinds())

    for secret in ("555", "abcdef1234567890", "SwordFish", "ofTheName"):
        assert secret not in text


@pytest.mark.parametrize("before", [0, 150, 200, 205, 210, 230])
def test_of_a_secret_at_the_end_of_what_is_shown_not_half_is_left(before: int) -> None:
    text = shown(patterns(trouble("x" * before + " postgresql://nadia:SwordFish@db")).kinds())

    assert "Sword" not in text


def test_those_that_differ_in_their_secret_only_are_one_kind() -> None:
    (kind,) = patterns(trouble("login failed password=Swordfish"), trouble("login failed password=Horseradish")).kinds()

    assert kind.times == 2


def test_memory_is_bounded_however_many_kinds_there_are() -> None:
    letters = "abcdefghijklmnopqrstuvwxyz"
    names = (f"{a}{b}{c}" for a in letters for b in letters for c in letters)
    found = patterns(*(trouble(name) for name in names))
    kinds = found.kinds()

    assert len(kinds) == MOST_KINDS + 1
    assert sum(kind.times for kind in kinds) == found.troubles == 26**3


@given(st.text(max_size=500))
def test_any_text_has_a_signature(words: str) -> None:
    signature = signature_of(trouble(words, name="event"))

    assert signature.startswith("event")
    assert len(signature) <= 1_000


@pytest.mark.parametrize("letter", ["1", "a", "f1", " ", "-", "1.", "+1 ", "0x", "2026-", "\n"])
def test_hostile_repetition_costs_nothing(letter: str) -> None:
    begun = time.perf_counter()
    patterns(trouble(letter * 100_000))

    assert time.perf_counter() - begun < 1.0
