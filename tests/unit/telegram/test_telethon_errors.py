"""What Telethon raises, told apart by what the caller may do next."""

import pytest
from telethon import errors

from nadia.errors import UnavailableError
from nadia.telegram.errors import GatewayDisconnectedError, SendUncertainError, TelegramTroubleError
from nadia.telegram.telethon.errors import translate

TROUBLE = [
    errors.ServerError(None, "RPC_CALL_FAIL", 500),
    errors.RpcCallFailError(None),
    errors.TimedOutError(None, "Timeout", -503),
    errors.TypeNotFoundError(0x1234, b"what a customer wrote"),
    errors.BadMessageError(None, 64),
]
BROKEN = [None, ConnectionResetError(), TimeoutError(), EOFError(), errors.InvalidBufferError(b"")]


@pytest.mark.parametrize("error", TROUBLE, ids=lambda error: type(error).__name__)
def test_an_answer_of_no_use_is_trouble_and_no_lost_link(error: Exception) -> None:
    translated = translate(error)

    assert isinstance(translated, TelegramTroubleError)
    assert not isinstance(translated, UnavailableError)
    assert "customer" not in str(translated)


@pytest.mark.parametrize("error", BROKEN, ids=lambda error: type(error).__name__)
def test_what_breaks_the_link_is_a_lost_link(error: Exception | None) -> None:
    assert isinstance(translate(error), GatewayDisconnectedError)


@pytest.mark.parametrize("error", TROUBLE + BROKEN, ids=lambda error: type(error).__name__)
def test_either_leaves_it_uncertain_whether_a_message_was_stored(error: Exception | None) -> None:
    assert isinstance(translate(error, sending=True), SendUncertainError)
