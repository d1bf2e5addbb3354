"""What can go wrong when someone shows who they are."""

from nadia.errors import NadiaError


class UnauthenticatedError(NadiaError):
    """Nobody is logged in, or what was shown as proof is not valid (any more)."""


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
