"""What can go wrong when someone shows who they are."""

from nadia.errors import NadiaError


class UnauthenticatedError(NadiaError):
    """Nobody is logged in, or what was shown as proof is not valid (any more).

    Parameters
    ----------
    message : str
        What is not valid.
    hint : str, optional
        What to do about it.
    account_id : int, optional
        The account that was tried; for the log, never part of an answer.
    """

    def __init__(self, message: str, *, hint: str | None = None, account_id: int | None = None) -> None:
        super().__init__(message, hint=hint)
        self.account_id = account_id


class SecondFactorRequiredError(UnauthenticatedError):
    """Name and password are right; a code of the second factor is still needed."""


class ThrottledError(NadiaError):
    """Too many attempts from one place.

    Parameters
    ----------
    message : str
        What was refused.
    retry_after : int
        Seconds until the next attempt is looked at.
    """

    def __init__(self, message: str, *, retry_after: int) -> None:
        super().__init__(message, hint=f"try again in {retry_after} seconds")
        self.retry_after = retry_after
