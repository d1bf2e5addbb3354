"""What can go wrong between NADIA and Telegram, told apart by what the caller may safely do next."""

from nadia.errors import NadiaError, UnavailableError


class GatewayError(NadiaError):
    """Root of everything that a gateway raises."""


class GatewayDisconnectedError(GatewayError, UnavailableError):
    """The link is down and the request surely did not go out; the same request may be made again."""


class TelegramTroubleError(GatewayError):
    """Telegram answered, but with nothing that could be used: an error of its own, or an answer that cannot be read.

    The link is fine, and other requests may well succeed. What was asked may be asked again later; if it was to store
    a message, `SendUncertainError` is raised in its place.
    """


class SendUncertainError(GatewayError):
    """The request went out and its answer was lost: the message may or may not have been stored.

    Sending again with the same ``random_id`` is safe as long as Telegram remembers it; after that, look in the history.
    """


class SendRefusedError(GatewayError):
    """Telegram refused the request for good; repeating it changes nothing.

    Parameters
    ----------
    reason : str
        Telegram's own word for it, such as ``USER_IS_BLOCKED`` or ``MESSAGE_TOO_LONG``.
    message : str, optional
        A sentence for people; made from the reason when absent.
    hint : str, optional
        What to do about it.
    """

    def __init__(self, reason: str, message: str | None = None, *, hint: str | None = None) -> None:
        super().__init__(f"Telegram refused the request: {message or reason}", hint=hint)
        self.reason = reason


class RandomIdDuplicateError(GatewayError):
    """A message with this ``random_id`` was already accepted; confirm it from the history."""


class FloodWaitError(GatewayError):
    """Telegram asks for a pause before the next request of this kind.

    Parameters
    ----------
    seconds : int
        Length of the pause.
    """

    def __init__(self, seconds: int) -> None:
        super().__init__(
            f"Telegram asks to wait {seconds} s before the next request",
            hint="it clears by itself; send less at once if it returns",
        )
        self.seconds = seconds


class HistoryUnavailableError(GatewayError):
    """Telegram does not let this account read histories or list its chats: it is a bot."""

    def __init__(self) -> None:
        super().__init__(
            "Telegram lets bots read neither histories nor the list of their chats",
            hint="what a bot missed comes by itself for about a day; connect a user account to recover older messages",
        )


class PeerFloodError(GatewayError):
    """Telegram limits this account because of too many messages to new people; sending has to stop."""

    def __init__(self) -> None:
        super().__init__(
            "Telegram limits this account for writing to too many people (PEER_FLOOD)",
            hint="stop sending from it and ask @SpamBot on the account itself how long the limit holds",
        )


class AccountRevokedError(GatewayError):
    """The account's session is no longer valid: logged out elsewhere, banned, or used from two places at once.

    Parameters
    ----------
    reason : str
        Telegram's word for it, such as ``SESSION_REVOKED`` or ``AUTH_KEY_DUPLICATED``.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(
            f"Telegram no longer accepts this account's session ({reason})",
            hint="log the account in again; make sure that only one process uses its session",
        )
        self.reason = reason
