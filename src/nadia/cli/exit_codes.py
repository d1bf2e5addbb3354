"""What each exit code means, and which error ends in which: the one place that decides it."""

from enum import IntEnum
from typing import Final

from nadia.errors import (
    ConfigurationError,
    ConflictError,
    InvalidInputError,
    NotFoundError,
    RefusedError,
    UnavailableError,
)


class ExitCode(IntEnum):
    """What a command says about how it went."""

    FINE = 0
    NOT_FINE = 1
    USAGE = 2
    UNREACHABLE = 3
    REFUSED = 4
    INTERRUPTED = 130


MEANINGS: Final = {
    ExitCode.FINE: "It went well; also the orderly stop of `nadia up` and `nadia run` by Ctrl-C or SIGTERM.",
    ExitCode.NOT_FINE: "The thing that was checked is not fine, or an error that nobody foresaw.",
    ExitCode.USAGE: "The command line, a setting or the input is wrong; nothing was done.",
    ExitCode.UNREACHABLE: "A dependency (PostgreSQL, Redis, a model, Telegram) cannot be reached.",
    ExitCode.REFUSED: "Refused: a lock, a guard, a missing permission, or a state that does not allow it.",
    ExitCode.INTERRUPTED: "Any other command interrupted with Ctrl-C.",
}

_BY_CLASS: Final[tuple[tuple[type[BaseException], ExitCode], ...]] = (
    (KeyboardInterrupt, ExitCode.INTERRUPTED),
    (ConfigurationError, ExitCode.USAGE),
    (InvalidInputError, ExitCode.USAGE),
    (NotFoundError, ExitCode.USAGE),
    (UnavailableError, ExitCode.UNREACHABLE),
    (RefusedError, ExitCode.REFUSED),
    (ConflictError, ExitCode.REFUSED),
)


def exit_code_for(error: BaseException) -> ExitCode:
    """Return the exit code for an error; what no line names is `ExitCode.NOT_FINE`."""
    return next((code for kind, code in _BY_CLASS if isinstance(error, kind)), ExitCode.NOT_FINE)


def errors_ending_in(code: ExitCode) -> list[str]:
    """Return the names of the error classes that end in a code, for the published table."""
    return [kind.__name__ for kind, own in _BY_CLASS if own is code]
