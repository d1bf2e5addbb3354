"""What can go wrong with servers that NADIA starts itself."""

from nadia.errors import ConfigurationError, RefusedError, UnavailableError


class HomeError(ConfigurationError):
    """The data folder cannot be used as it is."""


class HomeInUseError(RefusedError):
    """Another NADIA runs on the same data folder.

    Parameters
    ----------
    message : str
        Names the folder and the owner.
    pid : int or None
        Process id of the owner; None when the owner has not written it yet.
    hint : str, optional
        What to do about it.
    """

    def __init__(self, message: str, *, pid: int | None, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.pid = pid


class ServerBinaryMissingError(UnavailableError):
    """No usable server program was found on this machine."""


class ServerStartError(UnavailableError):
    """A server did not come up, or a step of its set-up failed."""
