from pathlib import Path

import pytest
from structlog.testing import capture_logs

from nadia.errors import ConfigurationError
from nadia.llm.saved_replies import SavedReplies, SavedReply, parse_saved_replies

FILE = """\
Notes for people. when: this is not read

=== Where is my order
when: where is my order
WHEN: has it shipped?

Could you send us your order number?

It stands in your e-mail.

=== Thanks ===
You're welcome!
=== Anything else
when: *
when: can you help me
Tell us more, please.
"""


def test_a_file_becomes_replies() -> None:
    assert parse_saved_replies(FILE, shown="r.txt") == (
        SavedReply(
            "Where is my order",
            ("where is my order", "has it shipped?"),
            "Could you send us your order number?\n\nIt stands in your e-mail.",
        ),
        SavedReply("Thanks", (), "You're welcome!"),
        SavedReply("Anything else", ("can you help me",), "Tell us more, please.", is_catch_all=True),
    )


def test_windows_line_ends_and_a_byte_order_mark_do_not_matter(tmp_path: Path) -> None:
    path = tmp_path / "r.txt"
    path.write_bytes(b"\xef\xbb\xbf" + FILE.replace("\n", "\r\n").encode())
    assert SavedReplies(path=path).all() == parse_saved_replies(FILE, shown="r.txt")


@pytest.mark.parametrize(
    ("text", "line", "problem"),
    [
        ("", 1, "there is no reply"),
        ("Only notes\n", 1, "there is no reply"),
        ("\n=== A\n\n=== B\ntext\n", 2, "'A' has no text"),
        ("=== A\nwhen: x\n", 1, "'A' has no text"),
        ("===\ntext\n", 1, "the title is missing"),
        ("== A\ntext\n", 1, "a title begins with '==='"),
        ("=== A\ntext\n= b\n", 3, "no other line with '='"),
        ("=== A\ntext\n=== a\ntext\n", 3, "stands on line 1 already"),
        ("=== A\nwhen:\ntext\n", 2, "'when:' is empty"),
        ("=== A\ntext\n\nwhen: x\n", 4, "stand directly below the title"),
        ("=== A\nte\0xt\n", 2, "null byte"),
        (f"=== {'A' * 81}\ntext\n", 1, "more than 80 characters"),
        (f"=== A\n{'😀' * 2049}\n", 1, "longer than Telegram's 4096"),
        ("=== A\nwhen: *\nx\n=== B\nwhen: *\ny\n", 4, "belongs to 'A' already"),
    ],
)
def test_a_mistake_is_named_with_its_line(text: str, line: int, problem: str) -> None:
    with pytest.raises(ConfigurationError) as error:
        parse_saved_replies(text, shown="r.txt")
    assert error.value.message.startswith(f"r.txt:{line}: ")
    assert problem in error.value.message
    assert error.value.hint


def test_another_encoding_is_named_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "r.txt"
    path.write_bytes("=== A\nhello\ncafé\n".encode("latin-1"))
    with pytest.raises(ConfigurationError, match=r"r\.txt:3: not UTF-8"):
        SavedReplies(path=path)


def test_a_missing_file_is_refused_with_the_setting(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read") as error:
        SavedReplies(path=tmp_path / "absent.txt")
    assert "NADIA_LLM_SAVED_REPLIES_FILE" in (error.value.hint or "")


def test_a_changed_file_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "r.txt"
    path.write_text("=== Old\nold text\n")
    replies = SavedReplies(path=path)
    replacement = tmp_path / "new.txt"
    replacement.write_text("=== Parcel\nwhen: where is my parcel\nnew text\n")
    replacement.replace(path)  # as editors do
    assert replies.nearest("my parcel?", limit=1)[0].reply.text == "new text"
    assert [reply.title for reply in replies.all()] == ["Parcel"]


def test_a_broken_change_keeps_the_last_good_replies_and_says_so(tmp_path: Path) -> None:
    path = tmp_path / "r.txt"
    path.write_text("=== A\ngood\n")
    replies = SavedReplies(path=path)
    path.write_text("=== A\n")
    with capture_logs() as logs:
        assert [reply.text for reply in replies.all()] == ["good"]
        replies.all()
    assert [entry["event"] for entry in logs] == ["saved_replies.refused"]
    assert "has no text" in str(replies.problem)
    path.write_text("=== A\nbetter\n")
    assert [reply.text for reply in replies.all()] == ["better"]
    assert replies.problem is None


def test_a_file_that_vanishes_for_a_moment_empties_nothing(tmp_path: Path) -> None:
    path = tmp_path / "r.txt"
    path.write_text("=== A\ngood\n")
    replies = SavedReplies(path=path)
    path.unlink()
    assert [reply.text for reply in replies.all()] == ["good"]


def test_the_shipped_replies_answer_common_questions_in_two_languages() -> None:
    replies = SavedReplies()
    assert len(replies.all()) >= 20
    assert replies.catch_all() is not None
    nearest = {
        "hi! where is my order? its been 2 weeks": "Where is my order",
        "hola, donde esta mi pedido": "¿Dónde está mi pedido?",
        "are u a bot": "Are you a bot?",
        "the mug arrived brokn :(": "Damaged item",
        "can i get my money back pls": "Refund",
        "what time do you open tomorrow": "Opening hours",
        "my order is #99812": "Order number received",
        "Thanks so much!!": "Thanks",
        "can I talk to a human please": "Talk to a person",
    }
    assert {text: replies.nearest(text, 1)[0].reply.title for text in nearest} == nearest
