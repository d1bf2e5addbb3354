"""The settings of the process that a command runs in."""

import os
import sys
import warnings
from typing import TYPE_CHECKING

from nadia.cli.output import warn

if TYPE_CHECKING:
    from nadia.settings import Config


def operator() -> str:
    """Return how the audit log names the person at this terminal."""
    import getpass

    try:
        return f"cli:{getpass.getuser()}"
    except (OSError, KeyError):  # a user id without a name
        return f"cli:{os.getuid()}"


def load_config(*, role: str | None = None) -> "Config":
    """Read the settings, warn of older names, and set up logging as they say.

    Parameters
    ----------
    role : str, optional
        What the process does, if it goes on until it is stopped: then it writes a log file too.

    Raises
    ------
    SettingsError
        If any setting is wrong.
    """
    _import_structlog_alone()
    from nadia.logs import configure_logging
    from nadia.settings import Config

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # printed below, for people
        config = Config.from_env()
    for sentence in config.deprecations:
        warn(sentence)
    logs, file = config.logs, None
    if role is not None and logs.file_enabled:
        from nadia.log_files import LogFile

        file = LogFile(
            folder=config.home / "logs",
            role=role,
            file_bytes=int(logs.file_megabytes * 1_000_000),
            total_bytes=int(logs.files_megabytes * 1_000_000),
        )
    configure_logging(level=logs.level, format=logs.format, file=file)
    return config


def _import_structlog_alone() -> None:
    """Import structlog without what it takes up where it is installed, and NADIA does not use.

    Rich would draw tracebacks, which `nadia.logs` does itself; greenlet comes with SQLAlchemy. Together they are 5 MB
    and 25 ms of every process. Python takes None for a module that is not there.
    """
    unused = [name for name in ("rich", "greenlet") if name not in sys.modules]
    for name in unused:
        sys.modules[name] = None  # type: ignore[assignment]
    try:
        import structlog  # noqa: F401
    finally:
        for name in unused:
            del sys.modules[name]
