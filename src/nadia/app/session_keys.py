"""Where the key is that opens the stored Telegram sessions of an installation."""

from pathlib import Path

from nadia.embedded.home import Home
from nadia.settings import Config
from nadia.telegram.session_key import SessionKeySource


def session_keys(config: Config) -> SessionKeySource:
    """Return where this installation's key is: in the settings, or in a file beside neither home nor database."""
    given = config.variables.get("XDG_CONFIG_HOME", "")
    user_home = config.variables.get("HOME", "")
    # The XDG base directory specification says to ignore a relative value.
    folder = Path(given) if Path(given).is_absolute() else (Path(user_home) if user_home else Path.home()) / ".config"
    name = Home(path=config.home).installation_id()
    return SessionKeySource(given=config.telegram.session_key, path=folder / "nadia" / name / "session.key")
