"""The root of every error that NADIA raises on purpose.

A subclass says what went wrong in terms of its domain; the message names the field or thing and the problem,
``hint`` the remedy. HTTP status is decided in ``web``, exit codes in ``cli``.
"""


class NadiaError(Exception):
    """Something that a person can act on.

    Parameters
    ----------
    message : str
        What is wrong, naming the thing concerned.
    hint : str, optional
        What to do about it; shown on a line of its own.
    """

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class ConfigurationError(NadiaError):
    """A setting or a file of the operator's is missing or wrong."""


class InvalidInputError(NadiaError):
    """Input from outside was refused.

    Parameters
    ----------
    message : str
        The problem with the value.
    field : str
        Name of the offending field.
    hint : str, optional
        What would be accepted.
    """

    def __init__(self, message: str, *, field: str, hint: str | None = None) -> None:
        super().__init__(f"{field}: {message}", hint=hint)
        self.field = field


class NotFoundError(NadiaError):
    """The thing asked for does not exist."""


class ConflictError(NadiaError):
    """The state of things does not allow what was asked for."""


class RefusedError(NadiaError):
    """The one who asks may not do this."""


class UnavailableError(NadiaError):
    """A dependency (PostgreSQL, Redis, a model, Telegram) cannot be reached at the moment."""
