"""The settings of the process that a command runs in."""

import os
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


def load_config() -> "Config":
    """Read the settings, warn of older names, and set up logging as they say.

    Raises
    ------
    SettingsError
        If any setting is wrong.
    """
    from nadia.logs import configure_logging
    from nadia.settings import Config

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # printed below, for people
        config = Config.from_env()
    for sentence in config.deprecations:
        warn(sentence)
    configure_logging(level=config.logs.level, format=config.logs.format)
    return config
