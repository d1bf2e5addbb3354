"""What Telethon raises, in terms of what the caller may safely do next."""

from typing import Final

from telethon import errors
from telethon.errors.common import AuthKeyNotFound, InvalidBufferError
from telethon.errors.rpcerrorlist import rpc_errors_dict, rpc_errors_re

from nadia.telegram.errors import (
    AccountRevokedError,
    FloodWaitError,
    GatewayDisconnectedError,
    GatewayError,
    PeerFloodError,
    RandomIdDuplicateError,
    SendRefusedError,
    SendUncertainError,
    TelegramTroubleError,
)

_NAMES: Final = {kind: pattern.replace(r"(\d+)", "X") for pattern, kind in rpc_errors_re} | {
    kind: name for name, kind in rpc_errors_dict.items()
}
"""Telegram's own words; Telethon's exceptions hold sentences in their place."""

_SENTENCES: Final = {
    "CHAT_WRITE_FORBIDDEN": "this account may not write in this chat",
    "INPUT_USER_DEACTIVATED": "the customer's account is deleted",
    "PRIVACY_PREMIUM_REQUIRED": "the customer takes messages from Premium accounts and contacts only",
    "USER_IS_BLOCKED": "the customer has blocked this account",
    "YOU_BLOCKED_USER": "this account has blocked the customer",
}

_UNNAMED_WAIT_SECONDS: Final = 60
"""For a flood error that does not say how long; a minute is the shortest wait that Telegram names in practice."""

_FORGOTTEN_KEY: Final = 404
"""The transport's error for a key that the server does not know (core.telegram.org/mtproto/mtproto-transports)."""


def reason_of(error: errors.RPCError) -> str:
    """Return Telegram's own word for an error, such as ``USER_IS_BLOCKED``."""
    return str(_NAMES.get(type(error)) or error.message or type(error).__name__)


def translate(error: Exception | None, *, sending: bool = False) -> Exception:
    """Return what a gateway raises in place of something that Telethon raised.

    Parameters
    ----------
    error : exception or None
        None where Telethon hung up without one.
    sending : bool
        Whether the request was to store a message: where the answer is lost, it may have been.
    """
    match error:
        case errors.FrozenMethodInvalidError() | errors.PeerFloodError():
            return PeerFloodError()  # frozen: limited as well, and with the same way out
        case errors.FloodError():
            return FloodWaitError(max(1, getattr(error, "seconds", _UNNAMED_WAIT_SECONDS)))
        case errors.RandomIdDuplicateError():  # an error 500 by its number, and not one of those that pass
            return RandomIdDuplicateError("this message was accepted before", hint="confirm it from the history")
        case errors.UnauthorizedError() | errors.AuthKeyDuplicatedError():
            return AccountRevokedError(reason_of(error))
        case AuthKeyNotFound() | InvalidBufferError(code=404):
            return AccountRevokedError("AUTH_KEY_NOT_FOUND")
        case errors.ServerError() | errors.TimedOutError():
            return _unusable(f"Telegram has trouble of its own ({reason_of(error)})", sending=sending)
        case errors.RPCError():
            reason = reason_of(error)
            return SendRefusedError(reason, _SENTENCES.get(reason))
        case errors.TypeNotFoundError():
            return _unusable("Telegram's answer is of a kind that this Telethon does not know", sending=sending)
        case errors.BadMessageError():
            return _unusable(f"Telegram did not accept how the request was packed (code {error.code})", sending=sending)
        case None | OSError() | EOFError() | BufferError():
            return unanswered("the connection to Telegram broke", sending=sending)
        case _:
            return error


def unanswered(message: str, *, sending: bool) -> GatewayError:
    """Return the error for a request that may have reached Telegram over a link that is gone."""
    return _uncertain(message) if sending else GatewayDisconnectedError(message)


def _unusable(message: str, *, sending: bool) -> GatewayError:
    """Return the error for a request that brought nothing over a link that is fine."""
    return _uncertain(message) if sending else TelegramTroubleError(message, hint="ask for it again later")


def _uncertain(message: str) -> SendUncertainError:
    return SendUncertainError(message, hint="send it again with the same random_id")
