"""Pacing: when is a customer's burst of messages over?"""

from nadia.pacing.bursts import Burst, Bursts
from nadia.pacing.config import PacingSettings
from nadia.pacing.tracker import UserActivityTracker

__all__ = ["Burst", "Bursts", "PacingSettings", "UserActivityTracker"]
