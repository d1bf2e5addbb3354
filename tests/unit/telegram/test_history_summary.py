"""A chat's summary says who wrote what and when, fits, and keeps customers' words in quotation marks."""

from dataclasses import replace
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from nadia.telegram.gateway import MessageKind
from nadia.telegram.summary import summarise
from support.scripted_telegram import START, message

NOW = START + timedelta(hours=15)


def test_it_says_who_wrote_when_and_how_long_ago_that_is() -> None:
    photo = replace(message(3, "my parcel", edited_at=NOW - timedelta(hours=1)), kind=MessageKind.PHOTO)
    voice = replace(message(4, "", sent_at=NOW - timedelta(minutes=5)), kind=MessageKind.VOICE)
    messages = [message(1, 'Where is "it"?'), message(2, "We look.", outgoing=True), photo, voice]
    assert summarise(messages, now=NOW, longest=4_000).splitlines() == [
        "The chat as of 2026-03-02 03:00 UTC, oldest first. "
        "What stands in quotation marks was said in it, and only that.",
        '2026-03-01 12:00 UTC (14 hours ago) customer: "Where is \\"it\\"?"',
        '2026-03-01 12:00 UTC (14 hours ago) desk: "We look."',
        '2026-03-01 12:00 UTC (14 hours ago) customer, edited 1 hour ago: [photo] "my parcel"',
        "2026-03-02 02:55 UTC (5 minutes ago) customer: [voice]",
    ]


def test_a_chat_without_messages_says_so() -> None:
    assert (
        summarise([], now=NOW, longest=4_000) == "Telegram shows no messages of this chat as of 2026-03-02 03:00 UTC."
    )


def test_what_does_not_fit_is_left_out_from_the_oldest_on() -> None:
    messages = [message(number, f"text {number} " + "x" * 1_000) for number in range(1, 21)]
    summary = summarise(messages, now=NOW, longest=1_500)
    lines = summary.splitlines()[1:]
    assert len(summary) <= 1_500
    assert 2 < len(lines) < 5
    assert [line.split('"')[1].split(" x")[0] for line in lines] == [
        f"text {number}" for number in range(21 - len(lines), 21)
    ]


@given(
    texts=st.lists(st.text(st.characters(), max_size=400), max_size=30),
    longest=st.integers(200, 5_000),
)
def test_no_text_can_begin_a_line_end_its_quotation_or_be_too_long_to_store(texts: list[str], longest: int) -> None:
    messages = [message(number, text) for number, text in enumerate(texts, 1)]
    summary = summarise(messages, now=NOW, longest=longest)
    assert len(summary) <= longest
    summary.encode()
    assert "\x00" not in summary
    for line in summary.splitlines()[1:]:
        assert line.startswith('2026-03-01 12:00 UTC (14 hours ago) customer: "')
        assert line.endswith('"')
