"""Settings: one frozen `Config` of the sections that the domains declare, read from the environment and `.env`."""

from nadia.settings.config import Config
from nadia.settings.errors import Problem, SettingsError

__all__ = ["Config", "Problem", "SettingsError"]
