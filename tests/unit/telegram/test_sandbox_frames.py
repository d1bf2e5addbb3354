"""Frames and requests: whatever comes in is a checked request or a refusal."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from nadia.constants import TELEGRAM_TEXT_LIMIT
from nadia.telegram.gateway import MessageKind
from nadia.telegram.sandbox import requests
from nadia.telegram.sandbox.protocol import (
    Envelope,
    RequestRefusedError,
    decode_frame,
    encode_answer,
    encode_event,
    encode_refusal,
    encode_request,
)
from nadia.telegram.sandbox.wire import Accounts, News

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=8), children, max_size=3),
    max_leaves=8,
)
_ANY_TEXT = st.text(st.characters(codec=None, exclude_categories=()), max_size=40)  # lone surrogates too
_NAMES = sorted({name for kind in requests.REQUESTS.values() for name in kind.model_fields})


@given(st.binary(max_size=300))
def test_any_line_is_an_object_or_refused(line: bytes) -> None:
    try:
        assert isinstance(decode_frame(line), dict)
    except RequestRefusedError as refusal:
        assert refusal.code == "FRAME_MALFORMED"


@given(
    method=st.sampled_from(sorted(requests.REQUESTS)) | _ANY_TEXT,
    params=st.dictionaries(st.sampled_from(_NAMES) | _ANY_TEXT, _JSON | _ANY_TEXT, max_size=6),
)
def test_any_parameters_make_a_request_or_a_refusal_that_can_be_written(method: str, params: dict[str, object]) -> None:
    try:
        request = requests.read_request(Envelope.model_validate({"id": 1, "method": method, "params": params}))
    except RequestRefusedError as refusal:
        line = encode_refusal(1, refusal)
        assert json.loads(line)["error"]["code"] == refusal.code
        assert line.count(b"\n") == 1
        assert len(line) < 2_000
    except ValidationError:
        assert any("\ud800" <= c <= "\udfff" for c in method)  # the envelope's own text
    else:
        assert method == request.METHOD


@given(st.integers(0, 2**53), st.text(), st.dictionaries(st.text(), _JSON, max_size=4))
def test_a_request_is_one_line_and_comes_back_as_it_was(
    request_id: int, method: str, params: dict[str, object]
) -> None:
    line = encode_request(request_id, method, params)

    assert line.count(b"\n") == 1
    assert decode_frame(line) == {"id": request_id, "method": method, "params": params}


@given(st.text())
def test_answers_and_events_are_one_line_each(text: str) -> None:
    answer, event = encode_answer(7, Accounts(accounts=(text,))), encode_event(News(pts=3))

    assert answer.count(b"\n") == event.count(b"\n") == 1
    assert decode_frame(answer) == {"id": 7, "result": {"accounts": [text]}}
    assert decode_frame(event) == {"event": {"type": "news", "pts": 3}}


@pytest.mark.parametrize(
    ("text", "accepted"),
    [
        ("x" * TELEGRAM_TEXT_LIMIT, True),
        ("x" * (TELEGRAM_TEXT_LIMIT + 1), False),
        ("👋" * (TELEGRAM_TEXT_LIMIT // 2), True),
        ("👋" * (TELEGRAM_TEXT_LIMIT // 2) + "x", False),
        ("\u200b\u202e", True),
        ("", False),
        ("\u2003\n", False),
    ],
    ids=["4096 letters", "4097 letters", "2048 pairs", "2048 pairs and one", "zero-width", "empty", "spaces"],
)
def test_a_text_has_up_to_4096_utf16_units_and_says_something(text: str, accepted: bool) -> None:
    text_of_a_message = TypeAdapter(requests.Text)
    if accepted:
        assert text_of_a_message.validate_python(text) == text
    else:
        with pytest.raises(ValidationError):
            text_of_a_message.validate_python(text)


def test_every_kind_of_message_can_be_written() -> None:
    for kind in MessageKind:
        request = requests.Write.model_validate({"account": "a", "user_id": 1, "text": "x", "kind": kind.value})
        assert request.kind is kind
